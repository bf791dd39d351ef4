use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

#[tokio::test]
async fn healthz_names_the_stuck_task() {
    let server = Server::start().await;
    let beat = server
        .report
        .heartbeats
        .promise("watch of certificates", Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(
        server.get("/healthz").await,
        (
            503,
            "stuck: watch of certificates should have reported 0 s ago\n".to_owned()
        )
    );
    drop(beat);
    assert_eq!(server.get("/healthz").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn readyz_names_what_it_waits_for_and_stays_true() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/readyz").await,
        (503, "waiting for: certificates; secrets\n".to_owned())
    );
    server.report.readiness.reached("secrets");
    assert_eq!(
        server.get("/readyz").await,
        (503, "waiting for: certificates\n".to_owned())
    );
    server.report.readiness.reached("certificates");
    assert_eq!(server.get("/readyz").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let server = Server::start().await;
    let answer = server
        .exchange(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert!(
        answer.contains(
            "\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        ),
        "{answer}"
    );
    assert!(
        answer.ends_with(
            "\r\n\r\n# HELP visits Visits.\n# TYPE visits counter\nvisits_total 0\n# EOF\n"
        ),
        "{answer}"
    );
}

#[tokio::test]
async fn nothing_else_is_served() {
    let server = Server::start().await;
    assert_eq!(server.get("/").await.0, 404);
    let answer = server
        .exchange(
            b"POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let head = format!(
        "GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "a".repeat(2 * MAX_HEAD_BYTES)
    );
    let answer = server.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// The head stays unfinished for ever; the clock runs by itself because nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_in_time() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .await
        .unwrap();
    let start = tokio::time::Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        start.elapsed() <= HEAD_TIMEOUT + Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_idle_connections_and_frees_the_port() {
    let server = Server::start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let start = tokio::time::Instant::now();
    server.stop.cancel();
    server.task.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "an idle connection is no answer under way: {:?}",
        start.elapsed()
    );
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    TcpListener::bind(server.address).await.unwrap();
}

#[tokio::test]
async fn no_more_connections_are_served_than_there_are_places() {
    let server = Server::start().await;
    let mut holders = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\n")
            .await
            .unwrap();
        holders.push(stream);
    }
    let mut waiting = tokio::spawn(get(server.address, "/healthz"));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut waiting)
            .await
            .is_err(),
        "served beyond the bound"
    );
    drop(holders);
    assert_eq!(waiting.await.unwrap().0, 200);
}

#[tokio::test]
async fn every_ipv6_address_falls_back_to_every_ipv4_address() {
    let listener = listen("[::]:0".parse().unwrap()).await.unwrap();
    assert!(listener.local_addr().unwrap().ip().is_unspecified());
    assert!(lacks_ipv6(&io::Error::from_raw_os_error(97)));
    assert!(!lacks_ipv6(&io::Error::from(io::ErrorKind::AddrInUse)));
}

struct Server {
    address: SocketAddr,
    report: Report,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let mut registry = Registry::default();
        registry.register(
            "visits",
            "Visits",
            prometheus_client::metrics::counter::Counter::<u64>::default(),
        );
        let report = Report {
            heartbeats: Heartbeats::default(),
            readiness: Readiness::after(["certificates", "secrets"]),
            registry: Arc::new(registry),
        };
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, report.clone(), stop.clone()));
        Self {
            address,
            report,
            stop,
            task,
        }
    }

    async fn get(&self, path: &'static str) -> (u16, String) {
        get(self.address, path).await
    }

    async fn exchange(&self, request: &[u8]) -> String {
        exchange(self.address, request).await
    }
}

/// Status and body of an answer.
async fn get(address: SocketAddr, path: &'static str) -> (u16, String) {
    let answer = exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
