//! Clients of a server that don't stop asking: what they were shown, and what failed.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// How many connections are kept open...
const KEPT: usize = 4;
/// ...and how long each pauses after an answer.
const PAUSE: Duration = Duration::from_millis(50);
/// How often one more is opened, asked once, and closed.
const FRESH: Duration = Duration::from_millis(100);
/// How long a handshake or an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the clients have seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Handshakes that came to their end.
    pub(crate) handshakes: usize,
    /// Answers of `200 OK`.
    pub(crate) answers: usize,
    /// Questions that were asked again: the server had closed a connection that had been used before, before any byte of an answer.
    pub(crate) retried: usize,
    /// What failed, in words.
    pub(crate) failures: Vec<String>,
}

/// Clients that ask until they are told to stop.
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts them, at an address; they know the server by its name, below these roots (PEM).
    pub(crate) fn start(address: SocketAddr, name: &str, roots: &str) -> Self {
        let server = Server::new(address, name, roots);
        let (tally, stop) = (Arc::default(), CancellationToken::new());
        let mut clients = JoinSet::new();
        for _ in 0..KEPT {
            let client = keep(server.clone(), Arc::clone(&tally), stop.clone());
            clients.spawn(client);
        }
        clients.spawn(come_and_go(server, Arc::clone(&tally), stop.clone()));
        Self {
            tally,
            stop,
            clients,
        }
    }

    /// Ends them; what they have seen.
    pub(crate) async fn stop(self) -> Tally {
        self.stop.cancel();
        self.clients.join_all().await;
        Arc::into_inner(self.tally).unwrap().into_inner().unwrap()
    }
}

/// Holds a connection, and asks on it again and again.
async fn keep(server: Server, tally: Arc<Mutex<Tally>>, stop: CancellationToken) {
    let mut held = None;
    while !stop.is_cancelled() {
        let asked = match held.take() {
            Some(connection) => match server.ask(connection).await {
                Err(problem) if problem.kind() == io::ErrorKind::UnexpectedEof => {
                    tally.lock().unwrap().retried += 1;
                    server.connect_and_ask(&tally).await
                }
                asked => asked,
            },
            None => server.connect_and_ask(&tally).await,
        };
        held = server.count(&tally, asked);
        sleep(PAUSE).await;
    }
}

/// Opens connections, and asks once on each.
async fn come_and_go(server: Server, tally: Arc<Mutex<Tally>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let asked = server.connect_and_ask(&tally).await;
        server.count(&tally, asked);
        sleep(FRESH).await;
    }
}

/// How a server is reached and known.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

type Connection = TlsStream<TcpStream>;

impl Server {
    pub(crate) fn new(address: SocketAddr, name: &str, roots: &str) -> Self {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            store.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store)
            .with_no_client_auth();
        Self {
            address,
            name: ServerName::try_from(name.to_owned()).unwrap(),
            config: Arc::new(config),
        }
    }

    /// The leaf that is shown in a handshake, in DER.
    pub(crate) async fn shows(&self) -> io::Result<Vec<u8>> {
        let connection = self.connect().await?;
        let (_, session) = connection.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        Ok(leaf.unwrap().to_vec())
    }

    async fn connect(&self) -> io::Result<Connection> {
        let shaken = async {
            let stream = TcpStream::connect(self.address).await?;
            // A session that is taken up again shows no certificate.
            let mut config = ClientConfig::clone(&self.config);
            config.resumption = rustls::client::Resumption::disabled();
            let connector = TlsConnector::from(Arc::new(config));
            connector.connect(self.name.clone(), stream).await
        };
        timeout(PATIENCE, shaken).await?
    }

    async fn connect_and_ask(&self, tally: &Mutex<Tally>) -> io::Result<(Connection, bool)> {
        let connection = self.connect().await.map_err(|problem| {
            io::Error::new(problem.kind(), format!("no handshake: {problem}"))
        })?;
        tally.lock().unwrap().handshakes += 1;
        self.ask(connection).await
    }

    /// Asks once; whether the server keeps the connection. `UnexpectedEof` if it closed it before any byte of an answer.
    async fn ask(&self, mut connection: Connection) -> io::Result<(Connection, bool)> {
        let name = self.name.to_str();
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
        let answer = timeout(PATIENCE, async {
            let gone = |_| io::Error::from(io::ErrorKind::UnexpectedEof);
            connection
                .write_all(request.as_bytes())
                .await
                .map_err(gone)?;
            let mut answer = Vec::new();
            while !is_whole(&answer) {
                match connection.read_buf(&mut answer).await {
                    Ok(0) | Err(_) if answer.is_empty() => {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    Ok(0) => return Err(io::Error::other("an answer was cut off")),
                    Ok(_) => {}
                    Err(problem) => {
                        return Err(io::Error::other(format!("an answer broke off: {problem}")));
                    }
                }
            }
            Ok(String::from_utf8_lossy(&answer).to_lowercase())
        })
        .await??;
        if !answer.starts_with("http/1.1 200 ") {
            return Err(io::Error::other(format!("another answer: {answer}")));
        }
        Ok((connection, !answer.contains("connection: close")))
    }

    /// Counts what came of a question; the connection, where the server keeps it.
    fn count(
        &self,
        tally: &Mutex<Tally>,
        asked: io::Result<(Connection, bool)>,
    ) -> Option<Connection> {
        let mut tally = tally.lock().unwrap();
        match asked {
            Ok((connection, stays)) => {
                tally.answers += 1;
                stays.then_some(connection)
            }
            Err(problem) => {
                tally.failures.push(format!("{}: {problem}", self.address));
                None
            }
        }
    }
}

/// Whether an answer with a `Content-Length` has come to its end (RFC 9112 section 6.3).
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}
