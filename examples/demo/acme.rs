//! The act with an ACME CA and a front door.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use certwright_test_cluster::visit;
use serde_json::json;
use tokio::process::Command;

use crate::{
    front::{Front, PAGE},
    kubectl::{Kubectl, Manifest, succeed, until},
    operator::write_private,
    place::Place,
    voice::{answer, command, say, seen},
};

/// Has the operator's Service lead to the operator, whose Pod is not in the cluster.
pub(crate) async fn lead_to_the_operator(kubectl: &Kubectl, front: &Front) -> anyhow::Result<()> {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "certwright-http01-demo", "namespace": "certwright",
            "labels": { "kubernetes.io/service-name": "certwright-http01" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [front.answers.ip()], "conditions": { "ready": true } }],
        "ports": [{ "name": "http", "port": front.answers.port(), "protocol": "TCP" }],
    });
    kubectl
        .run("apply -f -", Some(&slice.to_string()))
        .await
        .map(|_| ())
}

/// The act.
pub(crate) async fn serves_what_a_ca_proved(
    place: &Place,
    front: &Front,
    certwright: &Path,
) -> anyhow::Result<()> {
    let kubectl = &place.kubectl;
    say(&format!(
        "An ACME CA asks the web server behind a name. Here it is Pebble, which Let's Encrypt makes for tests, and Traefik \
         is the front door,\nat {} for HTTP and {} for HTTPS. One file: issuer, certificate, and an Ingress to show it.",
        front.door.http(),
        front.door.https()
    ));
    kubectl
        .show_apply_filled(
            ACME,
            &[
                ("PEBBLE", &front.pebble.directory()),
                ("PEBBLE_CA", &front.pebble.bundle()),
                ("PAGE_ADDRESS", &front.page.ip().to_string()),
                ("PAGE_PORT", &front.page.port().to_string()),
            ],
        )
        .await?;
    kubectl
        .show("wait -n certwright-demo --for=condition=Ready certificate/web --timeout=100s")
        .await?;
    kubectl
        .show("get issuers,certificates -n certwright-demo")
        .await?;
    let asked = front.pebble.log()?;
    ensure!(
        asked.contains("http://www.example.com"),
        "Pebble did not ask for the name"
    );
    seen(
        "Pebble asked for http://www.example.com, Traefik led it to the operator, and the Secret is there",
    );
    until("nothing is left of the way in", async || {
        let left = kubectl
            .run(
                "get ingresses,services -n certwright-demo -l certwright.dev/http01-solver -o name",
                None,
            )
            .await?;
        Ok(left.is_empty().then_some(()))
    })
    .await?;
    seen("the Ingress and the Service that led it there are gone again");
    is_shown(place, front, certwright).await
}

/// A visitor, who trusts Pebble's root alone.
async fn is_shown(place: &Place, front: &Front, certwright: &Path) -> anyhow::Result<()> {
    let root = front.pebble.root().await?;
    let file = place.folder.join(ROOT);
    write_private(&file, &root)?;
    let at = SocketAddr::from(front.door.https());
    say("\nAnd who visits the shop by HTTPS, trusting Pebble's root and nobody else?");
    let visit = until("the shop answers by HTTPS", async || {
        Ok(visit(at, NAME, &root).await.ok())
    })
    .await?;
    let arguments = [
        "inspect".to_owned(),
        at.to_string(),
        format!("--server-name={NAME}"),
        format!("--extra-ca-file={}", file.display()),
    ];
    command(&format!("certwright {}", arguments.join(" ")));
    let mut inspect = Command::new(certwright);
    inspect.args(arguments).env_remove("HTTPS_PROXY");
    let text = succeed(inspect, None)
        .await
        .context("certwright inspect failed")?;
    answer(&text);
    ensure!(
        text.contains(NAME) && text.contains("Pebble"),
        "the front door shows another certificate"
    );
    say("\nThe page that came with it:");
    answer(&visit.answer);
    ensure!(
        visit.answer.starts_with("HTTP/1.1 200") && visit.answer.ends_with(PAGE),
        "this is not the shop's page"
    );
    let held = place
        .kubectl
        .json("get secret web-tls -n certwright-demo")
        .await?;
    let held = BASE64_STANDARD
        .decode(held["data"]["tls.crt"].as_str().unwrap_or_default())
        .context("Secret web-tls is no Secret")?;
    let held: Vec<Vec<u8>> = pem::parse_many(held)
        .context("tls.crt is no PEM")?
        .into_iter()
        .map(pem::Pem::into_contents)
        .collect();
    ensure!(
        visit.chain == held,
        "the front door shows another chain than that of the Secret"
    );
    seen("the page, over TLS with the chain of the Secret");
    Ok(())
}

/// The request, for a terminal.
pub(crate) fn curl(place: &Place, front: &Front) -> String {
    let port = front.door.https().port();
    format!(
        "curl -i --cacert {} --resolve {NAME}:{port}:127.0.0.1 https://{NAME}:{port}/",
        place.folder.join(ROOT).display()
    )
}

const NAME: &str = "www.example.com";
const ROOT: &str = "pebble-root.pem";
const ACME: Manifest = Manifest {
    path: "examples/demo/acme.yaml",
    text: include_str!("acme.yaml"),
};
