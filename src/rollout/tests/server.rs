//! An API server with one Deployment.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use certwright_core::rollout::{Workload, WorkloadKind};
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

pub(super) const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const STATUS: &str = "/apis/certwright.dev/v1alpha1/namespaces/shop/certificates/web/status";

/// Answers all but what is watched, and remembers what it was asked.
pub(super) struct Server {
    pub(super) deployment: Mutex<Value>,
    /// Method and path of every call but watches.
    calls: Mutex<Vec<String>>,
    /// Query and body of every write that got through.
    pub(super) writes: Mutex<Vec<(String, Value)>>,
    /// Someone else writes the Deployment after its Pods were next read.
    pub(super) interfere: AtomicBool,
}

impl Server {
    pub(super) fn new(deployment: Value) -> Arc<Self> {
        Arc::new(Self {
            deployment: Mutex::new(deployment),
            calls: Mutex::default(),
            writes: Mutex::default(),
            interfere: AtomicBool::new(false),
        })
    }

    pub(super) fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        if query.contains("watch=true") {
            return std::future::pending().await;
        }
        self.calls
            .lock()
            .unwrap()
            .push(format!("{} {path}", parts.method));
        let bytes = body.collect_bytes().await.unwrap();
        let mut deployment = self.deployment.lock().unwrap();
        let (status, answer) = match (&parts.method, path) {
            (&Method::GET, "/apis/apps/v1/deployments") => (
                200,
                json!({ "metadata": { "resourceVersion": "50" }, "items": [*deployment] }),
            ),
            (
                &Method::GET,
                "/apis/apps/v1/statefulsets"
                | "/apis/apps/v1/daemonsets"
                | "/api/v1/secrets"
                | "/api/v1/configmaps",
            ) => (
                200,
                json!({ "metadata": { "resourceVersion": "50" }, "items": [] }),
            ),
            (&Method::GET, "/api/v1/namespaces/shop/pods") => {
                if self.interfere.swap(false, Ordering::SeqCst) {
                    deployment["metadata"]["resourceVersion"] = json!("99");
                }
                (200, pods())
            }
            (&Method::GET, DEPLOYMENT) => (200, deployment.clone()),
            (&Method::PATCH, DEPLOYMENT | STATUS) => {
                let body: Value = serde_json::from_slice(&bytes).unwrap();
                if path == DEPLOYMENT
                    && body["metadata"]["resourceVersion"]
                        != deployment["metadata"]["resourceVersion"]
                {
                    (409, refusal(409, "Conflict"))
                } else {
                    self.writes
                        .lock()
                        .unwrap()
                        .push((query.to_owned(), body.clone()));
                    if path == DEPLOYMENT {
                        apply(&mut deployment, &body);
                        (200, deployment.clone())
                    } else {
                        let mut metadata = body["metadata"].clone();
                        metadata["generation"] = json!(1);
                        (
                            200,
                            json!({
                                "metadata": metadata,
                                "spec": { "secretName": "web-tls", "issuerRef": { "name": "ca" } },
                                "status": body["status"],
                            }),
                        )
                    }
                }
            }
            _ => (404, refusal(404, "NotFound")),
        };
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .body(Body::from(serde_json::to_vec(&answer).unwrap()))
            .unwrap()
    }

    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(super) fn writes(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }

    pub(super) fn observed(&self) -> Workload {
        Workload::from_object(WorkloadKind::Deployment, &self.deployment.lock().unwrap())
    }
}

fn refusal(code: u16, reason: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason })
}

fn apply(deployment: &mut Value, body: &Value) {
    for pointer in [
        "/metadata/annotations",
        "/spec/template/metadata/annotations",
    ] {
        let said = body
            .pointer(pointer)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        deployment
            .pointer_mut(pointer)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .extend(said);
    }
    deployment["metadata"]["resourceVersion"] = json!("60");
}

fn pods() -> Value {
    json!({ "metadata": { "resourceVersion": "50" }, "items": [{
        "metadata": { "labels": { "app": "web" }, "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u-rs", "controller": true,
        }] },
        "status": {
            "phase": "Running",
            "podIPs": [{ "ip": "127.0.0.1" }],
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "state": { "running": { "startedAt": "2026-11-02T11:00:00Z" } } }],
        },
    }] })
}
