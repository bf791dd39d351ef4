//! Servers that are watched for those who wrote ServedChecks.

mod allowed;
mod away;
mod judged;
mod takeover;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certwright::clock::{Clock as _, SystemClock};
use certwright_core::api::{Condition, ConditionStatus, ServedCheck, condition as conditions};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::Scene;
use crate::tls::authority::{Ca, NAME, Pair};
use crate::tls::server::Server;

use ConditionStatus::{False, True, Unknown};

/// A scene in which servers on this machine may be watched, and asked about revocation.
async fn scene(name: &str) -> Scene<'static> {
    let mut scene = Scene::new(name).await;
    scene.watched = vec!["127.0.0.1:*".parse().unwrap()];
    scene.private_networks = vec!["127.0.0.1".parse().unwrap()];
    scene
}

fn bundle(ca: &Ca) -> Value {
    BASE64_STANDARD.encode(ca.pem()).into()
}

pub(crate) async fn watch(scene: &Scene<'_>, name: &str, target: &str, more: Value) {
    let mut spec = json!({ "target": target, "serverName": NAME, "interval": "24h" });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    scene
        .apply(&json!({ "kind": "ServedCheck", "metadata": { "name": name }, "spec": spec }))
        .await;
}

fn said<'a>(check: &'a ServedCheck, type_: &str) -> Option<&'a Condition> {
    conditions::find(&check.status.as_ref()?.conditions, type_)
}

/// Waits until a condition of a check says this of its present spec.
pub(crate) async fn says(
    scene: &Scene<'_>,
    name: &str,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
) -> ServedCheck {
    let what = format!("{type_} {status:?} {reason}");
    let holds = |check: &ServedCheck| {
        said(check, type_).is_some_and(|said| {
            said.status == status
                && said.reason == reason
                && said.observed_generation == check.metadata.generation
        })
    };
    scene.wait(&scene.served_checks(), name, &what, holds).await
}

/// Makes the operator look whether a check is due.
async fn touch(scene: &Scene<'_>, name: &str) {
    let moment = SystemClock.now().to_string();
    let patch = json!({ "metadata": { "annotations": { "test/touched": moment } } });
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let checks = scene.served_checks();
    checks.patch(name, &parameters, &patch).await.unwrap();
}

fn codes(check: &ServedCheck) -> Vec<&str> {
    let faults = &check.status.as_ref().unwrap().faults;
    faults.iter().map(|fault| fault.code.as_str()).collect()
}

pub(crate) async fn serve(pair: &Pair, above: &[&str]) -> Server {
    Server::start(&pair.certificate, above, &pair.key, &[]).await
}

/// A way to a server that counts who takes it, and can be closed.
struct Way {
    at: SocketAddr,
    server: Arc<Mutex<String>>,
    taken: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let way = Self {
            at: listener.local_addr().unwrap(),
            taken: Arc::default(),
            server: Arc::new(Mutex::new(server.to_owned())),
            closed: Arc::default(),
        };
        let (taken, closed) = (Arc::clone(&way.taken), Arc::clone(&way.closed));
        let server = Arc::clone(&way.server);
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                taken.fetch_add(1, Ordering::SeqCst);
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let server = server.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        way
    }

    fn address(&self) -> String {
        self.at.to_string()
    }

    fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.server.lock().unwrap());
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn seen(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}
