//! A visitor of a web server, who looks at its certificate first.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// What a visitor got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The certificates that were shown, each in DER, that of the server first.
    pub chain: Vec<Vec<u8>>,
    /// The answer to `GET /`, as it came.
    pub answer: String,
}

/// Asks for a name's front page by HTTPS, at `address`, trusting one root and nobody else.
///
/// # Errors
/// When nobody answers within ten seconds, or the certificate is not one for this name below that root (PEM).
pub async fn visit(address: SocketAddr, name: &str, root: &str) -> anyhow::Result<Visit> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(root.as_bytes()).context("the root is no PEM")?;
    roots.add(root).context("the root is no certificate")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("failed to choose versions of TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).context("this is no host's name")?;
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(server, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = shown.iter().map(|shown| shown.to_vec()).collect();
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Some servers close the connection without a word of TLS.
        let read = stream.read_to_end(&mut answer).await;
        if answer.is_empty() {
            read?;
        }
        std::io::Result::Ok((chain, answer))
    };
    let (chain, answer) = timeout(PATIENCE, asked)
        .await
        .map_err(|_| anyhow!("no answer within {PATIENCE:?}"))?
        .with_context(|| format!("failed to visit {name} at {address}"))?;
    Ok(Visit {
        chain,
        answer: String::from_utf8_lossy(&answer).into_owned(),
    })
}

const PATIENCE: Duration = Duration::from_secs(10);
