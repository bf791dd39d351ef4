//! Certificates revoked by annotation and by command.

use std::process::Stdio;

use certwright_core::api::certificate::RevocationState;
use certwright_core::api::{Certificate, Issuer, condition};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::process::Command;

use crate::operator::{World, eventually, field, held};
use crate::pebble::Ways;

impl World {
    async fn revoke(&self, name: &str, value: &str) {
        let patch = json!({ "metadata": { "annotations": { "certwright.dev/revoke": value } } });
        let certificates: Api<Certificate> = self.of();
        let parameters = PatchParams::default();
        let patch = Patch::Merge(&patch);
        certificates.patch(name, &parameters, &patch).await.unwrap();
    }

    /// `certwright revoke` with these arguments; what it printed.
    async fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let root = self.control_plane.folder().join("pebble-root.pem");
        std::fs::write(&root, self.pebble.server.server_root()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_certwright"))
            .arg("revoke")
            .args(arguments)
            .env(
                "KUBECONFIG",
                self.control_plane.kubeconfig("admin").unwrap(),
            )
            .env("CERTWRIGHT_EXTRA_CA_FILE", root)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_revoked_by_hand_is_replaced_at_once_with_another_key() {
    let world = World::new(Ways::default()).await;
    world.issuer().await;
    world.certificate("web", &["www.example.com"]).await;
    let (first_key, certificates) = held(&world.ready("web", 1).await);
    let first = certificates[0].serial_hex();

    // A serial number of another certificate is refused, and told once.
    world.revoke("web", "04ab:superseded").await;
    let certificates: Api<Certificate> = world.of();
    eventually("it is told", async || {
        let status = certificates.get("web").await.unwrap().status.unwrap();
        let said = condition::find(&status.conditions, "RevocationFailed");
        let said = said.ok_or_else(|| format!("{status:#?}\n{}", world.log()))?;
        assert!(said.message.contains(&first), "{}", said.message);
        assert_eq!(status.revision, Some(1));
        Ok(())
    })
    .await;
    eventually("there is one Event", async || {
        let events: Api<Event> = Api::namespaced(world.client.clone(), "shop");
        let all = events.list(&ListParams::default()).await.unwrap();
        let told = all
            .iter()
            .filter(|event| event.reason.as_deref() == Some("RevocationFailed"))
            .count();
        if told == 1 {
            Ok(())
        } else {
            Err(format!("{told}"))
        }
    })
    .await;

    let said = world
        .command(&["certificate/web", "-n", "shop", "--reason", "keyCompromise"])
        .await
        .unwrap();
    assert!(said.contains(&format!("{first}:keyCompromise")), "{said}");
    let (second_key, _) = held(&world.ready("web", 2).await);
    assert_ne!(second_key.public().as_der(), first_key.public().as_der());
    assert_eq!(
        world.pebble.standing(&first).await,
        ("Revoked".to_owned(), 1)
    );
    let status = certificates.get("web").await.unwrap().status.unwrap();
    let revocation = status.revocation.unwrap();
    assert_eq!(revocation.state, RevocationState::Revoked);
    assert_eq!(revocation.serial_number, Some(first));
    assert_eq!(
        condition::find(&status.conditions, "RevocationFailed"),
        None
    );
    world.is_tidy().await;
    assert!(!world.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn another_account_revokes_by_the_certificates_own_key_and_the_command_without_any() {
    let world = World::new(Ways::default()).await;
    world.issuer().await;
    for name in ["web", "api"] {
        world
            .certificate(name, &[&format!("{name}.example.com")])
            .await;
    }
    let (_, first) = held(&world.ready("web", 1).await);
    let first = first[0].serial_hex();
    let api = world.ready("api", 1).await;
    let (_, old) = world.account().await;

    // The account that ordered them is lost; the next one is another.
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), "shop");
    let parameters = DeleteParams::default();
    secrets.delete("account", &parameters).await.unwrap();
    let issuers: Api<Issuer> = world.of();
    eventually("there is another account", async || {
        let status = issuers.get("pebble").await.unwrap().status.unwrap();
        let uri = status.acme.and_then(|acme| acme.uri);
        if uri.as_ref().is_some_and(|uri| *uri != old) {
            Ok(())
        } else {
            Err(format!("{uri:?}\n{}", world.log()))
        }
    })
    .await;
    world.revoke("web", &format!("{first}:4")).await;
    world.ready("web", 2).await;
    assert_eq!(
        world.pebble.standing(&first).await,
        ("Revoked".to_owned(), 4)
    );

    // From a file, without the operator.
    let both = [field(&api, "tls.crt"), field(&api, "tls.key")];
    let file = world.control_plane.folder().join("api.pem");
    std::fs::write(&file, both.map(Option::unwrap).concat()).unwrap();
    let file = file.to_str().unwrap();
    let problem = world.command(&[file]).await.unwrap_err();
    assert!(problem.contains("--server"), "{problem}");
    let server = world.pebble.directory.as_str();
    for says in ["has revoked", "was revoked before"] {
        let arguments = [file, "--server", server, "--reason", "superseded"];
        let said = world.command(&arguments).await.unwrap();
        assert!(said.contains(says), "{said}");
    }
    let (_, certificates) = held(&api);
    let serial = certificates[0].serial_hex();
    assert_eq!(
        world.pebble.standing(&serial).await,
        ("Revoked".to_owned(), 4)
    );
}
