//! A server in front of a CA that passes on what is said, or does instead whatever a test wants of it.
//!
//! A CA makes its URLs from the host that it is asked by, so they lead to this server too.

mod fault;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright::acme::{Client, Verification};
use certwright::outside::unverified;
use certwright_test_cluster::server_certificate;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::pebble::transport;
pub(crate) use fault::{Asked, Fault, Late, Part, Rewrite};

type Faults = Box<dyn FnMut(usize, &Asked) -> Option<Fault> + Send>;

/// A server that is faulty as told, until this is dropped.
pub(crate) struct Faulty {
    /// The URL of its directory.
    pub(crate) directory: String,
    /// The root that it is known by, as `caBundle` has it.
    pub(crate) bundle: String,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

struct State {
    asked: Vec<Asked>,
    faults: Faults,
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Faulty {
    /// A server in front of the CA at this address, without a fault.
    pub(crate) async fn before(ca: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let root = server_certificate(&certificate, &key).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            asked: Vec::new(),
            faults: Box::new(|_, _| None),
        }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            // What was begun ends with this task.
            let mut begun = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                begun.spawn(serve(acceptor.clone(), stream, ca, Arc::clone(&shared)));
            }
        });
        Self {
            directory: format!("https://{address}/dir"),
            bundle: BASE64_STANDARD.encode(root),
            state,
            task: task.abort_handle(),
        }
    }

    /// Does from now on what this says of each request and its number, from 0; the requests so far are forgotten.
    pub(crate) fn fails(
        &self,
        faults: impl FnMut(usize, &Asked) -> Option<Fault> + Send + 'static,
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.clear();
        state.faults = Box::new(faults);
    }

    /// Fails every request for a path that begins so.
    pub(crate) fn fails_at(&self, path: &'static str, fault: Fault) {
        self.fails(move |_, asked| asked.path.starts_with(path).then(|| fault.clone()));
    }

    /// Is as sound as the CA again.
    pub(crate) fn recovers(&self) {
        self.fails(|_, _| None);
    }

    /// What was asked since it was last told how to behave.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.clone()
    }

    /// A client that waits its usual time.
    pub(crate) fn client(&self) -> Client {
        Client::new(transport(&self.verification()), &self.directory)
    }

    /// A client that waits for so long.
    pub(crate) fn client_within(&self, patience: Duration) -> Client {
        let transport = transport(&self.verification()).within(patience);
        Client::new(transport, &self.directory)
    }

    pub(crate) fn verification(&self) -> Verification {
        Verification::Roots(Some(self.bundle.clone()))
    }
}

/// An answer with a body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// An answer that is sound after a change, with the headers that are kept.
fn changed(answer: &str, keep: impl Fn(&str) -> bool) -> Vec<u8> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let headers: Vec<_> = headers
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length") && keep(name))
        .collect();
    let status = status.trim_start_matches("HTTP/1.1 ");
    self::answer(status, &headers, body)
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, ca: SocketAddr, state: Arc<Mutex<State>>) {
    // A client that doesn't trust us hangs up here.
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let Some(asked) = request(&mut stream).await else {
        return;
    };
    let fault = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.asked.len();
        state.asked.push(asked.clone());
        (state.faults)(number, &asked)
    };
    // Whether the client still listens is its affair.
    let _ = match fault {
        Some(fault) => misbehave(&mut stream, fault, ca, &asked).await,
        None => say(&mut stream, &passed_on(ca, &asked).await).await,
    };
}

async fn misbehave(
    stream: &mut TlsStream<TcpStream>,
    fault: Fault,
    ca: SocketAddr,
    asked: &Asked,
) -> std::io::Result<()> {
    match fault {
        Fault::Says(answer) => say(stream, &answer).await,
        Fault::Replaced(from, to) => {
            let answer = String::from_utf8(passed_on(ca, asked).await).unwrap();
            assert!(answer.contains(&from), "{from} is not in {answer}");
            say(stream, &changed(&answer.replace(&from, &to), |_| true)).await
        }
        Fault::Rewritten(rewrite) => {
            let answer = String::from_utf8(passed_on(ca, asked).await).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let mut object = serde_json::from_str(body).unwrap();
            rewrite.applied_to(&mut object);
            let rewritten = format!("{head}\r\n\r\n{object}");
            say(stream, &changed(&rewritten, |_| true)).await
        }
        Fault::Dated(date) => {
            let answer = String::from_utf8(passed_on(ca, asked).await).unwrap();
            let dated = answer.replacen("\r\n", &format!("\r\nDATE: {date}\r\n"), 1);
            say(stream, &changed(&dated, |name| name != "Date")).await
        }
        Fault::BreaksOff(part) => {
            let answer = passed_on(ca, asked).await;
            stream.write_all(part.of(&answer)).await?;
            // Without TLS's goodbye.
            stream.flush().await
        }
        Fault::Hangs(part) => {
            let answer = passed_on(ca, asked).await;
            stream.write_all(part.of(&answer)).await?;
            stream.flush().await?;
            until_gone(stream).await
        }
        Fault::Silent => until_gone(stream).await,
        Fault::Late(late) => {
            let answer = passed_on(ca, asked).await;
            tokio::select! {
                () = late.arrival() => say(stream, &answer).await,
                gone = until_gone(stream) => {
                    late.is_given_up_now();
                    gone
                }
            }
        }
        Fault::Endless(head) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Fault::Trickles => {
            for byte in passed_on(ca, asked).await {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        }
    }
}

async fn say(stream: &mut TlsStream<TcpStream>, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await
}

/// Returns once the client hangs up.
async fn until_gone(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// The CA's own answer.
async fn passed_on(ca: SocketAddr, asked: &Asked) -> Vec<u8> {
    let stream = TcpStream::connect(ca).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(unverified()));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(asked.text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// A whole request, if one comes.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ').map(str::to_owned);
    Some(Asked {
        method: words.next()?,
        path: words.next()?,
        text: head + &String::from_utf8(body).unwrap(),
    })
}
