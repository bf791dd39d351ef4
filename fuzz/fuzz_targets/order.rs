//! An ACME order with its authorizations, what is shown for it, and the issuer's solvers, in JSON. Whatever a CA says: the
//! next step leads nowhere but to the CA, shows nothing but tokens, and only for names that were asked for.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use certwright_core::acme::order::{Failure, MAX_NAMES, Proof, Step, View, next};
use certwright_core::acme::problem::{MAX_WORDS, Meaning};
use certwright_core::acme::wire::{Authorization, Directory, Identifier, Order, OrderStatus};
use certwright_core::acme::{Origins, token_is_sound};
use certwright_core::api::certificate::PresentedChallenge;
use certwright_core::api::issuer::Solver;
use certwright_fuzz::{is_plain, now};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[derive(Deserialize)]
struct World {
    names: BTreeSet<Identifier>,
    order: Order,
    #[serde(default)]
    authorizations: BTreeMap<String, Authorization>,
    #[serde(default)]
    presented: Vec<PresentedChallenge>,
    #[serde(default)]
    solvers: Vec<Solver>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fuzz_target!(|json: &[u8]| {
    let Ok(world) = serde_json::from_slice::<World>(json) else {
        return;
    };
    let origins = origins();
    let view = View {
        identifiers: &world.names,
        origins: &origins,
        order: &world.order,
        authorizations: &world.authorizations,
        presented: &world.presented,
        solvers: &world.solvers,
        labels: &world.labels,
    };
    let step = next(&view);
    assert_eq!(step, next(&view));
    match step {
        Step::Refuse(refusal) => assert!(is_plain(&refusal.to_string(), 4096), "{refusal}"),
        Step::Failed(failure) => failed(&failure),
        Step::Read(urls) => {
            assert!((1..=MAX_NAMES).contains(&urls.len()));
            for url in urls {
                origins.check(&url).unwrap();
                assert!(!world.authorizations.contains_key(&url));
            }
        }
        Step::Present(proofs) => {
            assert!(!proofs.is_empty());
            for proof in &proofs {
                sound(&world, &origins, proof);
                assert!(!world.presented.iter().any(|shown| is_for(shown, proof)));
            }
        }
        Step::Accept(proofs) => {
            assert!(!proofs.is_empty());
            for proof in &proofs {
                sound(&world, &origins, proof);
                assert!(world.presented.iter().any(|shown| is_for(shown, proof)));
            }
        }
        Step::Wait => assert!(matches!(
            world.order.status,
            OrderStatus::Pending | OrderStatus::Processing
        )),
        Step::Finalize(url) => {
            assert_eq!(world.order.status, OrderStatus::Ready);
            origins.check(&url).unwrap();
        }
        Step::Download(url) => {
            assert_eq!(world.order.status, OrderStatus::Valid);
            origins.check(&url).unwrap();
        }
    }
});

fn origins() -> Origins {
    let directory: Directory = serde_json::from_str(
        r#"{"newNonce":"https://ca.example/n","newAccount":"https://ca.example/a","newOrder":"https://ca.example:8443/o"}"#,
    )
    .unwrap();
    Origins::of("https://ca.example/directory", &directory).unwrap()
}

fn failed(failure: &Failure) {
    assert!(is_plain(&failure.words, MAX_WORDS + 512), "{failure:?}");
    assert!(!failure.words.is_empty() && !failure.meaning.reason().is_empty());
    if let Meaning::RateLimited { until, .. } | Meaning::Transient { until } = &failure.meaning {
        assert!(until.is_none_or(|until| until >= now()));
    }
}

fn sound(world: &World, origins: &Origins, proof: &Proof<'_>) {
    origins.check(&proof.challenge_url).unwrap();
    origins.check(&proof.authorization_url).unwrap();
    assert!(token_is_sound(&proof.token));
    let wanted = match &proof.identifier {
        Identifier::Dns(name) => {
            let wildcard = Identifier::Dns(format!("*.{name}"));
            world.names.contains(&proof.identifier) || world.names.contains(&wildcard)
        }
        address @ Identifier::Ip(_) => world.names.contains(address),
    };
    assert!(wanted, "{proof:?}");
    assert!(world.solvers.iter().any(|solver| solver == proof.solver));
}

fn is_for(shown: &PresentedChallenge, proof: &Proof<'_>) -> bool {
    shown.kind == proof.kind.as_str()
        && shown.token == proof.token
        && shown.identifier == proof.identifier.to_string()
        && shown.authorization_url == proof.authorization_url
}
