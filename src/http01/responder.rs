//! The answers to a CA's questions, on a port of their own that strangers reach.
//!
//! Each is given for its token **and** its host only, so that nobody who leads another name here proves it with an
//! answer meant for somebody else. Nothing of a question is repeated in an answer.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use certwright_core::http01::{Challenge, Host, PATH};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Who knows the answers.
pub trait Answers: Send + Sync + 'static {
    /// The key authorization for a token that is being asked for at this host; `None` if nobody is to be answered.
    fn answer(&self, host: &Host, token: &str) -> Option<String>;
}

/// Answers, and news of them.
pub struct Responder<A> {
    answers: A,
    /// Changes whenever an answer may have come that was not there before.
    news: watch::Receiver<u64>,
    /// How many questions may wait for news at once.
    waiting: Semaphore,
}

/// How many connections are served at once.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to send a request's head, and a connection may be idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection older than this is closed after the answer under way, so that a slow reader can't keep its place.
pub const MAX_AGE: Duration = Duration::from_secs(30);
/// How long an answer under way may take once its connection is to be closed.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long a question waits for a token that this replica has not seen yet: its watch may be a little behind.
pub const WAIT: Duration = Duration::from_secs(2);
/// Of all connections, this many may wait; whoever comes then is answered at once, so that strangers can't take the
/// places of CAs by asking for nothing.
const MAX_WAITING: usize = MAX_CONNECTIONS / 2;
/// A request's head may not be larger than this, in bytes. Hyper takes no less than 8 KiB.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// CAs send no more than a handful.
const MAX_HEADERS: usize = 64;
/// Accepting fails when file descriptors run out; trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Source: RFC 8555 section 8.3, which wants nothing else than octets.
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl<A: Answers> Responder<A> {
    /// One that asks `answers`, and again each time that `news` changes.
    pub fn new(answers: A, news: watch::Receiver<u64>) -> Self {
        Self {
            answers,
            news,
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Answers until `stop`, then finishes the answers under way within [`GRACE`].
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let responder = Arc::new(self);
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // Without a free place nobody is let in: whoever comes waits in the kernel's queue, which is bounded too.
            let arrival = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                arrival = arrival => arrival,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (responder, stop) = (Arc::clone(&responder), stop.clone());
                    connections.spawn(async move {
                        converse(stream, responder, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "Failed to accept a connection for HTTP-01");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    async fn respond<B>(&self, request: &Request<B>) -> Response<String> {
        let Some(token) = request.uri().path().strip_prefix(PATH) else {
            return failure(StatusCode::NOT_FOUND);
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = failure(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        let Some(host) = host(request) else {
            return failure(StatusCode::BAD_REQUEST);
        };
        // Whatever is no token is not waited for.
        if Challenge::new(host.identifier(), token).is_err() {
            return failure(StatusCode::NOT_FOUND);
        }
        let Some(answer) = self.find(&host, token).await else {
            debug!(%host, token, "Asked for an unknown token");
            return failure(StatusCode::NOT_FOUND);
        };
        let mut response = Response::new(answer);
        response.headers_mut().insert(header::CONTENT_TYPE, OCTETS);
        // Proxies on the way would answer with what is over.
        let fresh = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, fresh);
        response
    }

    /// The answer, if it comes within [`WAIT`].
    async fn find(&self, host: &Host, token: &str) -> Option<String> {
        let until = Instant::now() + WAIT;
        // Before the first look, so that nothing that comes in between is missed.
        let mut news = self.news.clone();
        news.mark_unchanged();
        if let Some(answer) = self.answers.answer(host, token) {
            return Some(answer);
        }
        let _place = self.waiting.try_acquire().ok()?;
        loop {
            // Without a sender there will be no news.
            tokio::time::timeout_at(until, news.changed())
                .await
                .ok()?
                .ok()?;
            if let Some(answer) = self.answers.answer(host, token) {
                return Some(answer);
            }
        }
    }
}

/// Whom the question is for: one header, or the target in its absolute form.
fn host<B>(request: &Request<B>) -> Option<Host> {
    if let Some(authority) = request.uri().authority() {
        return Host::of_header(authority.as_str());
    }
    let mut headers = request.headers().get_all(header::HOST).into_iter();
    let host = headers.next()?.to_str().ok()?;
    headers.next().is_none().then(|| Host::of_header(host))?
}

fn failure(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}

async fn converse<A: Answers>(
    stream: TcpStream,
    responder: Arc<Responder<A>>,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let responder = Arc::clone(&responder);
        async move {
            let mut response = responder.respond(&request).await;
            // A body is never read, so that the connection can't be used again after one.
            if !request.body().is_end_stream() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                debug!(%error, "A connection for HTTP-01 broke");
            }
            return;
        }
        () = stop.cancelled() => {}
        () = tokio::time::sleep(MAX_AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(GRACE, connection).await.is_err() {
        debug!("Cut a connection whose answer was not read in time");
    }
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
