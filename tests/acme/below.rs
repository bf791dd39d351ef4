//! Servers that fail below ACME: in TLS, in HTTP's framing, in how a body is coded.

use std::time::Duration;

use certwright::acme::{AcmeError, Client, Verification};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::faulty::{Fault, Faulty};
use crate::pebble::{Pebble, Ways, transport};

/// Longer than a busy machine takes for an answer over loopback.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is said of a server that is no ACME server now: that it can't be reached, in few plain words.
fn unreachable(what: &str, problem: &AcmeError) {
    let words = problem.to_string();
    assert!(
        matches!(
            problem,
            AcmeError::Unreachable { .. } | AcmeError::Nonsense { .. }
        ),
        "{what}: {words}"
    );
    assert!(words.len() < 700, "{what}: {words}");
    assert!(!words.contains(|c: char| c.is_control()), "{what}: {words}");
}

/// A TLS handshake's answer that says that so many octets follow.
fn record(kind: u8, length: u16, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend(length.to_be_bytes());
    record.extend(content);
    record
}

#[tokio::test]
async fn a_server_that_breaks_off_in_the_handshake_or_speaks_no_tls_is_said_to_be_unreachable() {
    for (what, said) in [
        ("nothing", Vec::new()),
        ("one octet of a record", vec![22]),
        ("half a record's head", vec![22, 3, 3]),
        ("a record's head", record(22, 90, &[])),
        (
            "half a greeting",
            record(22, 90, &[2, 0, 0, 86, 3, 3, 7, 7]),
        ),
        (
            "a record that is too long",
            record(22, 0xffff, &[2; 0xffff]),
        ),
        ("a record of no kind", record(99, 4, &[0; 4])),
        ("an alert", record(21, 2, &[2, 40])),
        (
            "plain HTTP",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        ("octets", vec![0; 4096]),
        ("a greeting of SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://{}/dir", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // What was said to it is read first: else the connection would be reset, and what it says be lost.
                let mut greeting = [0; 1024];
                let _ = stream.read(&mut greeting).await;
                let _ = stream.write_all(&said).await;
                let _ = stream.shutdown().await;
            }
        });
        let client = Client::new(transport(&Verification::None).within(PATIENCE), &url);
        unreachable(what, &client.offer().await.unwrap_err());
        server.abort();
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_as_it_said_or_is_packed_is_not_read_as_if_it_did() {
    let pebble = Pebble::start(Ways::default()).await;
    let faulty = Faulty::before(pebble.listens).await;
    let client = faulty.client_within(PATIENCE);
    let sound = client.offer().await.unwrap().directory.new_order.clone();
    let directory =
        format!(r#"{{"newNonce":"{sound}","newAccount":"{sound}","newOrder":"{sound}"}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let length = directory.len();
    let chunk = format!("{length:x}\r\n{directory}\r\n");
    for (what, headers, body) in [
        (
            "a chunk without an end",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            chunk.clone(),
        ),
        (
            "a chunk of another length",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("fffff\r\n{directory}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk without a length",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("x\r\n{directory}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk as long as a number",
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("ffffffffffffffff\r\n{directory}"),
        ),
        (
            "a length that is none",
            "Content-Length: many\r\n".to_owned(),
            directory.clone(),
        ),
        (
            "two lengths",
            format!("Content-Length: {length}\r\nContent-Length: 2\r\n"),
            directory.clone(),
        ),
        (
            "a length beyond the end",
            format!("Content-Length: {}\r\n", length + 1),
            directory.clone(),
        ),
        (
            "a length within the object",
            format!("Content-Length: {}\r\n", length - 1),
            directory.clone(),
        ),
        (
            "a packed body",
            "Content-Encoding: gzip\r\nContent-Length: 20\r\n".to_owned(),
            "\u{1f}\u{8}packed and no JSON".to_owned(),
        ),
        (
            "another protocol",
            "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n".to_owned(),
            String::new(),
        ),
    ] {
        let said = format!("{head}{headers}\r\n{body}").into_bytes();
        faulty.fails_at("/dir", Fault::Says(said));
        let fresh = faulty.client_within(PATIENCE);
        unreachable(what, &fresh.offer().await.unwrap_err());
    }
    // What is framed well is read, in chunks too.
    let said = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n").into_bytes();
    faulty.fails_at("/dir", Fault::Says(said));
    let fresh = faulty.client_within(PATIENCE);
    let offer = fresh.offer().await.unwrap();
    assert_eq!(offer.directory.new_order, sound);
}
