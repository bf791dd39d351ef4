//! A later version re-issues nothing and repairs nothing: Secrets of each release are kept, and stay as they are.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certwright_core::api::{Certificate, Group};
use certwright_core::pki::Authority;
use certwright_core::plan::observed::data;
use certwright_core::plan::{
    Heard, Inputs, IssuerState, Observed, OldLeaves, Plan, ReadyIssuer, Settings, Signer, plan,
};
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What one file holds: a Certificate, its Secret, and the Secret of the CA unless it signed itself.
struct Golden {
    certificate: Certificate,
    secret: Secret,
    signer: Signer,
}

#[test]
fn what_a_release_left_behind_is_kept() {
    let mut seen = 0;
    for release in children(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")) {
        for file in children(&release) {
            let golden =
                read(&file).unwrap_or_else(|problem| panic!("{}: {problem}", file.display()));
            for now in ["2026-11-02T00:00:01Z", "2027-06-01T00:00:00Z"] {
                let plan = planned(&golden, now);
                assert!(
                    matches!(plan, Plan::Keep { .. }),
                    "{} at {now}: {plan:?}",
                    file.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen >= 13, "only {seen} files were found");
}

#[test]
fn the_certificates_kept_are_not_kept_for_every_spec() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v0.1.0/plain.yaml");
    let mut golden = read(&file).unwrap();
    golden
        .certificate
        .spec
        .dns_names
        .push("another.example".into());
    let plan = planned(&golden, "2027-06-01T00:00:00Z");
    assert!(matches!(plan, Plan::Issue { .. }), "{plan:?}");
}

fn planned(golden: &Golden, now: &str) -> Plan {
    let group = Group::default();
    let observed = Observed::of(&golden.secret, &group);
    let settings = Settings::default();
    let heard = Heard::default();
    let issuer = ReadyIssuer {
        identity: "golden".to_owned(),
        signer: golden.signer.clone(),
    };
    let inputs = Inputs {
        group: &group,
        certificate: &golden.certificate,
        secret: Some(&observed),
        owner: golden.certificate.metadata.name.as_deref(),
        issuer: IssuerState::Ready(&issuer),
        fallback: None,
        old_leaves: OldLeaves::Held,
        settings: &settings,
        heard: &heard,
    };
    plan(now.parse().expect("the tests' times are times"), &inputs)
}

/// The files and folders of a folder but texts about it.
fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the golden files are part of the tree");
    entries
        .map(|entry| entry.expect("the golden files are part of the tree").path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "md"))
        .collect()
}

fn read(file: &Path) -> Result<Golden> {
    let text = std::fs::read_to_string(file)?;
    let mut documents = serde_yaml::Deserializer::from_str(&text);
    let certificate = Certificate::deserialize(documents.next().ok_or("no Certificate")?)?;
    let secret = Secret::deserialize(documents.next().ok_or("no Secret")?)?;
    let signer = match documents.next() {
        None => Signer::SelfSigned,
        Some(ca) => Signer::Authority(Arc::new(authority(&Secret::deserialize(ca)?)?)),
    };
    Ok(Golden {
        certificate,
        secret,
        signer,
    })
}

fn authority(secret: &Secret) -> Result<Authority> {
    let bytes = secret.data.as_ref().ok_or("the CA's Secret is empty")?;
    let field = |key: &str| {
        bytes
            .get(key)
            .map(|value| value.0.as_slice())
            .unwrap_or_default()
    };
    Ok(Authority::read(
        field(data::CERTIFICATE),
        field(data::KEY),
        None,
    )?)
}
