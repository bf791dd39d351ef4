//! A TLS server that serves what it is told to, and nothing behind it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

/// A TLS server, as a Pod's process would be one. It ends with this.
pub struct TlsServer {
    serves: Arc<Mutex<Option<Arc<ServerConfig>>>>,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Starts one that closes each connection, until it is told what to serve.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen at {address}"))?;
        let serves: Arc<Mutex<Option<Arc<ServerConfig>>>> = Arc::default();
        let served = Arc::clone(&serves);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = lock(&served).clone();
                if let Some(config) = config {
                    // Whoever connects may go as soon as it has seen enough.
                    tokio::spawn(TlsAcceptor::from(config).accept(stream));
                }
            }
        });
        Ok(Self { serves, task })
    }

    /// From now on it serves the first so many `certificates` of a chain, with this key; both in PEM.
    ///
    /// # Errors
    /// When they can't be read, or don't belong together.
    pub fn serve(&self, chain: &[u8], certificates: usize, key: &[u8]) -> anyhow::Result<()> {
        let chain = CertificateDer::pem_slice_iter(chain).take(certificates);
        let chain = chain
            .collect::<Result<Vec<_>, _>>()
            .context("the chain is no PEM")?;
        let key = PrivateKeyDer::from_pem_slice(key).context("the key is no PEM")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("failed to choose versions of TLS")?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the key is not that of the certificate")?;
        *lock(&self.serves) = Some(Arc::new(config));
        Ok(())
    }

    /// From now on it closes each connection.
    pub fn serve_nothing(&self) {
        *lock(&self.serves) = None;
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(serves: &Mutex<Option<Arc<ServerConfig>>>) -> MutexGuard<'_, Option<Arc<ServerConfig>>> {
    serves.lock().unwrap_or_else(PoisonError::into_inner)
}
