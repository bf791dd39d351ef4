use serde_json::{Value, json};

use super::*;
use crate::acme::wire::Directory;

/// An order at `https://ca.example`, and everything around it.
struct World {
    identifiers: BTreeSet<Identifier>,
    origins: Origins,
    order: Order,
    authorizations: BTreeMap<String, Authorization>,
    presented: Vec<PresentedChallenge>,
    solvers: Vec<Solver>,
    labels: BTreeMap<String, String>,
}

fn url(path: &str) -> String {
    format!("https://ca.example/{path}")
}

fn identifier(name: &str) -> Identifier {
    name.parse()
        .map_or_else(|_| Identifier::Dns(name.to_owned()), Identifier::Ip)
}

fn wire(name: &str) -> Value {
    serde_json::to_value(identifier(name)).unwrap()
}

impl World {
    /// A pending order for these names, none of whose authorizations were read.
    fn new(names: &[&str]) -> Self {
        let directory: Directory = serde_json::from_value(json!({
            "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order"),
        }))
        .unwrap();
        let authorizations: Vec<_> = (0..names.len())
            .map(|n| url(&format!("authz/{n}")))
            .collect();
        let order = json!({
            "status": "pending",
            "identifiers": names.iter().map(|name| wire(name)).collect::<Vec<_>>(),
            "authorizations": authorizations,
            "finalize": url("finalize"),
        });
        Self {
            identifiers: names.iter().map(|name| identifier(name)).collect(),
            origins: Origins::of(&url("directory"), &directory).unwrap(),
            order: serde_json::from_value(order).unwrap(),
            authorizations: BTreeMap::new(),
            presented: Vec::new(),
            solvers: serde_json::from_value(json!([{ "http01": { "ingress": {} } }])).unwrap(),
            labels: BTreeMap::new(),
        }
    }

    /// The n-th authorization is read, and says this.
    fn authorize(&mut self, n: usize, name: &str, status: &str, challenge: &Value) {
        let mut http = json!({
            "type": "http-01", "url": url(&format!("chall/{n}")), "status": "pending", "token": format!("token-{n}"),
        });
        for (field, value) in challenge.as_object().unwrap() {
            http[field] = value.clone();
        }
        let authorization = json!({
            "identifier": wire(name),
            "status": status,
            "challenges": [
                { "type": "new-kind-01", "url": url("other"), "status": "pending" },
                http,
            ],
        });
        self.authorizations.insert(
            url(&format!("authz/{n}")),
            serde_json::from_value(authorization).unwrap(),
        );
    }

    fn present(&mut self, n: usize, name: &str, accepted: bool) {
        self.presented.push(PresentedChallenge {
            kind: "http-01".to_owned(),
            identifier: name.to_owned(),
            token: format!("token-{n}"),
            authorization_url: url(&format!("authz/{n}")),
            presented_at: None,
            accepted,
        });
    }

    fn step(&self) -> Step<'_> {
        next(&View {
            identifiers: &self.identifiers,
            origins: &self.origins,
            order: &self.order,
            authorizations: &self.authorizations,
            presented: &self.presented,
            solvers: &self.solvers,
            labels: &self.labels,
        })
    }

    fn refusal(&self) -> Refusal {
        match self.step() {
            Step::Refuse(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn failure(&self) -> Failure {
        match self.step() {
            Step::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

fn stages(proofs: &[Proof<'_>]) -> Vec<(String, Stage)> {
    names(proofs)
        .into_iter()
        .zip(proofs.iter().map(|proof| proof.stage))
        .collect()
}

fn names(proofs: &[Proof<'_>]) -> Vec<String> {
    proofs
        .iter()
        .map(|proof| proof.identifier.to_string())
        .collect()
}

#[test]
fn an_order_is_taken_from_step_to_step() {
    let mut world = World::new(&["a.example", "192.0.2.1"]);
    assert_eq!(
        world.step(),
        Step::Read(vec![url("authz/0"), url("authz/1")])
    );
    world.authorize(0, "a.example", "pending", &json!({}));
    assert_eq!(world.step(), Step::Read(vec![url("authz/1")]));
    world.authorize(1, "192.0.2.1", "pending", &json!({}));
    let Step::Present(proofs) = world.step() else {
        panic!("{:?}", world.step());
    };
    assert_eq!(names(&proofs), ["a.example", "192.0.2.1"]);
    assert_eq!(
        proofs[0],
        Proof {
            authorization_url: url("authz/0"),
            identifier: identifier("a.example"),
            challenge_url: url("chall/0"),
            token: "token-0".to_owned(),
            kind: ChallengeKind::Http01,
            solver: &world.solvers[0],
            stage: Stage::New,
        }
    );

    // As long as one is to be proven, the ways to all of them are needed.
    let (name, address) = ("a.example", "192.0.2.1");
    let are = |first, second| [(name.to_owned(), first), (address.to_owned(), second)];
    world.present(0, name, false);
    let Step::Present(proofs) = world.step() else {
        panic!("{:?}", world.step());
    };
    assert_eq!(stages(&proofs), are(Stage::Shown, Stage::New));
    world.present(1, address, false);
    let Step::Accept(proofs) = world.step() else {
        panic!("{:?}", world.step());
    };
    assert_eq!(stages(&proofs), are(Stage::Shown, Stage::Shown));
    world.presented[0].accepted = true;
    let Step::Accept(proofs) = world.step() else {
        panic!("{:?}", world.step());
    };
    assert_eq!(stages(&proofs), are(Stage::Told, Stage::Shown));
    world.presented[1].accepted = true;
    assert_eq!(world.step(), Step::Wait);

    world.authorize(0, "a.example", "valid", &json!({ "status": "valid" }));
    world.authorize(
        1,
        "192.0.2.1",
        "pending",
        &json!({ "status": "processing" }),
    );
    assert_eq!(world.step(), Step::Wait);
    world.authorize(1, "192.0.2.1", "valid", &json!({ "status": "valid" }));
    assert_eq!(world.step(), Step::Wait);
    world.order.status = OrderStatus::Ready;
    assert_eq!(world.step(), Step::Finalize(url("finalize")));
    world.order.status = OrderStatus::Processing;
    assert_eq!(world.step(), Step::Wait);
    world.order.status = OrderStatus::Valid;
    assert_eq!(world.refusal(), Refusal::NoCertificate);
    world.order.certificate = Some(url("cert/1"));
    assert_eq!(world.step(), Step::Download(url("cert/1")));
}

#[test]
fn what_is_valid_already_is_not_shown_again() {
    let mut world = World::new(&["a.example", "b.example"]);
    world.authorize(0, "a.example", "valid", &json!({ "status": "valid" }));
    world.authorize(1, "b.example", "pending", &json!({}));
    assert!(matches!(world.step(), Step::Present(proofs) if names(&proofs) == ["b.example"]));
    // Even where no solver could show it.
    world.solvers = serde_json::from_value(
        json!([{ "http01": {}, "selector": { "dnsNames": ["b.example"] } }]),
    )
    .unwrap();
    assert!(matches!(world.step(), Step::Present(proofs) if names(&proofs) == ["b.example"]));
    // All of it by the account alone: no solver is needed.
    world.solvers = Vec::new();
    world.authorize(1, "b.example", "valid", &json!({ "status": "valid" }));
    assert_eq!(world.step(), Step::Wait);
}

#[test]
fn what_was_presented_for_another_order_does_not_count() {
    let mut world = World::new(&["a.example"]);
    world.authorize(0, "a.example", "pending", &json!({}));
    for change in [
        |shown: &mut PresentedChallenge| shown.token = "token-9".to_owned(),
        |shown: &mut PresentedChallenge| shown.identifier = "b.example".to_owned(),
        |shown: &mut PresentedChallenge| shown.kind = "dns-01".to_owned(),
        |shown: &mut PresentedChallenge| shown.authorization_url = url("authz/9"),
    ] {
        world.presented.clear();
        world.present(0, "a.example", true);
        assert_eq!(world.step(), Step::Wait);
        change(&mut world.presented[0]);
        assert!(
            matches!(world.step(), Step::Present(_)),
            "{:?}",
            world.presented
        );
    }
}

#[test]
fn what_a_status_tells_of_and_the_order_does_not_is_neither_shown_nor_told() {
    let mut world = World::new(&["a.example"]);
    world.authorize(0, "a.example", "pending", &json!({}));
    world.present(0, "a.example", false);
    for other in ["bank.example", "a.example", "10.0.0.1"] {
        world.present(7, other, false);
    }
    let Step::Accept(proofs) = world.step() else {
        panic!("{:?}", world.step());
    };
    assert_eq!(names(&proofs), ["a.example"]);
    assert_eq!(proofs[0].token, "token-0");
    world.presented[0].accepted = true;
    assert_eq!(world.step(), Step::Wait);
}

#[test]
fn other_names_than_were_asked_for_are_refused() {
    let mut world = World::new(&["a.example"]);
    // The same in other letters is the same.
    world.order.identifiers = vec![identifier("A.Example")];
    assert!(matches!(world.step(), Step::Read(_)));
    for others in [
        vec![identifier("b.example")],
        vec![identifier("a.example"), identifier("b.example")],
        vec![],
        vec![identifier("*.a.example")],
    ] {
        world.order.identifiers = others;
        assert!(matches!(world.refusal(), Refusal::OtherNames(_)));
        // Whatever its status: the certificate of another's order must not be fetched.
        world.order.status = OrderStatus::Valid;
        world.order.certificate = Some(url("cert/1"));
        assert!(matches!(world.refusal(), Refusal::OtherNames(_)));
        world.order.status = OrderStatus::Pending;
    }
    world.order.identifiers = vec![identifier("a.example")];
    world.authorize(0, "b.example", "pending", &json!({}));
    assert_eq!(world.refusal(), Refusal::OtherNames("b.example".to_owned()));
}

#[test]
fn urls_that_lead_elsewhere_are_refused() {
    let evil = "https://evil.example/x".to_owned();
    let foreign =
        |world: &World| matches!(world.refusal(), Refusal::Url(UrlProblem::Foreign { .. }));
    let mut world = World::new(&["a.example"]);
    world.order.authorizations[0] = evil.clone();
    assert!(foreign(&world));
    let mut world = World::new(&["a.example"]);
    world.order.finalize = evil.clone();
    assert!(foreign(&world));
    let mut world = World::new(&["a.example"]);
    world.order.certificate = Some(evil.clone());
    assert!(foreign(&world));
    let mut world = World::new(&["a.example"]);
    world.authorize(0, "a.example", "pending", &json!({ "url": evil }));
    assert!(foreign(&world));
}

#[test]
fn what_can_not_be_shown_is_refused_with_words() {
    let mut world = World::new(&["a.example"]);
    let long = "a".repeat(100 << 10);
    for token in [
        json!(null),
        json!(""),
        json!("a/../b"),
        json!("../../api"),
        json!("%2e%2e"),
        json!("a\r\nb"),
        json!("a\0b"),
        json!(long),
    ] {
        world.authorize(0, "a.example", "pending", &json!({ "token": token }));
        assert_eq!(
            world.refusal(),
            Refusal::UnsoundToken("a.example".to_owned())
        );
    }
    world.authorize(0, "a.example", "pending", &json!({ "type": "tls-alpn-01" }));
    assert_eq!(
        world.refusal().to_string(),
        "the CA takes new-kind-01, tls-alpn-01 for a.example, and the issuer's solvers that are for it do http-01"
    );
    let mut world = World::new(&["*.a.example"]);
    world.authorize(0, "a.example", "pending", &json!({}));
    // An authorization for the name itself is not the one for its wildcard.
    assert!(matches!(world.refusal(), Refusal::OtherNames(_)));
    let authorization = world.authorizations.values_mut().next().unwrap();
    authorization.wildcard = true;
    assert!(matches!(
        world.refusal(),
        Refusal::NoSolver(NoSolver::Wildcard { .. })
    ));
    let mut world = World::new(&["a.example"]);
    world.order.authorizations = vec![url("authz/0"); MAX_NAMES + 1];
    assert_eq!(
        world.refusal(),
        Refusal::TooManyAuthorizations(MAX_NAMES + 1)
    );
}

#[test]
fn what_failed_is_told_by_name() {
    let error = |kind: &str, detail: &str| {
        json!({
            "status": "invalid",
            "error": { "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail },
        })
    };
    let mut world = World::new(&["a.example", "b.example", "c.example"]);
    world.authorize(0, "a.example", "invalid", &error("connection", "timeout"));
    world.authorize(1, "b.example", "pending", &json!({}));
    world.authorize(
        2,
        "c.example",
        "invalid",
        &error("dns", "NXDOMAIN looking up A"),
    );
    // Nothing more is shown of an order that is lost.
    let failure = world.failure();
    assert_eq!(failure.meaning, Meaning::Connection);
    assert_eq!(
        failure.identifiers,
        BTreeSet::from([identifier("a.example"), identifier("c.example")])
    );
    for part in [
        "a.example",
        "timeout",
        "port 80",
        "c.example",
        "NXDOMAIN looking up A",
    ] {
        assert!(failure.words.contains(part), "{}", failure.words);
    }
    // The order says so too, mostly without a reason.
    world.order.status = OrderStatus::Invalid;
    assert_eq!(world.failure(), failure);
}

#[test]
fn an_authorization_that_lapsed_costs_another_order_and_no_long_wait() {
    for status in ["expired", "deactivated", "revoked"] {
        let mut world = World::new(&["a.example"]);
        world.authorize(0, "a.example", status, &json!({}));
        let failure = world.failure();
        assert_eq!(failure.meaning, Meaning::Transient { until: None });
        assert!(failure.words.contains("a.example"), "{}", failure.words);
    }
}

#[test]
fn an_order_that_is_lost_says_why_as_well_as_it_can() {
    let mut world = World::new(&["a.example"]);
    world.order.status = OrderStatus::Invalid;
    assert_eq!(world.step(), Step::Read(vec![url("authz/0")]));
    world.authorize(0, "a.example", "valid", &json!({ "status": "valid" }));
    let failure = world.failure();
    assert_eq!(failure.meaning, Meaning::Permanent);
    assert!(!failure.words.is_empty());

    world.order.error = Some(Problem {
        kind: "urn:ietf:params:acme:error:caa".to_owned(),
        detail: "CAA record for a.example prevents issuance".to_owned(),
        ..Problem::default()
    });
    let failure = world.failure();
    assert_eq!(failure.meaning, Meaning::Caa);
    assert!(failure.words.contains("prevents issuance"));
    assert!(failure.words.contains("caaIdentities"));
}
