//! The image finds, reaches and judges what is outside the cluster, with nothing but itself.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{cluster, kubectl, pod, run};

/// A name that only the cluster's DNS server knows.
const NAME: &str = "server.outside.example.net";

#[tokio::test]
async fn a_server_outside_is_found_by_dns_and_trusted_by_the_added_ca() {
    let cluster = cluster().await;
    let ca = authority();
    let port = serve(&ca).await;
    cluster.add_name(NAME, cluster.host_address()).unwrap();
    let control_plane = cluster.control_plane();
    let namespace = control_plane.namespace("outside").await.unwrap();
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "cas" }, "data": { "ca.crt": ca.pem() },
    });
    let apply = ["apply", "--namespace", &namespace, "-f", "-"];
    kubectl(&apply, &bundle.to_string()).await;

    let pods = Api::<Pod>::namespaced(control_plane.client().unwrap(), &namespace);
    let server = format!("{NAME}:{port}");
    let mut trusting = pod("trusting", &["inspect", &server]);
    let spec = &mut trusting["spec"];
    spec["volumes"] = json!([{ "name": "cas", "configMap": { "name": "cas" } }]);
    let container = &mut spec["containers"][0];
    container["volumeMounts"] = json!([{ "name": "cas", "mountPath": "/cas", "readOnly": true }]);
    container["env"] = json!([{ "name": "CERTWRIGHT_EXTRA_CA_FILE", "value": "/cas/ca.crt" }]);
    let (phase, said) = run(&pods, trusting).await;
    assert_eq!(phase, "Succeeded", "{said}");
    assert!(
        said.contains(&format!("trusted      yes, as {NAME}")),
        "{said}"
    );
    assert!(said.contains(&format!("DNS {NAME}")), "{said}");
    let address = cluster.host_address();
    assert!(
        said.contains(&format!("reached at   {address}:{port}")),
        "{said}"
    );

    // The public CAs don't know ours.
    let (phase, said) = run(&pods, pod("public", &["inspect", &server])).await;
    assert_eq!(phase, "Succeeded", "{said}");
    let verdict = format!("trusted      NO, not as {NAME}: no CA that is trusted here");
    assert!(said.contains(&verdict), "{said}");

    let nobody = "nobody.outside.example.net:443";
    let (phase, said) = run(&pods, pod("nobody", &["inspect", nobody])).await;
    assert_eq!(phase, "Failed", "{said}");
    assert!(
        said.contains("failed to look up nobody.outside.example.net"),
        "{said}"
    );
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server on this machine; its port.
async fn serve(ca: &CertifiedIssuer<'static, KeyPair>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([NAME.to_owned()])
        .unwrap()
        .signed_by(&key, ca)
        .unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = cluster().await.host_address();
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}
