//! A CA that does what no CA should: the Certificate says it in words, and no Secret holds what must not be used.

use certwright_core::api::certificate::{CertificateStatus, LastFailure};
use certwright_core::api::{Certificate, condition};
use futures::FutureExt as _;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::faulty::{Asked, Fault, Faulty, Rewrite};
use crate::forger::{Forger, Forgery};
use crate::operator::{World, eventually, field, held};
use crate::pebble::Ways;

/// A CA that gives its objects otherwise than they are, and what is said of it.
struct Liar {
    /// Of which requests the answers are changed: how their paths begin.
    paths: &'static [&'static str],
    rewrite: Rewrite,
    reason: &'static str,
    words: &'static str,
}

impl Liar {
    fn new(
        paths: &'static [&'static str],
        reason: &'static str,
        words: &'static str,
        rewrite: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Self {
        Self {
            paths,
            rewrite: Rewrite::by(rewrite),
            reason,
            words,
        }
    }
}

const ORDER: &[&str] = &["/order-plz", "/my-order/"];
const ORDER_LATER: &[&str] = &["/my-order/"];
const AUTHORIZATION: &[&str] = &["/authZ/"];

/// Sets a field to what it is with another origin, which is one that the directory does not name.
fn leads(object: &mut Value, pointer: &str, elsewhere: &str) {
    if let Some(url) = object.pointer_mut(pointer) {
        let (_, path) = url.as_str().unwrap().split_once("127.0.0.1:").unwrap();
        let (_, path) = path.split_once('/').unwrap();
        *url = format!("{elsewhere}/{path}").into();
    }
}

fn liars(elsewhere: &str) -> Vec<Liar> {
    let leading = |paths, pointer: &'static str| {
        let elsewhere = elsewhere.to_owned();
        let words = "leads to a server that the CA's directory does not name";
        Liar::new(paths, "RefusedOrder", words, move |object| {
            leads(object, pointer, &elsewhere);
        })
    };
    let invalid = |reason, words, error: Value| {
        Liar::new(ORDER_LATER, reason, words, move |object| {
            if object["status"] != "pending" {
                object["status"] = "invalid".into();
                object["error"] = error.clone();
            }
        })
    };
    let mut liars = vec![
        leading(ORDER, "/authorizations/0"),
        leading(ORDER, "/finalize"),
        leading(ORDER, "/certificate"),
        invalid(
            "CAAForbids",
            "CAA record for",
            json!({
                "type": "urn:ietf:params:acme:error:caa",
                "detail": "CAA record for it prevents issuance",
            }),
        ),
        invalid("RefusedByCA", "does not say why", Value::Null),
        Liar::new(ORDER, "RefusedOrder", "other names", |object| {
            object["identifiers"][0]["value"] = "elsewhere.example.com".into();
        }),
        Liar::new(ORDER, "RefusedOrder", "other names", |object| {
            let more = json!({ "type": "dns", "value": "more.example.com" });
            object["identifiers"].as_array_mut().unwrap().push(more);
        }),
        Liar::new(AUTHORIZATION, "RefusedOrder", "other names", |object| {
            object["identifier"]["value"] = "elsewhere.example.com".into();
        }),
        Liar::new(ORDER, "RefusedOrder", "authorizations", |object| {
            let one = object["authorizations"][0].clone();
            object["authorizations"] = vec![one; 101].into();
        }),
        Liar::new(
            ORDER_LATER,
            "RefusedOrder",
            "names no certificate",
            |object| {
                object["status"] = "valid".into();
                object["certificate"] = Value::Null;
            },
        ),
        Liar::new(AUTHORIZATION, "NoSolver", "", |object| {
            object["challenges"] = json!([]);
        }),
    ];
    let elsewhere = elsewhere.to_owned();
    liars.push(Liar::new(
        AUTHORIZATION,
        "RefusedOrder",
        "leads to a server",
        move |object| {
            for at in 0..object["challenges"].as_array().unwrap().len() {
                leads(object, &format!("/challenges/{at}/url"), &elsewhere);
            }
        },
    ));
    liars
}

/// CAs that ask for tokens that are none.
fn unsound_tokens() -> Vec<Liar> {
    let unsound = [
        // In each of three challenges: more than an answer may have in all would not be read at all.
        "a".repeat(50_000),
        "a".repeat(129),
        "/../../../etc/passwd".to_owned(),
        "a\r\nSet-Cookie: b=c".to_owned(),
        "a b".to_owned(),
        "ä".to_owned(),
        String::new(),
    ];
    let liar = |token: String| {
        Liar::new(
            AUTHORIZATION,
            "RefusedOrder",
            "a token for",
            move |object| {
                for challenge in object["challenges"].as_array_mut().unwrap() {
                    challenge["token"] = token.as_str().into();
                }
            },
        )
    };
    unsound.map(liar).into()
}

#[tokio::test]
async fn what_a_ca_must_not_say_ends_in_words_and_without_a_secret() {
    let world = World::new(Ways::default()).await;
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}", elsewhere.local_addr().unwrap());
    let mut cases = Vec::new();
    for (number, liar) in liars(&url).into_iter().chain(unsound_tokens()).enumerate() {
        let server = Faulty::before(world.pebble.listens).await;
        let (paths, rewrite) = (liar.paths, liar.rewrite.clone());
        server.fails(move |_, asked| {
            let ours = paths.iter().any(|path| asked.path.starts_with(path));
            ours.then(|| Fault::Rewritten(rewrite.clone()))
        });
        let name = format!("case-{number}");
        world
            .issuer_at(&name, &server.directory, &server.bundle)
            .await;
        world
            .certificate_of(&name, &name, &[&format!("{name}.example.com")])
            .await;
        cases.push((name, liar, server));
    }
    for (name, liar, _server) in &cases {
        let failure = fails(&world, name).await;
        assert_eq!(failure.reason, liar.reason, "{name}: {failure:?}");
        assert!(failure.message.contains(liar.words), "{name}: {failure:?}");
        world.has_nothing_to_use(name).await;
    }
    world.is_left_in_peace().await;
    assert!(elsewhere.accept().now_or_never().is_none());
}

#[tokio::test]
async fn what_a_ca_signs_otherwise_than_asked_is_not_stored() {
    let world = World::new(Ways::default()).await;
    let forgeries = [
        (Forgery::Key, "BadCertificate", "key"),
        (Forgery::Name, "BadCertificate", "example.com"),
        (Forgery::MoreNames, "BadCertificate", "more.example.com"),
        (
            Forgery::Alone,
            "BadCertificate",
            "without the one that signed it",
        ),
        (Forgery::OtherIntermediate, "BadCertificate", "signed by"),
        (Forgery::Tomorrow, "BadCertificate", "valid"),
        (Forgery::Yesterday, "BadCertificate", "expired at"),
        (Forgery::CutShort, "Unreachable", "can't be read"),
        (Forgery::Empty, "Unreachable", "can't be read"),
    ];
    let mut servers = Vec::new();
    let sound = [Forgery::None, Forgery::WithKey, Forgery::Soon];
    let all = forgeries.iter().map(|(forgery, ..)| *forgery).chain(sound);
    for forgery in all {
        let server = Faulty::before(world.pebble.listens).await;
        let name = format!("{forgery:?}").to_lowercase();
        let host = format!("{name}.example.com");
        let (mut forger, wanted) = (Forger::new(), host.clone());
        server.fails(move |_, asked: &Asked| {
            if asked.path.starts_with("/finalize-order/") {
                forger.hears(asked);
            }
            let ours = asked.path.starts_with("/certZ/");
            ours.then(|| forger.gives(&wanted, forgery))
        });
        world
            .issuer_at(&name, &server.directory, &server.bundle)
            .await;
        world.certificate_of(&name, &name, &[&host]).await;
        servers.push(server);
    }
    for (forgery, reason, words) in forgeries {
        let name = format!("{forgery:?}").to_lowercase();
        let failure = fails(&world, &name).await;
        assert_eq!(failure.reason, reason, "{name}: {failure:?}");
        assert!(failure.message.contains(words), "{name}: {failure:?}");
        world.has_nothing_to_use(&name).await;
    }
    // The forger's work is taken where nothing is wrong with it: the rest was refused for what is. A key that comes along
    // is left out.
    for forgery in sound {
        let name = format!("{forgery:?}").to_lowercase();
        let secret = world.ready(&name, 1).await;
        let (key, chain) = held(&secret);
        assert_eq!(chain[0].public_key, *key.public(), "{name}");
        let certificates = String::from_utf8(field(&secret, "tls.crt").unwrap()).unwrap();
        assert!(!certificates.contains("PRIVATE KEY"), "{name}");
    }
    assert!(!world.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn an_order_that_the_ca_never_finishes_is_given_up_after_a_day() {
    let world = World::new(Ways::default()).await;
    let server = Faulty::before(world.pebble.listens).await;
    let rewrite = Rewrite::by(|object| {
        if object["status"] != "pending" {
            object["status"] = "processing".into();
        }
    });
    server.fails(move |_, asked| {
        let ours = asked.path.starts_with("/my-order/");
        ours.then(|| Fault::Rewritten(rewrite.clone()))
    });
    world
        .issuer_at("slow", &server.directory, &server.bundle)
        .await;
    world
        .certificate_of("slow", "slow", &["slow.example.com"])
        .await;
    let certificates: Api<Certificate> = world.of();
    let order = eventually("the CA is at work", async || {
        let status = status(&certificates, "slow").await?;
        let order = status.order.clone();
        order
            .filter(|order| order.challenges.iter().any(|challenge| challenge.accepted))
            .ok_or_else(|| format!("{status:#?}"))
    })
    .await;
    let told = status(&certificates, "slow").await.unwrap();
    let said = condition::find(&told.conditions, "Issuing").unwrap();
    assert!(said.message.contains("it was ordered at"), "{said:?}");
    world.has_nothing_to_use("slow").await;

    // A day goes by: what the operator wrote is what it would have written then. It may be writing meanwhile, so that it is
    // told again until it knows.
    let begun = serde_json::to_value(order.started_at.0 - SignedDuration::from_hours(25)).unwrap();
    let operator = PatchParams::apply("certwright").force();
    eventually("the order is given up", async || {
        let found = certificates.get("slow").await;
        let found = found.map_err(|problem| problem.to_string())?;
        let version = found.resource_version();
        let status = found.status.unwrap_or_default();
        if status.order.is_none() && status.last_failure.is_some() {
            return Ok(());
        }
        let mut earlier = serde_json::to_value(&status).unwrap();
        earlier["order"]["startedAt"] = begun.clone();
        let earlier = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
            "metadata": { "name": "slow", "resourceVersion": version },
            "status": earlier,
        });
        // Whoever wrote in between was first.
        let _ = certificates
            .patch_status("slow", &operator, &Patch::Apply(&earlier))
            .await;
        Err(format!("{status:#?}"))
    })
    .await;
    let failure = fails(&world, "slow").await;
    assert_eq!(failure.reason, "OrderStuck");
    assert!(failure.message.contains("24 hours"), "{failure:?}");
    world.is_left_in_peace().await;
}

#[tokio::test]
async fn a_ca_whose_clock_is_hours_off_is_one_like_others() {
    let world = World::new(Ways::default()).await;
    let mut servers = Vec::new();
    for (name, date) in [
        ("behind", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("ahead", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let server = Faulty::before(world.pebble.listens).await;
        server.fails(move |_, _| Some(Fault::Dated(date)));
        world
            .issuer_at(name, &server.directory, &server.bundle)
            .await;
        world
            .certificate_of(name, name, &[&format!("{name}.example.com")])
            .await;
        servers.push(server);
    }
    for name in ["behind", "ahead"] {
        let (key, chain) = held(&world.ready(name, 1).await);
        assert_eq!(chain[0].public_key, *key.public(), "{name}");
    }
    world.is_left_in_peace().await;
}

async fn status(certificates: &Api<Certificate>, name: &str) -> Result<CertificateStatus, String> {
    let found = certificates.get(name).await;
    let found = found.map_err(|problem| problem.to_string())?;
    Ok(found.status.unwrap_or_default())
}

/// Waits until a Certificate says that a try failed, in words that a person can read and that hold nothing to steer a
/// terminal with.
async fn fails(world: &World, name: &str) -> LastFailure {
    let certificates: Api<Certificate> = world.of();
    let (failure, status) = eventually(&format!("{name} fails"), async || {
        let status = status(&certificates, name).await?;
        let failure = status.last_failure.clone();
        failure
            .map(|failure| (failure, status.clone()))
            .ok_or_else(|| format!("{status:#?}\n{}", world.log()))
    })
    .await;
    assert!(!condition::is_true(&status.conditions, "Ready"), "{name}");
    let said = condition::find(&status.conditions, "Issuing").unwrap();
    for words in [&failure.message, &said.message] {
        assert!(words.len() < 4000, "{name}: {words}");
        assert!(!words.contains(|c: char| c.is_control()), "{words:?}");
    }
    failure
}

impl World {
    /// No certificate was stored.
    async fn has_nothing_to_use(&self, certificate: &str) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "shop");
        let found = secrets.get_opt(&format!("{certificate}-tls")).await;
        assert_eq!(found.unwrap(), None, "{certificate}");
    }

    /// Waits until nothing leads anybody to the operator.
    async fn is_left_in_peace(&self) {
        let ingresses: Api<k8s_openapi::api::networking::v1::Ingress> =
            Api::namespaced(self.client.clone(), "shop");
        eventually("no Ingress is left over", async || {
            let found = ingresses.list(&kube::api::ListParams::default()).await;
            let found = found.map_err(|problem| problem.to_string())?.items;
            match found.is_empty() {
                true => Ok(()),
                false => Err(format!("{found:#?}\n{}", self.log())),
            }
        })
        .await;
        self.has_no_ways_in().await;
    }
}
