//! Clients of a server that don't stop asking: what they were shown, and what failed.

use std::{
    fmt, io, mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

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
pub struct Tally {
    /// Handshakes that came to their end.
    pub handshakes: usize,
    /// Answers of `200 OK`.
    pub answers: usize,
    /// Questions that were asked again: the server had closed a connection that had been used before, before any byte of an answer.
    pub retried: usize,
    /// What failed, in words.
    pub failures: Vec<String>,
    /// The certificates that were shown, in the order in which they were first seen.
    pub shown: Vec<Shown>,
}

/// In a line, without the certificates themselves.
impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} handshakes, {} answers, {} asked again, {} certificates shown, {} failures: {:?}",
            self.handshakes,
            self.answers,
            self.retried,
            self.shown.len(),
            self.failures.len(),
            self.failures
        )
    }
}

/// A certificate that clients were shown.
#[derive(Debug)]
pub struct Shown {
    /// The leaf, in DER.
    pub leaf: Vec<u8>,
    /// In how many handshakes.
    pub handshakes: usize,
    /// When that was first seen, after the clients had begun.
    pub first: Duration,
    /// When it was last seen.
    pub last: Duration,
}

/// Clients that ask until they are told to stop.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts them, at an address; they know the server by its name, below these roots (PEM).
    ///
    /// # Errors
    /// When the name is none, or the roots can't be read.
    pub fn start(address: SocketAddr, name: &str, roots: &str) -> anyhow::Result<Self> {
        let server = Server::new(address, name, roots)?;
        let (tally, stop) = (Arc::default(), Arc::default());
        let mut clients = JoinSet::new();
        for _ in 0..KEPT {
            let client = keep(server.clone(), Arc::clone(&tally), Arc::clone(&stop));
            clients.spawn(client);
        }
        clients.spawn(come_and_go(server, Arc::clone(&tally), Arc::clone(&stop)));
        Ok(Self {
            tally,
            stop,
            clients,
        })
    }

    /// Ends them, each after its last answer; what they have seen.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await;
        mem::take(&mut *lock(&self.tally))
    }
}

/// Holds a connection, and asks on it again and again.
async fn keep(server: Server, tally: Arc<Mutex<Tally>>, stop: Arc<AtomicBool>) {
    let mut held = None;
    while !stop.load(Ordering::SeqCst) {
        let asked = match held.take() {
            Some(connection) => match server.ask(connection).await {
                Err(problem) if problem.kind() == io::ErrorKind::UnexpectedEof => {
                    lock(&tally).retried += 1;
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
async fn come_and_go(server: Server, tally: Arc<Mutex<Tally>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let asked = server.connect_and_ask(&tally).await;
        server.count(&tally, asked);
        sleep(FRESH).await;
    }
}

/// How a server is reached and known.
#[derive(Clone, Debug)]
pub struct Server {
    begun: Instant,
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

type Connection = TlsStream<TcpStream>;

impl Server {
    /// One at an address, known by its name below these roots (PEM).
    ///
    /// # Errors
    /// When the name is none, or the roots can't be read.
    pub fn new(address: SocketAddr, name: &str, roots: &str) -> anyhow::Result<Self> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            let root = root.context("a root is no PEM")?;
            store.add(root).context("a root is no certificate")?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("failed to choose versions of TLS")?
            .with_root_certificates(store)
            .with_no_client_auth();
        // A session that is taken up again shows no certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            begun: Instant::now(),
            address,
            name: ServerName::try_from(name.to_owned()).context("it is no name of a server")?,
            config: Arc::new(config),
        })
    }

    /// The leaf that is shown in a handshake, in DER.
    ///
    /// # Errors
    /// When there is none, or the client doesn't trust it.
    pub async fn shows(&self) -> io::Result<Vec<u8>> {
        leaf(&self.connect().await?)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let shaken = async {
            let stream = TcpStream::connect(self.address).await?;
            let connector = TlsConnector::from(Arc::clone(&self.config));
            connector.connect(self.name.clone(), stream).await
        };
        timeout(PATIENCE, shaken).await?
    }

    async fn connect_and_ask(&self, tally: &Mutex<Tally>) -> io::Result<(Connection, bool)> {
        let connection = self.connect().await.map_err(|problem| {
            io::Error::new(problem.kind(), format!("no handshake: {problem}"))
        })?;
        lock(tally).saw(leaf(&connection)?, self.begun.elapsed());
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
        let mut tally = lock(tally);
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

impl Tally {
    fn saw(&mut self, leaf: Vec<u8>, at: Duration) {
        self.handshakes += 1;
        match self.shown.iter_mut().find(|shown| shown.leaf == leaf) {
            Some(shown) => {
                shown.handshakes += 1;
                shown.last = at;
            }
            None => self.shown.push(Shown {
                leaf,
                handshakes: 1,
                first: at,
                last: at,
            }),
        }
    }
}

fn leaf(connection: &Connection) -> io::Result<Vec<u8>> {
    let (_, session) = connection.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    leaf.map(|leaf| leaf.to_vec())
        .ok_or_else(|| io::Error::other("no certificate was shown"))
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
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
