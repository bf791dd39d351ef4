//! A pair that workloads refuse, and the one before that takes its place.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::{Ca, root};
use super::world::{Given, World, at};
use crate::api::certificate::{
    KeyAlgorithm, PrivateKey as KeyWanted, RevocationState, RevocationStatus,
};
use crate::pki::chain::PairProblem;
use crate::pki::{Facts, PrivateKey};
use crate::plan::Observed;
use crate::plan::held_back::{Kept, Stays, may_return};
use crate::plan::request::IssuerName;

/// What a Secret held.
struct Pair {
    key: PrivateKey,
    chain: Vec<Facts>,
    issuer: Option<IssuerName>,
}

impl Pair {
    fn leaf(&self) -> &Facts {
        &self.chain[0]
    }
}

impl World {
    fn pair(&self) -> Pair {
        let secret = self.secret.as_ref().unwrap();
        let (observed, stored) = Observed::with_contents(secret, &self.group);
        Pair {
            key: stored.key.unwrap(),
            chain: stored.chain,
            issuer: observed.issuer(&self.group),
        }
    }

    /// Whether the one before may take the place of what is held.
    fn goes_back(&self, now: &str, kept: &Pair) -> Result<(), Stays> {
        let (now, observed) = (at(now), self.observed());
        let kept = Kept {
            key: kept.key.public(),
            chain: &kept.chain,
            issuer: kept.issuer.as_ref(),
        };
        let inputs = self.inputs(observed.as_deref());
        may_return(now, &inputs, &self.assess(now), kept)
    }

    /// What became of a revocation that was asked for.
    fn told_of(&mut self, leaf: &Facts, state: RevocationState) {
        self.heard.revocation = Some(RevocationStatus {
            request: format!("{}:keyCompromise", leaf.serial_hex()),
            state,
            serial_number: None,
            message: String::new(),
            time: Time(at("2026-11-03")),
            attempts: None,
            next_try: None,
        });
    }
}

/// One of 90 days, and its next after a day, with the pair before.
fn renewed() -> (World, Pair) {
    renewed_by(&root())
}

fn renewed_by(ca: &Ca) -> (World, Pair) {
    let world = Given::certificate("web").by(ca).issued("2026-11-02");
    let before = world.pair();
    (world.asked("1").issued("2026-11-03"), before)
}

#[test]
fn the_one_before_comes_back_while_it_is_good() {
    let (world, before) = renewed();
    assert_eq!(world.goes_back("2026-11-03", &before), Ok(()));
    let chain = root().below("Shop CA", "2026-01-01", "26280h");
    let (world, before) = renewed_by(&chain);
    assert_eq!(before.chain.len(), 2);
    assert_eq!(world.goes_back("2026-11-03", &before), Ok(()));
    let world = Given::certificate("web").by_itself().issued("2026-11-02");
    let before = world.pair();
    let world = world.asked("1").issued("2026-11-03");
    assert_eq!(world.goes_back("2026-11-03", &before), Ok(()));
}

#[test]
fn it_comes_back_though_the_spec_asks_for_another_key() {
    let world = Given::certificate("web").by(&root()).issued("2026-11-02");
    let before = world.pair();
    let world = world
        .changed(|spec| {
            spec.private_key = Some(KeyWanted {
                algorithm: Some(KeyAlgorithm::Ed25519),
                ..KeyWanted::default()
            });
        })
        .issued("2026-11-03");
    assert_ne!(world.leaf().key, before.leaf().key);
    assert_eq!(world.goes_back("2026-11-03", &before), Ok(()));
}

#[test]
fn it_takes_the_place_of_another_that_is_held() {
    let (world, before) = renewed();
    assert_eq!(
        world.goes_back("2026-11-03", &world.pair()),
        Err(Stays::Same)
    );
    let world = world.without_secret();
    assert_eq!(world.goes_back("2026-11-03", &before), Err(Stays::NotHeld));
    let (mut world, before) = renewed();
    world.edit("kubectl-edit", at("2026-11-03"), |secret| {
        secret.immutable = Some(true);
    });
    assert_eq!(
        world.goes_back("2026-11-03", &before),
        Err(Stays::Immutable)
    );
}

#[test]
fn one_that_is_short_of_a_name_does_not_come_back_and_one_with_more_does() {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let one = ["www.example.com"];
    let both = ["www.example.com", "shop.example.com"];
    let changed = |first: &[&str], then: &[&str]| {
        let world = Given::certificate("web")
            .by(&root())
            .with(|spec| spec.dns_names = named(first))
            .issued("2026-11-02");
        let before = world.pair();
        let world = world
            .changed(|spec| spec.dns_names = named(then))
            .issued("2026-11-03");
        world.goes_back("2026-11-03", &before)
    };
    let missing = PairProblem::MissingNames(vec!["DNS:shop.example.com".to_owned()]);
    assert_eq!(changed(&one, &both), Err(Stays::Unfit(missing)));
    assert_eq!(changed(&both, &one), Ok(()));
}

#[test]
fn a_ca_does_not_come_back_where_none_is_asked_for() {
    let ca = |is_ca: bool| {
        move |spec: &mut crate::api::CertificateSpec| {
            spec.common_name = Some("Shop".to_owned());
            spec.is_ca = Some(is_ca);
        }
    };
    for was in [true, false] {
        let world = Given::certificate("web")
            .by(&root())
            .with(ca(was))
            .issued("2026-11-02");
        let before = world.pair();
        let world = world.changed(ca(!was)).issued("2026-11-03");
        let judged = world.goes_back("2026-11-03", &before);
        assert_eq!(judged, Err(Stays::OfAnotherPurpose));
    }
}

#[test]
fn what_somebody_made_of_it_does_not_come_back() {
    let (world, mut before) = renewed();
    let good = before.chain.clone();
    before.key = world.pair().key;
    let unfit = |problem| Err(Stays::Unfit(problem));
    let judged = world.goes_back("2026-11-03", &before);
    assert_eq!(judged, unfit(PairProblem::KeyDoesNotFit));
    before.chain.clear();
    let judged = world.goes_back("2026-11-03", &before);
    assert_eq!(judged, unfit(PairProblem::Empty));
    // A certificate that anybody can make.
    let own = Given::certificate("web").by_itself().issued("2026-11-02");
    let judged = world.goes_back("2026-11-03", &own.pair());
    assert_eq!(judged, Err(Stays::OfAnotherIssuer));
    before = Pair {
        key: own.pair().key,
        chain: good,
        issuer: own.pair().issuer,
    };
    let judged = world.goes_back("2026-11-03", &before);
    assert_eq!(judged, unfit(PairProblem::KeyDoesNotFit));
}

#[test]
fn one_of_an_issuer_that_is_gone_or_another_does_not_come_back() {
    let (mut world, before) = renewed();
    let of_another = Pair {
        issuer: Some(IssuerName {
            cluster: true,
            name: "ca".to_owned(),
        }),
        ..renewed().1
    };
    let other = Err(Stays::OfAnotherIssuer);
    assert_eq!(world.goes_back("2026-11-03", &of_another), other);
    world.sign_by(&Ca::root("Other Root", "2026-01-01", "87600h"));
    let other = Err(Stays::OfAnotherIssuer);
    assert_eq!(world.goes_back("2026-11-03", &before), other);
    let world = world.lapsed("it has expired");
    assert_eq!(world.goes_back("2026-11-03", &before), other);
    let world = world.not_allowed();
    assert_eq!(world.goes_back("2026-11-03", &before), other);
    assert_eq!(
        world.without_issuer().goes_back("2026-11-03", &before),
        other
    );
}

#[test]
fn one_whose_revocation_was_asked_for_does_not_come_back() {
    let (mut world, before) = renewed();
    // Refused, since it was replaced already: it is not wanted back all the same.
    for state in [
        RevocationState::Revoked,
        RevocationState::Failing,
        RevocationState::Refused,
    ] {
        world.told_of(before.leaf(), state);
        assert_eq!(world.goes_back("2026-11-03", &before), Err(Stays::Revoked));
    }
    let held = world.leaf();
    world.told_of(&held, RevocationState::Revoked);
    assert_eq!(world.goes_back("2026-11-03", &before), Ok(()));
    if let Some(told) = &mut world.heard.revocation {
        told.serial_number = Some(before.leaf().serial_hex());
    }
    assert_eq!(world.goes_back("2026-11-03", &before), Err(Stays::Revoked));
    let (world, before) = renewed();
    let asked = format!("{}:keyCompromise", before.leaf().serial_hex());
    let world = world.revoking(&asked);
    assert_eq!(world.goes_back("2026-11-03", &before), Err(Stays::Revoked));
}

#[test]
fn one_near_its_end_does_not_come_back() {
    let (world, before) = renewed();
    let end = before.leaf().not_after;
    assert_eq!(end, at("2027-01-31"));
    assert_eq!(world.goes_back("2027-01-12T23:59:59Z", &before), Ok(()));
    let near = Err(Stays::NearItsEnd(end));
    assert_eq!(world.goes_back("2027-01-13", &before), near);
    assert_eq!(world.goes_back("2027-01-31", &before), near);
    let expired = PairProblem::Expired {
        position: 1,
        not_after: end,
    };
    let judged = world.goes_back("2027-01-31T00:00:01Z", &before);
    assert_eq!(judged, Err(Stays::Unfit(expired)));
}
