//! Two replicas, of which one orders and both answer.

use std::net::{Ipv4Addr, SocketAddr};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::operator::{World, eventually};
use crate::pebble::{Ways, free_ports};

const HOST: &str = "www.example.com";

/// A connection of somebody who asks for answers to challenges.
struct Asker(TcpStream);

impl Asker {
    async fn of(replica: SocketAddr) -> std::io::Result<Self> {
        TcpStream::connect(replica).await.map(Self)
    }

    async fn asks(&mut self, host: &str, path: &str) -> std::io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.0.write_all(request.as_bytes()).await
    }

    async fn asks_for(&mut self, host: &str, token: &str) -> std::io::Result<()> {
        let path = format!("/.well-known/acme-challenge/{token}");
        self.asks(host, &path).await
    }

    /// What is answered; nothing where nobody is to be answered.
    async fn hears(&mut self) -> std::io::Result<Option<String>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let (length, _) = length.split_once("\r\n").unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await?;
        if head.starts_with("http/1.1 404 ") {
            return Ok(None);
        }
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        Ok(Some(String::from_utf8(body).unwrap()))
    }
}

/// What a replica answers on a new connection.
async fn answered(replica: SocketAddr, host: &str, token: &str) -> std::io::Result<Option<String>> {
    let mut asker = Asker::of(replica).await?;
    asker.asks_for(host, token).await?;
    asker.hears().await
}

impl World {
    /// Who leads, by the Lease.
    async fn leader(&self) -> Option<String> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "certwright");
        let lease = leases.get_opt("certwright").await.unwrap()?;
        let holder = lease.spec?.holder_identity?;
        Some(holder.split('_').next().unwrap().to_owned())
    }

    /// A replica that stands for election.
    async fn candidate(&self, name: &str, answers: SocketAddr) -> tokio::process::Child {
        let election = ["--leader-election", "--pod-name", name];
        self.replica(answers, &election).await
    }
}

#[tokio::test]
async fn a_replica_that_follows_answers_as_the_leader_does_and_waits_for_what_it_has_not_seen() {
    let mut world = World::new(Ways::default()).await;
    world.kill().await;
    let first = world.answers;
    let mut leader = world.candidate("first", first).await;
    eventually("the first leads", async || match world.leader().await {
        Some(leader) if leader == "first" => Ok(()),
        other => Err(format!("{other:?}\n{}", world.log())),
    })
    .await;
    let [port] = free_ports();
    let second = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let _follower = world.candidate("second", second).await;

    world
        .issuer_that_solves_by(json!({
            "waitInsteadOfSelfCheck": "1h",
            "http01": { "ingress": { "ingressClassName": "public" } },
        }))
        .await;
    world.certificate("web", &[HOST]).await;
    let order = world.under_way("shop", "web").await;
    let token = &order.challenges[0].token;
    let key = world.account_key("account").await;
    for replica in [first, second] {
        eventually(&format!("{replica} answers"), async || {
            match answered(replica, HOST, token).await {
                Ok(Some(answer)) if answer == key.key_authorization(token) => Ok(()),
                other => Err(format!("{other:?}\n{}", world.log())),
            }
        })
        .await;
        for (host, token) in [
            ("elsewhere.example.com", token.as_str()),
            (HOST, "nobodys-token"),
        ] {
            let answer = answered(replica, host, token).await.unwrap();
            assert_eq!(answer, None, "{host} {token}");
        }
    }
    assert_eq!(world.leader().await.as_deref(), Some("first"));

    // Another replica leads, of which the follower sees only what it writes.
    let leads = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "certwright", "namespace": "certwright" },
        "spec": {
            "holderIdentity": "third", "leaseDurationSeconds": 3600,
            "renewTime": "2026-11-02T10:00:00.000000Z",
        },
    });
    world.apply(&leads).await;
    leader.kill().await.unwrap();
    let mut tries = 0;
    eventually("a token is answered that was not seen before", async || {
        tries += 1;
        let token = format!("token-{tries}");
        let mut asker = Asker::of(second).await.map_err(|p| p.to_string())?;
        // Somebody listens to what comes next.
        asker.asks(HOST, "/").await.unwrap();
        assert_eq!(asker.hears().await.unwrap(), None);
        asker.asks_for(HOST, &token).await.unwrap();
        let tell = |order: &mut serde_json::Value| {
            order["challenges"][0]["token"] = token.as_str().into();
        };
        world.tampers("web", tell).await;
        match asker.hears().await.unwrap() {
            Some(answer) if answer == key.key_authorization(&token) => Ok(()),
            other => Err(format!("{other:?}\n{}", world.log())),
        }
    })
    .await;
}
