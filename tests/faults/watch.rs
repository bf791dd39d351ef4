//! Makes watches lag, break off, and lose their place.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as Stream, Bytes};
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use http::{Request, Response, Uri};
use kube::client::Body;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{BoxError, Layer, Service};

/// What happens to a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// What it shows arrives 3 to 5 seconds late, in its order.
    Late,
    /// It breaks off after this long, and shows no bookmarks.
    Cut(Duration),
    /// After this long the server has forgotten where it was (410).
    Expired(Duration),
}

/// A layer that gives trouble to the watches of some kinds, by their plural names.
#[derive(Clone)]
pub(crate) struct Watches {
    kinds: Arc<[&'static str]>,
    trouble: Trouble,
    troubled: Arc<AtomicUsize>,
}

impl Watches {
    /// The watches of these kinds; of all kinds if there are none.
    pub(crate) fn of(kinds: &[&'static str], trouble: Trouble) -> Self {
        Self {
            kinds: kinds.into(),
            trouble,
            troubled: Arc::default(),
        }
    }

    /// How many watches have been given trouble.
    pub(crate) fn troubled(&self) -> usize {
        self.troubled.load(Ordering::Relaxed)
    }

    fn trouble(&self, uri: &Uri) -> Option<Trouble> {
        let kind = uri.path().rsplit('/').next().unwrap_or_default();
        let meant = self.kinds.is_empty() || self.kinds.contains(&kind);
        let watches = uri
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        (meant && watches).then(|| {
            self.troubled.fetch_add(1, Ordering::Relaxed);
            self.trouble
        })
    }
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
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (parts, body) = answer.await?.into_parts();
            let body = Stream::new(body);
            let body = match trouble {
                None => body,
                Some(Trouble::Late) => late(body),
                Some(Trouble::Cut(after)) => {
                    let cut = io::Error::from(io::ErrorKind::ConnectionReset);
                    ends(body, after, Err(axum::Error::new(cut)))
                }
                Some(Trouble::Expired(after)) => ends(body, after, Ok(expired())),
            };
            Ok(Response::from_parts(parts, body))
        })
    }
}

fn late(body: Stream) -> Stream {
    let (sender, receiver) = mpsc::unbounded();
    let mut arriving = body.into_data_stream();
    tokio::spawn(async move {
        let mut lags = (0..).map(|n: u64| Duration::from_millis(3000 + n * 700 % 2000));
        while let Some(data) = arriving.next().await {
            let due = Instant::now() + lags.next().unwrap_or_default();
            if sender.unbounded_send((due, data)).is_err() {
                return;
            }
        }
    });
    Stream::from_stream(receiver.then(|(due, data)| async move {
        sleep_until(due).await;
        data
    }))
}

fn ends(body: Stream, after: Duration, with: Result<Bytes, axum::Error>) -> Stream {
    let until = body.into_data_stream().take_until(Box::pin(sleep(after)));
    Stream::from_stream(until.chain(stream::iter([with])))
}

fn expired() -> Bytes {
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version",
    });
    format!("{}\n", json!({ "type": "ERROR", "object": status })).into()
}
