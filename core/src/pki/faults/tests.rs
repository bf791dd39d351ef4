use rustls_pki_types::{ServerName, TrustAnchor};

use super::*;
use crate::pki::profile::Profile;
use crate::pki::sign::{self, Locations};
use crate::pki::testing::{
    DAY, at, authority, below, ca, key, leaf, now, root, self_signed, signed,
};
use crate::pki::{Authority, PrivateKey};

const NAME: &str = "www.example.com";

/// A root, a CA below it, and a leaf below that.
struct World {
    root: Authority,
    intermediate: Authority,
    leaf: Facts,
}

impl World {
    fn new() -> Self {
        let root = root(&ca("Root"));
        let intermediate = below(&root, &ca("Below"));
        let leaf = signed(&intermediate, &leaf(&[NAME]), &key()).unwrap();
        Self {
            root,
            intermediate,
            leaf,
        }
    }

    fn root(&self) -> Facts {
        self.root.chain[0].clone()
    }

    fn intermediate(&self) -> Facts {
        self.intermediate.chain[0].clone()
    }

    fn chain(&self) -> [Facts; 2] {
        [self.leaf.clone(), self.intermediate()]
    }
}

fn anchor(facts: &Facts) -> TrustAnchor<'static> {
    webpki::anchor_from_trusted_cert(&facts.der)
        .unwrap()
        .to_owned()
}

/// What is wrong with a chain today, as one who trusts `trusted` sees it; with a change to the question.
fn judged<'a>(
    chain: &'a [Facts],
    trusted: &'a [TrustAnchor<'a>],
    change: impl FnOnce(&mut Shown<'a>),
) -> Judgement {
    let mut shown = Shown {
        chain,
        name: None,
        holds_key: None,
        trusted,
        own_cas: false,
        least_left: SignedDuration::ZERO,
        now: now(),
    };
    change(&mut shown);
    judge(&shown).unwrap()
}

fn faults(chain: &[Facts], trusted: &[Facts]) -> Vec<Fault> {
    let anchors: Vec<_> = trusted.iter().map(anchor).collect();
    judged(chain, &anchors, |_| {}).faults
}

#[test]
fn a_chain_that_leads_to_a_trusted_root_is_fine_with_the_root_and_without() {
    let world = World::new();
    let anchors = [anchor(&world.root())];
    let name = ServerName::try_from(NAME).unwrap();
    let with_root = [world.leaf.clone(), world.intermediate(), world.root()];
    for chain in [&world.chain()[..], &with_root] {
        let judgement = judged(chain, &anchors, |shown| {
            shown.name = Some(&name);
            shown.holds_key = Some(true);
        });
        let ends = world.leaf.not_after;
        let fine = Judgement {
            faults: Vec::new(),
            ends,
        };
        assert_eq!(judgement, fine);
    }
    assert!(
        judge(&Shown {
            chain: &[],
            name: None,
            holds_key: None,
            trusted: &anchors,
            own_cas: false,
            least_left: SignedDuration::ZERO,
            now: now(),
        })
        .is_none()
    );
}

#[test]
fn dates_are_those_of_all_that_a_client_needs() {
    let world = World::new();
    let anchors = [anchor(&world.root())];
    let chain = world.chain();
    let leaf = &chain[0];
    let at_moment = |moment| judged(&chain, &anchors, |shown| shown.now = moment).faults;
    let expired = |position: usize, facts: &Facts| Fault::Expired {
        position,
        not_after: facts.not_after,
    };
    assert_eq!(at_moment(leaf.not_after), []);
    let second = SignedDuration::from_secs(1);
    assert_eq!(at_moment(leaf.not_after + second), [expired(1, leaf)]);
    // Both were made in the same second.
    let early = [1, 2].map(|position| Fault::NotYetValid {
        position,
        not_before: leaf.not_before,
    });
    assert_eq!(at_moment(leaf.not_before - second), early);
    let soon = judged(&chain, &anchors, |shown| {
        shown.least_left = SignedDuration::from_hours(91 * 24);
    });
    let ends_soon = Fault::EndsSoon {
        position: 1,
        not_after: leaf.not_after,
    };
    assert_eq!(soon.faults, [ends_soon]);

    // The CA was given another certificate, and its former one is still shown.
    let key = key();
    let former = Profile {
        lifetime_seconds: 10 * DAY,
        ..ca("Below")
    };
    let former = signed(&world.root, &former, &key).unwrap();
    let newer = signed(&world.root, &ca("Below"), &key).unwrap();
    let newer = authority(&[&newer, &world.root()], &key);
    let below_it = signed(
        &newer,
        &crate::pki::testing::leaf(&[NAME]),
        &crate::pki::testing::key(),
    );
    let chain = [below_it.unwrap(), former.clone()];
    let judgement = judged(&chain, &anchors, |shown| {
        shown.now = former.not_after + second
    });
    assert_eq!(judgement.faults, [expired(2, &former)]);
    assert_eq!(judgement.ends, former.not_after);
}

#[test]
fn names_and_keys_are_the_leafs() {
    let world = World::new();
    let anchors = [anchor(&world.root())];
    let chain = world.chain();
    for other in ["example.com", "192.0.2.1", "a.www.example.com"] {
        let name = ServerName::try_from(other).unwrap();
        let judgement = judged(&chain, &anchors, |shown| {
            shown.name = Some(&name);
            shown.holds_key = Some(false);
        });
        let wrong = Fault::WrongName {
            name: other.to_owned(),
            names: vec![NAME.to_owned()],
        };
        assert_eq!(judgement.faults, [wrong, Fault::KeyMismatch]);
    }
}

#[test]
fn certificates_in_another_order_are_told_how_to_stand() {
    let world = World::new();
    let root = world.root();
    let [leaf, below] = world.chain();
    let trusted = [root.clone()];
    let order = |right: &[usize]| {
        vec![Fault::WrongOrder {
            right: right.to_vec(),
        }]
    };
    assert_eq!(
        faults(&[leaf.clone(), root, below.clone()], &trusted),
        order(&[1, 3, 2])
    );
    assert_eq!(
        faults(&[below.clone(), leaf.clone()], &trusted),
        order(&[2, 1])
    );
    // What follows the chain is nobody's concern.
    let other = self_signed(&ca("Other"), &key());
    assert_eq!(faults(&[leaf, below, other], &trusted), []);
}

#[test]
fn why_nobody_trusts_it_is_told_apart() {
    let world = World::new();
    let [leaf, below] = world.chain();
    let root = world.root();
    let unknown = |authority: &str, namesake| {
        vec![Fault::UnknownAuthority {
            authority: authority.to_owned(),
            namesake,
        }]
    };
    // Nothing hints at what is above.
    assert_eq!(
        faults(std::slice::from_ref(&leaf), &[]),
        unknown("CN=Below", false)
    );
    assert_eq!(
        faults(&[leaf.clone(), below.clone()], &[]),
        unknown("CN=Root", false)
    );
    assert_eq!(
        faults(&[leaf.clone(), below.clone(), root.clone()], &[]),
        unknown("CN=Root", false)
    );
    // Another root of that name.
    let namesake = self_signed(&ca("Root"), &key());
    assert_eq!(
        faults(
            &[leaf.clone(), below.clone()],
            std::slice::from_ref(&namesake)
        ),
        unknown("CN=Root", true)
    );
    assert_eq!(
        faults(&[leaf.clone(), below, root.clone()], &[namesake]),
        unknown("CN=Root", true)
    );
    // Who has the root in hand misses what is between.
    let anchors = [anchor(&root)];
    let judgement = judged(std::slice::from_ref(&leaf), &anchors, |shown| {
        shown.own_cas = true
    });
    let missing = |found_at: Option<&str>| Fault::MissingIntermediate {
        position: 1,
        issuer: "CN=Below".to_owned(),
        found_at: found_at.map(str::to_owned),
    };
    assert_eq!(judgement.faults, [missing(None)]);
    // The leaf itself says that there is more.
    let locations = Locations {
        issuing_certificate_urls: vec!["http://ca.example.com/below.crt".to_owned()],
        ..Locations::default()
    };
    let key = key();
    let located = sign::by_authority(
        &crate::pki::testing::leaf(&[NAME]),
        &locations,
        key.public(),
        &world.intermediate,
        now(),
    );
    let located = Facts::read(&located.unwrap()).unwrap();
    assert_eq!(
        faults(&[located], &[root]),
        [missing(Some("http://ca.example.com/below.crt"))]
    );
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_only_for_its_own_sake() {
    let own: PrivateKey = key();
    let server = self_signed(&leaf(&[NAME]), &own);
    let authority = self_signed(&ca("Itself"), &key());
    for facts in [server, authority] {
        let chain = std::slice::from_ref(&facts);
        assert_eq!(faults(chain, &[]), [Fault::SelfSigned]);
        assert_eq!(faults(chain, chain), []);
    }
}

#[test]
fn a_leaf_that_is_not_for_servers_is_told() {
    let root = root(&ca("Root"));
    let client = Profile {
        extended_key_usages: ["1.3.6.1.5.5.7.3.2".to_owned()].into(),
        ..leaf(&[NAME])
    };
    let client = signed(&root, &client, &key()).unwrap();
    let trusted = [root.chain[0].clone()];
    assert_eq!(faults(&[client], &trusted), [Fault::NotForServers]);
}

#[test]
fn every_fault_has_a_name_of_its_own_a_cause_and_a_remedy() {
    let moment = at("2026-11-23T10:00:00Z");
    let all = [
        Fault::Expired {
            position: 1,
            not_after: moment,
        },
        Fault::NotYetValid {
            position: 1,
            not_before: moment,
        },
        Fault::EndsSoon {
            position: 2,
            not_after: moment,
        },
        Fault::WrongName {
            name: "a".to_owned(),
            names: ["b", "c", "d", "e", "f", "g", "h"]
                .map(str::to_owned)
                .to_vec(),
        },
        Fault::KeyMismatch,
        Fault::WeakKey {
            position: 1,
            bits: 1024,
        },
        Fault::WeakSignature {
            position: 1,
            algorithm: "sha1WithRSAEncryption".to_owned(),
        },
        Fault::WrongOrder { right: vec![2, 1] },
        Fault::SelfSigned,
        Fault::MissingIntermediate {
            position: 1,
            issuer: "CN=Below".to_owned(),
            found_at: None,
        },
        Fault::UnknownAuthority {
            authority: "CN=Root".to_owned(),
            namesake: true,
        },
        Fault::NotForServers,
        Fault::NameNotPermitted,
        Fault::Revoked {
            at: moment,
            reason: Some("superseded"),
        },
        Fault::Refused {
            problem: "BadDer".to_owned(),
        },
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(Fault::code).collect();
    assert_eq!(codes.len(), all.len());
    for fault in &all {
        for text in [fault.cause(), fault.remedy()] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
        }
    }
    assert_eq!(
        all[3].cause(),
        "the certificate is not for a, but for b, c, d, e, f and 2 more"
    );
    assert_eq!(
        all[13].cause(),
        "its CA revoked the certificate at 2026-11-23T10:00:00Z, for superseded"
    );
}
