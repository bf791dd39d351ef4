//! A TLS server that serves what a Secret holds.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// It serves until the program ends.
pub(super) struct Server {
    serves: Arc<Mutex<Option<Arc<ServerConfig>>>>,
}

impl Server {
    pub(super) async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let serves: Arc<Mutex<Option<Arc<ServerConfig>>>> = Arc::default();
        let served = Arc::clone(&serves);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = served.lock().ok().and_then(|served| served.clone());
                if let Some(config) = config {
                    // Whoever has seen enough goes.
                    tokio::spawn(TlsAcceptor::from(config).accept(stream));
                }
            }
        });
        Ok(Self { serves })
    }

    /// From now on it serves this.
    pub(super) fn serve(&self, secret: &Secret) -> anyhow::Result<()> {
        let bytes = |key: &str| {
            let data = secret.data.as_ref().and_then(|data| data.get(key));
            data.map(|bytes| bytes.0.as_slice())
                .with_context(|| format!("the Secret has no {key}"))
        };
        let chain = CertificateDer::pem_slice_iter(bytes("tls.crt")?);
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(bytes("tls.key")?)?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let mut serves = self.serves.lock().ok().context("a task panicked")?;
        *serves = Some(Arc::new(config));
        Ok(())
    }
}
