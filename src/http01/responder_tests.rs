use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

/// Answers by host and token.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl Answers for Known {
    fn answer(&self, host: &Host, token: &str) -> Option<String> {
        let key = (host.as_str().to_owned(), token.to_owned());
        self.0.lock().unwrap().get(&key).cloned()
    }
}

impl Known {
    fn learn(&self, host: &str, token: &str) {
        let key = (host.to_owned(), token.to_owned());
        self.0.lock().unwrap().insert(key, format!("{token}.thumb"));
    }
}

struct Server {
    address: SocketAddr,
    known: Known,
    news: watch::Sender<u64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let known = Known::default();
        known.learn("shop.example", "abc");
        known.learn("[2001:db8::1]", "six");
        known.learn("192.0.2.1", "four");
        let (news, receiver) = watch::channel(0);
        let stop = CancellationToken::new();
        let responder = Responder::new(known.clone(), receiver);
        let task = tokio::spawn(responder.serve(listener, stop.clone()));
        Self {
            address,
            known,
            news,
            stop,
            task,
        }
    }

    async fn ask(&self, method: &str, target: &str, host: &str) -> String {
        let head =
            format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        self.exchange(&head).await
    }

    async fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn path(token: &str) -> String {
    format!("{PATH}{token}")
}

#[tokio::test]
async fn a_token_is_answered_at_its_host_however_that_is_written() {
    let server = Server::start().await;
    let cases = [
        ("abc", "shop.example"),
        ("abc", "SHOP.example:80"),
        ("abc", "shop.example."),
        ("six", "[2001:DB8::1]:80"),
        ("four", "192.0.2.1"),
    ];
    for (token, host) in cases {
        let answer = server.ask("GET", &path(token), host).await;
        assert_eq!(status(&answer), "200", "{host}: {answer}");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{token}.thumb")),
            "{answer}"
        );
        assert!(
            answer.contains("\r\ncontent-type: application/octet-stream\r\n"),
            "{answer}"
        );
    }
    let absolute = format!("http://shop.example{}", path("abc"));
    assert_eq!(
        status(&server.ask("GET", &absolute, "proxy.example").await),
        "200"
    );
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let server = Server::start().await;
    let answer = server.ask("HEAD", &path("abc"), "shop.example").await;
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("\r\ncontent-length: 9\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_answered_at_another_host() {
    let server = Server::start().await;
    for host in ["bank.example", "192.0.2.1", "www.shop.example"] {
        let answer = server.ask("GET", &path("abc"), host).await;
        assert_eq!(status(&answer), "404", "{host}");
        assert!(!answer.contains("thumb"), "{answer}");
    }
}

#[tokio::test]
async fn nothing_else_is_served_and_nothing_is_repeated() {
    let server = Server::start().await;
    let cases = [
        ("GET", "/".to_owned(), "404"),
        ("GET", "/healthz".to_owned(), "404"),
        ("GET", "/.well-known/acme-challenge".to_owned(), "404"),
        ("GET", path(""), "404"),
        ("GET", path("abc/"), "404"),
        ("GET", path("../abc"), "404"),
        ("GET", path("abc%0d%0aset-cookie:marked"), "404"),
        ("GET", path(&"marked".repeat(100)), "404"),
        ("POST", path("abc"), "405"),
        ("DELETE", path("abc"), "405"),
    ];
    for (method, target, expected) in cases {
        let answer = server.ask(method, &target, "shop.example").await;
        assert_eq!(status(&answer), expected, "{method} {target}");
        assert!(!answer.contains("marked"), "{answer}");
    }
}

#[tokio::test]
async fn a_host_that_names_none_or_two_is_refused() {
    let server = Server::start().await;
    let target = path("abc");
    for hosts in [
        "",
        "host: shop.example\r\nhost: bank.example\r\n",
        "host: a b\r\n",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = server.exchange(&head).await;
        assert_eq!(status(&answer), "400", "{hosts:?}: {answer}");
    }
}

#[tokio::test]
async fn a_token_that_becomes_known_meanwhile_is_answered() {
    let server = Server::start().await;
    let target = path("late");
    let asking = server.ask("GET", &target, "shop.example");
    let learning = async {
        // The question's copy of the receiver shows that it waits, or is about to.
        while server.news.receiver_count() < 2 {
            tokio::task::yield_now().await;
        }
        server.known.learn("shop.example", "late");
        server.news.send_modify(|version| *version += 1);
    };
    let (answer, ()) = tokio::join!(asking, learning);
    assert!(answer.ends_with("\r\n\r\nlate.thumb"), "{answer}");
}

#[tokio::test]
async fn who_asks_for_nothing_takes_no_place_for_long() {
    let server = Server::start().await;
    let target = path("never");
    let asking = (0..MAX_CONNECTIONS).map(|_| server.ask("GET", &target, "shop.example"));
    let answers = futures::future::join_all(asking).await;
    assert!(answers.iter().all(|answer| status(answer) == "404"));
    let answer = server.ask("GET", &path("abc"), "shop.example").await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_number() {
    let server = Server::start().await;
    let long = format!("x: {}\r\n", "a".repeat(2 * MAX_HEAD_BYTES));
    let many: String = (0..=MAX_HEADERS).map(|n| format!("x{n}: a\r\n")).collect();
    for headers in [long, many] {
        let target = path("abc");
        let head = format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n");
        assert_eq!(status(&server.exchange(&head).await), "431");
    }
}

/// The clock runs by itself because nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(2 * HEAD_TIMEOUT, read)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn it_stops_when_told() {
    let server = Server::start().await;
    server.stop.cancel();
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
