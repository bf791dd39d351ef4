//! Makes watches lag, break off, and lose their place.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as Stream, Bytes};
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use http::{Request, Response, StatusCode, Uri};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{BoxError, Layer, Service};

/// What happens to a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// What it shows arrives this late, in its order.
    Late(Duration),
    /// It breaks off after this long, and shows no bookmarks.
    Cut(Duration),
    /// It breaks off in the middle of what it shows after this long.
    Torn(Duration),
    /// After this long the server has forgotten where it was (410).
    Expired(Duration),
    /// It breaks off after this long, and the server refuses to take it up again, having forgotten where it was (410),
    /// until it is begun anew with a list.
    Forgotten(Duration),
}

/// A layer that gives trouble to the watches of some kinds, by their plural names.
#[derive(Clone)]
pub(crate) struct Watches {
    troubles: Arc<[(&'static [&'static str], Trouble)]>,
    troubled: Arc<AtomicUsize>,
    /// Of what a list was read that has not been watched from there.
    listed: Arc<Mutex<HashSet<String>>>,
}

impl Watches {
    /// The watches of these kinds; of all kinds if there are none.
    pub(crate) fn of(kinds: &'static [&'static str], trouble: Trouble) -> Self {
        Self::each([(kinds, trouble)])
    }

    /// Each kind's watches have a trouble of their own: the first that names it.
    pub(crate) fn each(
        troubles: impl IntoIterator<Item = (&'static [&'static str], Trouble)>,
    ) -> Self {
        Self {
            troubles: troubles.into_iter().collect(),
            troubled: Arc::default(),
            listed: Arc::default(),
        }
    }

    /// How many watches have been given trouble.
    pub(crate) fn troubled(&self) -> usize {
        self.troubled.load(Ordering::Relaxed)
    }

    /// What happens to a watch.
    fn trouble(&self, uri: &Uri) -> Option<Trouble> {
        let kind = uri.path().rsplit('/').next().unwrap_or_default();
        let meant = |kinds: &[&str]| kinds.is_empty() || kinds.contains(&kind);
        let (_, trouble) = self.troubles.iter().find(|(kinds, _)| meant(kinds))?;
        if !asks_for(uri, "watch=true") {
            self.listed.lock().unwrap().insert(what(uri));
            return None;
        }
        self.troubled.fetch_add(1, Ordering::Relaxed);
        Some(*trouble)
    }

    /// Whether a watch is one that follows a list, which none does after it.
    fn follows_a_list(&self, uri: &Uri) -> bool {
        self.listed.lock().unwrap().remove(&what(uri))
    }
}

fn asks_for(uri: &Uri, part: &str) -> bool {
    uri.query().is_some_and(|query| query.contains(part))
}

/// What is listed or watched: there are two watches of Secrets.
fn what(uri: &Uri) -> String {
    let parts = uri.query().unwrap_or_default().split('&');
    let label = parts
        .filter(|part| part.starts_with("labelSelector="))
        .collect::<String>();
    format!("{} {label}", uri.path())
}

impl<S> Layer<S> for Watches {
    type Service = Troubled<S>;

    fn layer(&self, inner: S) -> Troubled<S> {
        Troubled {
            watches: self.clone(),
            inner,
        }
    }
}

/// See [`Watches`].
pub(crate) struct Troubled<S> {
    watches: Watches,
    inner: S,
}

impl<S> Service<Request<Body>> for Troubled<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Stream>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let trouble = self.watches.trouble(request.uri());
        if matches!(trouble, Some(Trouble::Cut(_))) {
            let bare = request
                .uri()
                .to_string()
                .replace("allowWatchBookmarks=true", "allowWatchBookmarks=false");
            *request.uri_mut() = bare.parse().unwrap();
        }
        if matches!(trouble, Some(Trouble::Forgotten(_)))
            && !self.watches.follows_a_list(request.uri())
        {
            return Box::pin(async { Ok(forgotten()) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (parts, body) = answer.await?.into_parts();
            let body = Stream::new(body);
            let body = match trouble {
                None => body,
                Some(Trouble::Late(lag)) => late(body, lag),
                Some(Trouble::Cut(after) | Trouble::Forgotten(after)) => {
                    ends(body, after, Err(cut()))
                }
                Some(Trouble::Torn(after)) => torn(body, after),
                Some(Trouble::Expired(after)) => ends(body, after, Ok(expired())),
            };
            Ok(Response::from_parts(parts, body))
        })
    }
}

fn late(body: Stream, lag: Duration) -> Stream {
    let (sender, receiver) = mpsc::unbounded();
    let mut arriving = body.into_data_stream();
    tokio::spawn(async move {
        while let Some(data) = arriving.next().await {
            if sender.unbounded_send((Instant::now() + lag, data)).is_err() {
                return;
            }
        }
    });
    Stream::from_stream(receiver.then(|(due, data)| async move {
        sleep_until(due).await;
        data
    }))
}

/// The first that comes after this time comes half.
fn torn(body: Stream, after: Duration) -> Stream {
    let until = Instant::now() + after;
    let mut whole = true;
    let pieces = body.into_data_stream().flat_map(move |data| {
        whole &= Instant::now() < until;
        let half = data.as_ref().map(|data| data.slice(..data.len() / 2));
        stream::iter(match (whole, half) {
            (false, Ok(half)) => vec![Ok(half), Err(cut())],
            _ => vec![data],
        })
    });
    Stream::from_stream(pieces)
}

fn ends(body: Stream, after: Duration, with: Result<Bytes, axum::Error>) -> Stream {
    let until = body.into_data_stream().take_until(Box::pin(sleep(after)));
    Stream::from_stream(until.chain(stream::iter([with])))
}

fn cut() -> axum::Error {
    axum::Error::new(io::Error::from(io::ErrorKind::ConnectionReset))
}

fn expired() -> Bytes {
    format!("{}\n", json!({ "type": "ERROR", "object": too_old() })).into()
}

fn forgotten() -> Response<Stream> {
    Response::builder()
        .status(StatusCode::GONE)
        .header("content-type", "application/json")
        .body(too_old().to_string().into())
        .unwrap()
}

fn too_old() -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version",
    })
}
