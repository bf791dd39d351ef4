use certwright_core::api::Issuer;
use certwright_core::plan::request::IssuerName;
use kube::runtime::reflector::store::Writer;
use serde_json::json;

use super::*;

/// The watch of Certificates: its store, and what follows it.
struct Watch {
    writer: Writer<Certificate>,
    certificates: Certificates,
}

impl Watch {
    fn new() -> Self {
        let writer = Writer::new(Group::default());
        let certificates = Certificates::new(Group::default(), writer.as_reader());
        Self {
            writer,
            certificates,
        }
    }

    /// The store first, as in the operator.
    fn shows(&mut self, event: Event<Certificate>) -> Vec<String> {
        self.writer.apply_watcher_event(&event);
        let mut look: Vec<String> = self
            .certificates
            .observe(&event)
            .into_iter()
            .map(|name| name.name)
            .collect();
        look.sort();
        look
    }

    fn lists(&mut self, all: impl IntoIterator<Item = Certificate>) -> Vec<String> {
        self.shows(Event::Init);
        for certificate in all {
            assert_eq!(self.shows(Event::InitApply(certificate)), [""; 0]);
        }
        self.shows(Event::InitDone)
    }

    fn claimants(&self, secret: &str) -> Vec<String> {
        let mut claimants = self.certificates.claimants(&named(secret));
        claimants.sort();
        claimants
            .into_iter()
            .map(|claimant| claimant.name)
            .collect()
    }

    fn version(&self, name: &str) -> Option<u64> {
        let certificate = self.certificates.get(&named(name))?;
        Some(version_of(&certificate))
    }
}

fn named(name: &str) -> Named {
    Named::new("shop", name)
}

fn certificate(name: &str, version: u64, secret: &str) -> Certificate {
    let object = json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": "u", "resourceVersion": version.to_string(),
            "creationTimestamp": "2026-11-02T10:00:00Z",
        },
        "spec": { "secretName": secret, "issuerRef": { "name": "ca" } },
    });
    serde_json::from_value(object).unwrap()
}

fn deleting(mut certificate: Certificate) -> Certificate {
    let now = certificate.metadata.creation_timestamp.clone();
    certificate.metadata.deletion_timestamp = now;
    certificate
}

#[test]
fn all_look_after_a_list_and_none_before_the_store_has_it() {
    let mut watch = Watch::new();
    let all = [certificate("a", 1, "tls"), certificate("b", 2, "tls")];
    assert_eq!(watch.lists(all), ["a", "b"]);
    assert_eq!(watch.claimants("tls"), ["a", "b"]);
    // Unchanged ones look again: they may name the Secret of one that has gone meanwhile.
    assert_eq!(watch.lists([certificate("b", 2, "tls")]), ["b"]);
    assert_eq!(watch.claimants("tls"), ["b"]);
}

#[test]
fn the_others_of_a_secret_look_when_a_claim_comes_goes_or_moves() {
    let mut watch = Watch::new();
    watch.lists([certificate("a", 1, "tls"), certificate("b", 2, "other")]);
    let moved = certificate("b", 3, "tls");
    assert_eq!(watch.shows(Event::Apply(moved)), ["a", "b"]);
    assert_eq!(watch.claimants("other"), [""; 0]);
    let status_only = certificate("b", 4, "tls");
    assert_eq!(watch.shows(Event::Apply(status_only)), ["b"]);
    let going = deleting(certificate("a", 5, "tls"));
    assert_eq!(watch.shows(Event::Apply(going.clone())), ["a", "b"]);
    assert_eq!(watch.claimants("tls"), ["b"]);
    assert_eq!(watch.shows(Event::Delete(going)), ["b"]);
    let last = certificate("b", 6, "tls");
    assert_eq!(watch.shows(Event::Delete(last)), [""; 0]);
    assert!(watch.certificates.index().by_secret.is_empty());
}

#[test]
fn the_certificates_of_an_issuer_are_those_that_name_it() {
    let mut watch = Watch::new();
    let mut of_cluster = certificate("b", 2, "b-tls");
    of_cluster.spec.issuer_ref.kind = Some("ClusterIssuer".to_owned());
    watch.lists([certificate("a", 1, "a-tls"), of_cluster]);
    let of = |cluster, namespace: &str| {
        let name = IssuerName {
            cluster,
            name: "ca".to_owned(),
        };
        watch.certificates.of_issuer(&(name, namespace.to_owned()))
    };
    assert_eq!(of(false, "shop"), [named("a")]);
    assert_eq!(of(false, "elsewhere"), []);
    assert_eq!(of(true, ""), [named("b")]);
}

#[test]
fn a_written_status_overlays_the_watch_until_the_watch_comes_to_it() {
    let mut watch = Watch::new();
    watch.lists([certificate("a", 10, "tls")]);
    watch.certificates.wrote(certificate("a", 20, "tls"));
    assert_eq!(watch.version("a"), Some(20));
    watch.shows(Event::Apply(certificate("a", 15, "tls")));
    assert_eq!(watch.version("a"), Some(20));
    watch.shows(Event::Apply(certificate("a", 20, "tls")));
    assert_eq!(watch.version("a"), Some(20));
    assert!(watch.certificates.index().written.is_empty());
}

#[test]
fn a_write_that_the_watch_was_faster_with_is_not_kept() {
    let mut watch = Watch::new();
    watch.lists([certificate("a", 10, "tls")]);
    watch.shows(Event::Apply(certificate("a", 20, "tls")));
    watch.certificates.wrote(certificate("a", 20, "tls"));
    watch.shows(Event::Delete(certificate("a", 21, "tls")));
    watch.certificates.wrote(certificate("a", 20, "tls"));
    assert!(watch.certificates.index().written.is_empty());
    assert_eq!(watch.version("a"), None);
}

#[test]
fn a_list_that_was_begun_before_a_write_leaves_it() {
    let mut watch = Watch::new();
    watch.lists([certificate("a", 10, "tls"), certificate("b", 11, "b-tls")]);
    watch.certificates.wrote(certificate("a", 20, "tls"));
    watch.certificates.wrote(certificate("b", 21, "b-tls"));
    watch.lists([certificate("a", 10, "tls"), certificate("b", 21, "b-tls")]);
    assert_eq!(watch.version("a"), Some(20));
    assert_eq!(watch.certificates.index().written.len(), 1);
    // Gone, and made anew under the same name.
    watch.shows(Event::Delete(certificate("a", 30, "tls")));
    watch.shows(Event::Apply(certificate("a", 31, "tls")));
    assert_eq!(watch.version("a"), Some(31));
}

#[test]
fn an_issuer_concerns_its_certificates_when_it_comes_goes_or_turns() {
    let issuer = |generation: i64, ready: &str| -> Issuer {
        let condition = json!({
            "type": "Ready", "status": ready, "reason": "R", "message": "", "lastTransitionTime": "2026-11-02T10:00:00Z",
        });
        let object = json!({
            "metadata": { "namespace": "shop", "name": "ca", "uid": "u", "generation": generation },
            "spec": { "selfSigned": {} },
            "status": { "conditions": [condition] },
        });
        serde_json::from_value(object).unwrap()
    };
    let mut writer = Writer::new(Group::default());
    let store = writer.as_reader();
    let mut seen = IssuersSeen::default();
    let mut concerned = |event: Event<Issuer>| {
        writer.apply_watcher_event(&event);
        !seen.observe(&store, &event).is_empty()
    };
    assert!(!concerned(Event::Init));
    assert!(!concerned(Event::InitApply(issuer(1, "True"))));
    assert!(concerned(Event::InitDone), "it came");
    assert!(!concerned(Event::Apply(issuer(1, "True"))));
    assert!(concerned(Event::Apply(issuer(1, "False"))), "it can't sign");
    assert!(
        concerned(Event::Apply(issuer(2, "False"))),
        "its spec changed"
    );
    assert!(!concerned(Event::Init));
    assert!(concerned(Event::InitDone), "it went while nobody watched");
    assert!(concerned(Event::Delete(issuer(2, "False"))));
}
