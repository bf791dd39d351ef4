//! The time a server names in a header, where the client only looks into the body.
//!
//! An API server that sheds load (priority and fairness) answers 429 in plain text, and says in `Retry-After` (RFC 9110
//! section 10.2.3) when to come back; so do gateways with 503. The client reads the body alone.

use std::task::{Context, Poll};

use axum::body::{Body as Answer, Bytes, HttpBody, to_bytes};
use futures::future::BoxFuture;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, Layer, Service};

/// No refusal is longer than this, in bytes.
const MAX_REFUSAL: usize = 1 << 20;

/// A layer around a client that writes the header into the refusal's body, where none stands there.
#[derive(Clone, Copy, Debug)]
pub struct RetryAfter;

impl<S> Layer<S> for RetryAfter {
    type Service = Told<S>;

    fn layer(&self, inner: S) -> Told<S> {
        Told(inner)
    }
}

/// See [`RetryAfter`].
#[derive(Clone, Debug)]
pub struct Told<S>(S);

impl<S, B> Service<Request<Body>> for Told<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?.map(Answer::new);
            match seconds(answer.headers()).filter(|_| is_refusal(answer.status())) {
                Some(seconds) => told(answer, seconds).await,
                None => Ok(answer),
            }
        })
    }
}

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Kubernetes names seconds, never a date.
fn seconds(headers: &HeaderMap) -> Option<u32> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

async fn told(answer: Response<Answer>, seconds: u32) -> Result<Response<Answer>, BoxError> {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, MAX_REFUSAL).await?;
    let mut status = match serde_json::from_slice::<Value>(&body) {
        Ok(status) if status["kind"] == "Status" => status,
        _ => json!({
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": parts.status.as_u16(),
            "reason": parts.status.canonical_reason().unwrap_or_default().replace(' ', ""),
            "message": String::from_utf8_lossy(&body).trim(),
        }),
    };
    if !status["details"].is_object() {
        status["details"] = json!({});
    }
    if status["details"]["retryAfterSeconds"]
        .as_u64()
        .unwrap_or_default()
        == 0
    {
        status["details"]["retryAfterSeconds"] = seconds.into();
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Response::from_parts(parts, status.to_string().into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Secret;
    use kube::{Api, Client};

    use super::*;
    use crate::cluster::call;
    use crate::error::{CallError, Retry};

    /// How a call fails that is answered so.
    async fn failure(code: u16, after: Option<&'static str>, body: &Value) -> CallError {
        let body = match body {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        let answer = tower::service_fn(move |_: Request<Body>| {
            let mut answer = Response::builder().status(code);
            if let Some(after) = after {
                answer = answer.header(RETRY_AFTER, after);
            }
            let answer = answer
                .header(CONTENT_LENGTH, body.len())
                .body(Body::from(body.clone().into_bytes()));
            async move { answer.map_err(BoxError::from) }
        });
        let client = Client::new(RetryAfter.layer(answer), "shop");
        let secrets: Api<Secret> = Api::default_namespaced(client);
        call(secrets.get("web-tls")).await.unwrap_err()
    }

    fn after(seconds: u64) -> Retry {
        Retry::After(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn the_header_counts_where_the_body_names_no_time() {
        let shed = json!("Too many requests, please try again later.\n");
        let problem = failure(429, Some("7"), &shed).await;
        assert_eq!(problem.retry(), after(7));
        let said = problem.to_string();
        assert!(said.contains("Too many requests"), "{said}");
        let unnamed =
            json!({ "kind": "Status", "status": "Failure", "code": 503, "message": "starting" });
        assert_eq!(failure(503, Some("3"), &unnamed).await.retry(), after(3));
        assert_eq!(
            failure(429, Some("86400"), &json!("")).await.retry(),
            after(300)
        );
    }

    #[tokio::test]
    async fn a_time_in_the_body_counts_more_and_without_any_all_is_as_it_was() {
        let named = json!({
            "kind": "Status", "status": "Failure", "code": 429, "message": "busy",
            "details": { "retryAfterSeconds": 2 },
        });
        assert_eq!(failure(429, Some("7"), &named).await.retry(), after(2));
        let shed = json!("Too many requests, please try again later.\n");
        for header in [
            None,
            Some("Wed, 21 Oct 2026 07:28:00 GMT"),
            Some("-1"),
            Some("0"),
        ] {
            assert_eq!(
                failure(429, header, &shed).await.retry(),
                Retry::Backoff,
                "{header:?}"
            );
        }
        // It says how load is shed, not when a conflict is over.
        assert_eq!(
            failure(409, Some("7"), &json!("")).await.retry(),
            Retry::Reread
        );
    }
}
