//! step-ca, a CA for private networks that speaks ACME: another reading of the same RFCs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright::acme::{Client, Verification};
use certwright_core::acme::wire::OrderStatus;
use certwright_core::api::Certificate;
use certwright_core::pki::KeySpec;
use certwright_test_cluster::{Binaries, Process, Program, answerer};
use kube::Api;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{key, kind, names};
use crate::customer::Customer;
use crate::operator::{World, field, held};
use crate::pebble::{Ways, client, free_ports, reachable, start};

/// A CA that runs until this is dropped.
struct StepCa {
    directory: String,
    bundle: String,
    answers: SocketAddr,
    _processes: [Process; 2],
    _folder: TempDir,
}

impl StepCa {
    /// One that looks for answers at this port of 127.0.0.1, whatever the name; at the answerer's, if there is none.
    async fn start(http_port: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [listen, http, answers, dns] = free_ports();
        let local = |port: u16| format!("127.0.0.1:{port}");
        let root = CertifiedIssuer::self_signed(ca("The root", 1), KeyPair::generate().unwrap());
        let root = root.unwrap();
        let between = CertifiedIssuer::signed_by(
            ca("The intermediate", 0),
            KeyPair::generate().unwrap(),
            &root,
        )
        .unwrap();
        std::fs::write(at("root.pem"), root.pem()).unwrap();
        std::fs::write(at("intermediate.pem"), between.pem()).unwrap();
        std::fs::write(at("intermediate.key"), between.key().serialize_pem()).unwrap();
        let config = json!({
            "root": at("root.pem"),
            "crt": at("intermediate.pem"),
            "key": at("intermediate.key"),
            "address": local(listen),
            "dnsNames": ["127.0.0.1"],
            "db": { "type": "bbolt", "dataSource": at("db") },
            "authority": { "provisioners": [{ "type": "ACME", "name": "acme" }] },
        });
        std::fs::write(at("ca.json"), config.to_string()).unwrap();
        let binaries = Binaries::locate().unwrap();
        let answerer = answerer(&binaries, answers, http, dns, at("answers.log")).unwrap();
        let step_ca = start(
            "step-ca",
            &binaries.path(Program::StepCa).unwrap(),
            &[format!("STEPPATH={}", folder.path().display())],
            &[
                at("ca.json").to_str().unwrap(),
                "--insecure",
                "--acme-http-port",
                &http_port.unwrap_or(http).to_string(),
                "--resolver",
                &local(dns),
            ],
            at("step-ca.log"),
        );
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut processes = [answerer, step_ca];
        for port in [answers, listen] {
            reachable(address(port), &mut processes).await;
        }
        Self {
            directory: format!("https://127.0.0.1:{listen}/acme/acme/directory"),
            bundle: BASE64_STANDARD.encode(root.pem()),
            answers: address(answers),
            _processes: processes,
            _folder: folder,
        }
    }

    fn client(&self) -> Client {
        let verification = Verification::Roots(Some(self.bundle.clone()));
        client(&self.directory, &verification)
    }
}

fn ca(name: &str, below: u8) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[tokio::test]
async fn step_ca_issues_and_revokes() {
    let ca = StepCa::start(None).await;
    let mut customer = Customer::new(ca.client(), ca.answers);
    let mut chain = None;
    for _ in 0..500 {
        chain = customer.step().await.unwrap();
        if chain.is_some() {
            break;
        }
    }
    let chain = chain.expect("a certificate in 500 steps");
    let leaf = &chain[0];
    assert_eq!(leaf.public_key, *customer.leaf_key.public());
    assert_eq!(
        leaf.names.dns,
        BTreeSet::from(["www.example.com".to_owned()])
    );
    assert!(leaf.is_signed_by(&chain[1]));

    let account = customer.account.clone().unwrap();
    let revoked = customer
        .client
        .revoke(&customer.key, Some(&account), &leaf.der, 1);
    revoked.await.unwrap();
    let twice = customer
        .client
        .revoke(&customer.key, Some(&account), &leaf.der, 1);
    assert_eq!(kind(&twice.await.unwrap_err()), "alreadyRevoked");
}

#[tokio::test]
async fn step_ca_finds_an_account_by_its_key_and_has_no_services_that_it_does_not_list() {
    let ca = StepCa::start(None).await;
    let client = ca.client();
    let offer = client.offer().await.unwrap();
    for spec in [KeySpec::Ecdsa(256), KeySpec::Ecdsa(384), KeySpec::Rsa(2048)] {
        let account_key = key(spec);
        let nobody = client.find_account(&account_key).await.unwrap_err();
        assert_eq!(kind(&nobody), "accountDoesNotExist");
        let account = client.account(&account_key, Some("ops@example.com"), None);
        let account = account.await.unwrap();
        let found = ca.client().find_account(&account_key).await.unwrap();
        assert_eq!(found.url, account.url, "{spec}");
        let asked = names(&["www.example.com", "127.0.0.1"]);
        let order = client.new_order(&account_key, &account.url, &asked).await;
        let order = order.unwrap();
        assert_eq!(order.object.status, OrderStatus::Pending);
        assert_eq!(order.object.authorizations.len(), 2);
        let again = client.order(&account_key, &account.url, &order.url).await;
        assert_eq!(again.unwrap().object.identifiers.len(), 2);
    }
    assert_eq!(offer.directory.renewal_info, None);
    let refused = client.renewal_info("a.b").await.unwrap_err().to_string();
    assert_eq!(refused, "the CA's directory has no renewalInfo");
}

#[tokio::test]
async fn step_ca_signs_for_the_operator_without_renewal_information() {
    let world = World::new(Ways::default()).await;
    let ca = StepCa::start(Some(world.answers.port())).await;
    world.issuer_at("step", &ca.directory, &ca.bundle).await;
    let names = json!({ "dnsNames": ["www.example.com"], "ipAddresses": ["127.0.0.1"] });
    world.certificate_with("step", "web", &names).await;
    let secret = world.ready("web", 1).await;
    let (key, issued) = held(&secret);
    assert_eq!(issued[0].public_key, *key.public());
    assert_eq!(
        (issued[0].names.dns.len(), issued[0].names.ip.len()),
        (1, 1)
    );
    assert_eq!(issued.len(), 2);
    assert!(issued[0].is_signed_by(&issued[1]));
    assert_eq!(field(&secret, "ca.crt"), None);
    // A day is all that it lives, and nobody suggests when to renew: that is still told, and is in time.
    let certificates: Api<Certificate> = world.of();
    let status = certificates.get("web").await.unwrap().status.unwrap();
    let renewal = status.renewal_time.unwrap().0;
    assert!(issued[0].not_before < renewal && renewal < issued[0].not_after);
    assert_eq!(status.renewal_window, None);

    world.renew("web").await;
    let (next, _) = held(&world.ready("web", 2).await);
    assert_ne!(next.public().as_der(), key.public().as_der());
    world.is_tidy().await;
}
