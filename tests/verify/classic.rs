//! Each classic fault, shown by a real server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::certwright;
use super::tls::authority::{
    NAME, Pair, below, constrained, leaf, root, self_signed, signed, valid,
};
use super::tls::server::{Server, written};

/// A root that is trusted, in a file, and a CA below it.
struct World {
    root: super::tls::authority::Ca,
    below: super::tls::authority::Ca,
    files: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let root = root("Root");
        let below = below(&root, "Below");
        let files = tempfile::tempdir().unwrap();
        written(files.path(), "root.pem", &root.pem());
        Self { root, below, files }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// What is said of a server that shows `pair` and what is above it.
    async fn verify(&self, pair: &Pair, above: &[&str], more: &[&str]) -> super::Said {
        let server = Server::start(&pair.certificate, above, &pair.key, &[]).await;
        self.ask(&server.address, more).await
    }

    async fn ask(&self, address: &str, more: &[&str]) -> super::Said {
        let root = self.file("root.pem");
        let arguments = ["verify", address, "--name", NAME, "--ca-file", &root];
        certwright(&[&arguments, more].concat()).await
    }
}

#[tokio::test]
async fn a_server_without_fault_is_fine_until_more_days_are_asked_for() {
    let world = World::new();
    let pair = signed(valid(), &world.below);
    let server = Server::start(&pair.certificate, &[&world.below.pem()], &pair.key, &[]).await;
    let said = world.ask(&server.address, &["--min-days", "1000"]).await;
    said.shows(0, &[]);
    assert!(said.text.ends_with("\nno fault\n"), "{}", said.text);
    let reached = format!("reached at   {}, TLSv1_3", server.address);
    assert!(said.text.contains(&reached), "{}", said.text);
    let said = world.ask(&server.address, &["--min-days", "65535"]).await;
    said.shows(1, &["ends-soon"]);

    let inspected = certwright(&["inspect", &server.address, "--name", NAME]).await;
    assert_eq!(inspected.code, 0, "{}", inspected.text);
    let verdict = format!("trusted      NO, not as {NAME}: no CA that is trusted here signed it");
    assert!(inspected.text.contains(&verdict), "{}", inspected.text);
}

#[tokio::test]
async fn dates_and_names() {
    let world = World::new();
    let above = world.below.pem();
    let expired = signed(leaf(2020, 2021), &world.below);
    let said = world.verify(&expired, &[&above], &[]).await;
    said.shows(1, &["expired"]);
    let cause = "  cause        certificate 1 expired at 2021-01-01T00:00:00Z\n";
    assert!(said.text.contains(cause), "{}", said.text);
    let later = signed(leaf(2190, 2200), &world.below);
    let said = world.verify(&later, &[&above], &[]).await;
    said.shows(1, &["not-yet-valid"]);

    let mut other = CertificateParams::new(["example.org".to_owned()]).unwrap();
    other.not_after = rcgen::date_time_ymd(2200, 1, 1);
    let other = signed(other, &world.below);
    world
        .verify(&other, &[&above], &[])
        .await
        .shows(1, &["wrong-name"]);
    let mut client = valid();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = signed(client, &world.below);
    let said = world.verify(&client, &[&above], &[]).await;
    said.shows(1, &["not-for-servers"]);
    let constrained = constrained(&world.root, "example.org");
    let outside = signed(valid(), &constrained);
    let said = world.verify(&outside, &[&constrained.pem()], &[]).await;
    said.shows(1, &["name-not-permitted"]);
}

#[tokio::test]
async fn chains() {
    let world = World::new();
    let pair = signed(valid(), &world.below);
    let (above, top) = (world.below.pem(), world.root.pem());
    world
        .verify(&pair, &[], &[])
        .await
        .shows(1, &["missing-intermediate"]);
    let said = world.verify(&pair, &[&top, &above], &[]).await;
    said.shows(1, &["wrong-order"]);
    assert!(said.text.contains("now 1, 3, 2"), "{}", said.text);
    let itself = self_signed(valid());
    world
        .verify(&itself, &[], &[])
        .await
        .shows(1, &["self-signed"]);

    let stranger = root("Stranger");
    let foreign = signed(leaf(2020, 2021), &stranger);
    let said = world.verify(&foreign, &[&stranger.pem()], &[]).await;
    said.shows(1, &["expired", "unknown-ca"]);
}

#[tokio::test]
async fn weak_keys_and_signatures() {
    let world = World::new();
    written(
        world.files.path(),
        "root.key",
        &world.root.key().serialize_pem(),
    );
    for (kind, hash, fault) in [
        ("rsa:1024", "-sha256", "weak-key"),
        ("rsa:2048", "-sha1", "weak-signature"),
    ] {
        let pair = by_openssl(world.files.path(), kind, hash);
        // It would not even serve them otherwise.
        let weak = ["-cipher", "ALL@SECLEVEL=0"];
        let server = Server::start(&pair.certificate, &[], &pair.key, &weak).await;
        world.ask(&server.address, &[]).await.shows(1, &[fault]);
    }
}

/// A certificate by the root in `directory`, made by OpenSSL: others refuse to make such.
fn by_openssl(directory: &Path, kind: &str, hash: &str) -> Pair {
    let name = format!("subjectAltName=DNS:{NAME}");
    let made = Command::new("openssl")
        .current_dir(directory)
        .args([
            "req", "-x509", "-newkey", kind, "-nodes", hash, "-days", "9",
        ])
        .args(["-CA", "root.pem", "-CAkey", "root.key", "-subj", "/CN=weak"])
        .args(["-addext", &name, "-addext", "basicConstraints=CA:FALSE"])
        .args(["-keyout", "weak.key", "-out", "weak.pem"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    Pair {
        certificate: read("weak.pem"),
        key: read("weak.key"),
    }
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_told_of_a_server_and_of_a_file() {
    let world = World::new();
    let (pair, other) = (signed(valid(), &world.root), signed(valid(), &world.root));
    // OpenSSL and nginx look before they serve.
    let address = impostor(&pair.certificate, &other.key).await;
    world.ask(&address, &[]).await.shows(1, &["key-mismatch"]);

    let file = |name: &str, text: &str| {
        let path = written(world.files.path(), name, text);
        path.display().to_string()
    };
    let wrong = file("wrong.pem", &format!("{}{}", pair.certificate, other.key));
    world.ask(&wrong, &[]).await.shows(1, &["key-mismatch"]);
    let right = file("right.pem", &format!("{}{}", pair.certificate, pair.key));
    world.ask(&right, &[]).await.shows(0, &[]);
}

/// A server whose key is another's.
async fn impostor(certificate: &str, key: &str) -> String {
    #[derive(Debug)]
    struct Blind(Arc<CertifiedKey>);

    impl ResolvesServerCert for Blind {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let blind = Blind(Arc::new(CertifiedKey::new(chain, key)));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(blind));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = acceptor.accept(stream).await;
    });
    address
}

#[tokio::test]
async fn what_can_not_be_looked_at_is_no_fault_of_a_certificate() {
    let world = World::new();
    // Held, so that nobody else listens there.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = held.local_addr().unwrap().to_string();
    for target in [&address, "/nonexistent", "."] {
        let said = world.ask(target, &[]).await;
        said.shows(2, &[]);
        assert!(said.text.starts_with("error: "), "{}", said.text);
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    written(world.files.path(), "broken.pem", broken);
    world
        .ask(&world.file("broken.pem"), &[])
        .await
        .shows(2, &[]);
    let said = certwright(&["verify"]).await;
    assert_eq!(said.code, 2, "{}", said.text);
    let said = certwright(&[
        "verify",
        &world.file("root.pem"),
        "--ca-file",
        "/nonexistent",
    ])
    .await;
    assert_eq!(said.code, 2, "{}", said.text);
}

/// TLS 1.2 ends with an alert before the handshake is over, and 1.3 after it.
#[tokio::test]
async fn a_server_that_wants_a_clients_certificate_is_judged_all_the_same() {
    let world = World::new();
    let pair = signed(valid(), &world.root);
    for version in ["-tls1_2", "-tls1_3"] {
        let wants = ["-Verify", "1", version];
        let server = Server::start(&pair.certificate, &[], &pair.key, &wants).await;
        world.ask(&server.address, &[]).await.shows(0, &[]);
    }
}
