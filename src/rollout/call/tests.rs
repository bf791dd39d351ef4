use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use certwright_core::rollout::{Pod, Workload, WorkloadKind};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::outside::Addresses;

/// A server that answers every request with these bytes, and remembers what it was asked.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn answering(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                // Whoever called may have heard enough.
                let _ = stream.write_all(&answer).await;
            }
        });
        Self { port, asked }
    }

    async fn saying(head: &str) -> Self {
        Self::answering(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n").into_bytes()).await
    }

    fn call(&self) -> RolloutCall {
        call(json!({ "path": "/-/reload?now=1", "port": self.port }))
    }
}

fn call(call: Value) -> RolloutCall {
    serde_json::from_value(call).unwrap()
}

fn workload() -> Workload {
    let object = json!({ "metadata": { "name": "web", "namespace": "shop", "uid": "u-web" } });
    Workload::from_object(WorkloadKind::StatefulSet, &object)
}

fn pod(name: &str) -> Value {
    let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u-web", "controller": true });
    let port = json!({ "name": "admin", "containerPort": 9000 });
    json!({
        "metadata": { "name": name, "namespace": "shop", "ownerReferences": [owner] },
        "spec": { "containers": [{ "name": "main" }, { "name": "admin", "ports": [port] }] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }],
            "podIPs": [{ "ip": "127.0.0.1" }],
        },
    })
}

fn callees(pods: &[Value]) -> Vec<Callee> {
    let pods = pods
        .iter()
        .map(|pod| serde_json::from_value(pod.clone()).unwrap());
    let pods: Vec<Pod> = pods.collect();
    Callee::of(&workload(), &pods).collect()
}

/// The API server, which is there whatever the port.
struct ApiServer;

impl Addresses for ApiServer {
    fn hold(&self, address: SocketAddr) -> BoxFuture<'_, anyhow::Result<bool>> {
        Box::pin(std::future::ready(Ok(
            address.ip().to_string() == "10.0.0.1"
        )))
    }
}

/// As in a cluster, but that the own host may be called.
fn here() -> Allowed {
    Allowed::new(vec!["127.0.0.0/8".parse().unwrap()])
}

async fn refusal(allowed: &Allowed, call: &RolloutCall, pods: &[Value]) -> String {
    let problem = call_all(allowed, call, callees(pods)).await.unwrap_err();
    format!("{problem:#}")
}

#[tokio::test]
async fn each_ready_pod_is_called_once_at_its_own_address() {
    let server = Server::saying("204 No Content").await;
    let mut starting = pod("web-2");
    starting["status"]["conditions"][0]["status"] = json!("False");
    let mut foreign = pod("api-0");
    foreign["metadata"]["ownerReferences"][0]["uid"] = json!("u-api");
    let pods = [pod("web-0"), pod("web-1"), starting, foreign];
    call_all(&here(), &server.call(), callees(&pods))
        .await
        .unwrap();
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let head = asked[0].to_lowercase();
    assert!(
        head.starts_with("post /-/reload?now=1 http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)),
        "{head}"
    );
    assert!(head.contains("content-length: 0\r\n"), "{head}");
    let get = call(json!({ "method": "GET", "path": "/", "port": server.port }));
    call_all(&here(), &get, callees(&[pod("web-0")]))
        .await
        .unwrap();
    assert!(server.asked.lock().unwrap()[2].starts_with("GET / "));
}

#[tokio::test]
async fn any_other_status_fails_and_no_redirect_is_followed() {
    let elsewhere = Server::saying("200 OK").await;
    let redirect = format!(
        "302 Found\r\nlocation: http://127.0.0.1:{}/",
        elsewhere.port
    );
    for (head, status) in [
        (redirect.as_str(), 302),
        ("503 Service Unavailable", 503),
        ("404 Not Found", 404),
    ] {
        let server = Server::saying(head).await;
        let problem = refusal(&here(), &server.call(), &[pod("web-0")]).await;
        assert_eq!(problem, format!("Pod web-0 answered with status {status}"));
    }
    assert_eq!(elsewhere.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_answered_besides_the_status_is_not_read() {
    // A body that never ends as announced.
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_vec();
    answer.extend([b'x'; 100_000]);
    let server = Server::answering(answer).await;
    call_all(&here(), &server.call(), callees(&[pod("web-0")]))
        .await
        .unwrap();
    let garbage = Server::answering(b"SSH-2.0-nope\r\n".to_vec()).await;
    let problem = refusal(&here(), &garbage.call(), &[pod("web-0")]).await;
    assert!(
        problem.starts_with("Pod web-0 can't be called: "),
        "{problem}"
    );
}

#[tokio::test]
async fn who_cant_be_called_is_said_with_the_reason() {
    let server = Server::saying("200 OK").await;
    let in_cluster = Allowed::default().but_not(Arc::new(ApiServer));
    let at = |address: &str| {
        let mut pod = pod("web-0");
        pod["status"]["podIPs"][0]["ip"] = json!(address);
        pod
    };
    for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1"] {
        let problem = refusal(&in_cluster, &server.call(), &[at(address)]).await;
        assert!(problem.contains("never asked"), "{problem}");
    }
    let mut of_host = pod("web-0");
    of_host["spec"]["hostNetwork"] = json!(true);
    let problem = refusal(&here(), &server.call(), &[of_host]).await;
    assert!(
        problem.contains("no address of its own (hostNetwork)"),
        "{problem}"
    );
    assert_eq!(server.asked.lock().unwrap().len(), 0);
    let unnamed = call(json!({ "path": "/", "port": "http" }));
    let problem = refusal(&here(), &unnamed, &[pod("web-0")]).await;
    assert!(problem.contains("names a port \"http\""), "{problem}");
    assert_eq!(
        refusal(&here(), &unnamed, &[]).await,
        "none of its Pods is ready"
    );
    let named = callees(&[pod("web-0")]).remove(0);
    assert_eq!(
        named.port(&call(json!({ "path": "/", "port": "admin" })).port),
        Some(9000)
    );
}
