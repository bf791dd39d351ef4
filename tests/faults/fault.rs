//! Makes one call fail, in each namespace as a script says.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::json;
use tower::{BoxError, Layer, Service};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the server has read the request.
    CutBefore,
    /// The connection breaks after the server acted: the answer is lost.
    CutAfter,
    /// The server refuses with this code and does nothing.
    Refused(u16),
    /// The server sheds load as priority and fairness do: in plain text, and the time to come back in a header.
    Shed,
    /// Something in between gives up on a server that then acts.
    GatewayTimeout,
    /// Nothing ever comes back, and the server does nothing.
    Hang,
    /// The request reaches the server after the operator has given it up.
    Late,
    /// The server acts, and half of its answer arrives.
    Truncated,
}

impl Fault {
    /// Every way a call can fail.
    pub(crate) const ALL: [Self; 11] = [
        Self::CutBefore,
        Self::CutAfter,
        Self::Refused(409),
        Self::Refused(422),
        Self::Refused(429),
        Self::Shed,
        Self::Refused(500),
        Self::GatewayTimeout,
        Self::Hang,
        Self::Late,
        Self::Truncated,
    ];
}

/// A little more than the operator waits for any call.
const LATE: Duration = Duration::from_millis(11_200);

/// A call, without the namespace and without what differs between any two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    method: String,
    path: String,
}

impl Call {
    /// A call to this path, which leaves out `/namespaces/NAME`.
    pub(crate) fn new(method: &str, path: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
        }
    }

    /// Namespace and call; nothing for what concerns no namespace, such as every watch of the operator.
    fn of(request: &Request<Body>) -> Option<(String, Self)> {
        let (before, rest) = request.uri().path().split_once("/namespaces/")?;
        let (namespace, object) = rest.split_once('/')?;
        // What follows is made of the Certificate's uid.
        let kept = "secrets/previous-";
        let object = if object.starts_with(kept) {
            kept
        } else {
            object
        };
        let call = Self::new(request.method().as_str(), format!("{before}/{object}"));
        Some((namespace.to_owned(), call))
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// One call that shall fail: the `nth` of its kind, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) call: Call,
    pub(crate) nth: usize,
    pub(crate) fault: Fault,
}

impl Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ({})", self.fault, self.call, self.nth)
    }
}

/// A layer around the operator's client. Calls are counted and made to fail per namespace, so that one operator serves
/// many cases at once.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<HashMap<String, Script>>>);

#[derive(Default)]
struct Script {
    calls: Vec<Call>,
    /// Those that the server has done, whether the operator knows it or not.
    done: Vec<Call>,
    shot: Option<Shot>,
    hit: bool,
    /// Failing calls that have not come to their end, be it without the operator.
    open: usize,
}

impl Faults {
    /// Counts anew in a namespace, and lets that call fail there.
    pub(crate) fn arm(&self, namespace: &str, shot: Option<Shot>) {
        self.script(namespace, |script| {
            *script = Script {
                shot,
                open: script.open,
                ..Script::default()
            };
        });
    }

    /// The calls in a namespace since it was armed.
    pub(crate) fn calls(&self, namespace: &str) -> Vec<Call> {
        self.script(namespace, |script| script.calls.clone())
    }

    /// How many of these calls the server has done since.
    pub(crate) fn done(&self, namespace: &str, call: &Call) -> usize {
        self.script(namespace, |script| {
            script.done.iter().filter(|done| *done == call).count()
        })
    }

    /// Whether the call that shall fail was made.
    pub(crate) fn hit(&self, namespace: &str) -> bool {
        self.script(namespace, |script| script.hit)
    }

    /// Whether a call is still failing: the operator waits for it, or its request is on its way all the same.
    pub(crate) fn is_failing(&self, namespace: &str) -> bool {
        self.script(namespace, |script| script.open > 0)
    }

    fn script<T>(&self, namespace: &str, read: impl FnOnce(&mut Script) -> T) -> T {
        read(
            self.0
                .lock()
                .unwrap()
                .entry(namespace.to_owned())
                .or_default(),
        )
    }

    /// Takes note of a call, and says how it fails.
    fn note(&self, namespace: &str, call: Call) -> Option<Fault> {
        self.script(namespace, |script| {
            script.calls.push(call);
            let shot = script.shot.as_ref().filter(|_| !script.hit)?;
            let count = script
                .calls
                .iter()
                .filter(|call| **call == shot.call)
                .count();
            let fault = shot.fault;
            script.hit = count == shot.nth;
            script.open += usize::from(script.hit);
            script.hit.then_some(fault)
        })
    }
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty {
            faults: self.clone(),
            inner,
        }
    }
}

/// See [`Faults`].
pub(crate) struct Faulty<S> {
    faults: Faults,
    inner: S,
}

impl<S> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let named = Call::of(&request);
        // Nothing is sent before it is polled.
        let answer = self.inner.call(request);
        let Some((namespace, call)) = named else {
            return Box::pin(answer);
        };
        let fault = self.faults.note(&namespace, call.clone());
        let answer = noted(self.faults.clone(), namespace.clone(), call, answer);
        match fault {
            None => Box::pin(answer),
            Some(fault) => {
                let open = Open(self.faults.clone(), namespace);
                Box::pin(fail(fault, answer, open))
            }
        }
    }
}

/// Takes note of what the server has done.
async fn noted(
    faults: Faults,
    namespace: String,
    call: Call,
    answer: impl Future<Output = Result<Response<Body>, BoxError>>,
) -> Result<Response<Body>, BoxError> {
    let answer = answer.await?;
    if answer.status().is_success() {
        faults.script(&namespace, |script| script.done.push(call));
    }
    Ok(answer)
}

/// A call that is failing, until it is dropped.
struct Open(Faults, String);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.script(&self.1, |script| script.open -= 1);
    }
}

async fn fail(
    fault: Fault,
    answer: impl Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    open: Open,
) -> Result<Response<Body>, BoxError> {
    match fault {
        Fault::CutBefore => Err(cut()),
        Fault::CutAfter => {
            answer.await?.into_body().collect_bytes().await?;
            Err(cut())
        }
        Fault::Refused(code) => Ok(refusal(code)),
        Fault::Shed => Ok(shed()),
        Fault::GatewayTimeout => {
            answer.await?.into_body().collect_bytes().await?;
            Ok(refusal(504))
        }
        Fault::Hang => std::future::pending().await,
        Fault::Late => {
            tokio::spawn(async move {
                let _open = open;
                tokio::time::sleep(LATE).await;
                let _ = answer.await;
            });
            std::future::pending().await
        }
        Fault::Truncated => {
            let (parts, body) = answer.await?.into_parts();
            let whole = body.collect_bytes().await?;
            Ok(Response::from_parts(
                parts,
                Body::from(whole.slice(..whole.len() / 2)),
            ))
        }
    }
}

fn cut() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

fn refusal(code: u16) -> Response<Body> {
    let (reason, details) = match code {
        409 => ("Conflict", json!({})),
        422 => ("Invalid", json!({})),
        429 => ("TooManyRequests", json!({ "retryAfterSeconds": 1 })),
        500 => ("InternalError", json!({})),
        _ => ("Timeout", json!({})),
    };
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "details": details,
        "message": "made to fail",
    });
    Response::builder()
        .status(StatusCode::from_u16(code).unwrap())
        .header("content-type", "application/json")
        .body(Body::from(status.to_string().into_bytes()))
        .unwrap()
}

fn shed() -> Response<Body> {
    let text = "Too many requests, please try again later.\n";
    Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header("content-type", "text/plain; charset=utf-8")
        .header("retry-after", "1")
        .body(Body::from(text.as_bytes().to_vec()))
        .unwrap()
}
