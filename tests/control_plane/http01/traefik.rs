//! A real ingress controller in front of the responder, led to it by what we make: by Ingress and by Gateway API.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use certwright::http01::front_door::Closed;
use certwright::http01::responder::{Answers, Responder};
use certwright::http01::self_check::{Dial, look};
use certwright_core::http01::{Challenge, Host, Outcome};
use certwright_test_cluster::{ControlPlane, Options, Process};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::world::{World, solver};
use crate::harness::{Scene, eventually};

/// Knows one token, at two hosts.
struct OneToken;

impl Answers for OneToken {
    fn answer(&self, host: &Host, token: &str) -> Option<String> {
        let known = ["shop.example", "192.0.2.1"].contains(&host.as_str()) && token == "abc";
        known.then(|| "abc.thumb".to_owned())
    }
}

/// Every name leads to Traefik.
struct Front(SocketAddr);

impl Dial for Front {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        async { Ok(TcpStream::connect(self.0).await?) }.boxed()
    }
}

impl Front {
    async fn shows(&self, identifier: &str, wanted: impl Fn(&Outcome) -> bool) {
        let challenge = Challenge::new(identifier, "abc").unwrap();
        eventually("the front door shows it", async || {
            let outcome = look(self, &challenge, "abc.thumb").await;
            if wanted(&outcome) {
                Ok(())
            } else {
                Err(format!("{identifier}: {outcome:?}"))
            }
        })
        .await;
    }

    async fn serves(&self, identifier: &str) {
        self.shows(identifier, |outcome| *outcome == Outcome::Served)
            .await;
    }

    async fn serves_no_more(&self, identifier: &str) {
        let gone =
            |outcome: &Outcome| matches!(outcome, Outcome::NotYet { saw } if saw.contains("404"));
        self.shows(identifier, gone).await;
    }
}

#[tokio::test]
async fn a_token_is_fetched_through_traefik_by_ingress_and_by_gateway() {
    let cluster = ControlPlane::start(Options::new().without_workloads())
        .await
        .unwrap();
    let scene = Scene::on(&cluster, "http01-traefik").await;
    // EndpointSlices take no loopback addresses.
    let interface = Interface::new();
    let listener = TcpListener::bind((interface.address, 0)).await.unwrap();
    let answering = listener.local_addr().unwrap();
    let (_news, news) = watch::channel(0);
    let stop = CancellationToken::new();
    let responder = tokio::spawn(Responder::new(OneToken, news).serve(listener, stop.clone()));
    let world = World::answering(&scene, answering.port()).await;
    world
        .answers_at(&[&interface.address.to_string()], &[])
        .await;
    let owner = world.certificate("web").await;
    let challenges =
        ["shop.example", "192.0.2.1"].map(|identifier| Challenge::new(identifier, "abc").unwrap());
    let gateway = json!({ "gatewayHTTPRoute": { "parentRefs": [
        { "name": "front", "namespace": scene.namespace },
    ] } });
    let closed = world
        .present(&owner, &solver(gateway.clone()), &challenges)
        .await;
    assert!(matches!(closed, Err(Closed::NoHttpRoutes)), "{closed:?}");
    world.door.clean_up(&owner).await.unwrap();

    let front = Traefik::start(&scene).await;
    world.users_ingress("web").await;
    let ingress = json!({ "ingress": { "ingressClassName": "traefik" } });
    let beside = |mut solver: Value| {
        solver["placement"] = "Operator".into();
        solver
    };
    for value in [
        ingress.clone(),
        beside(ingress),
        json!({ "ingress": { "name": "web" } }),
        gateway.clone(),
        beside(gateway),
    ] {
        world
            .present(&owner, &solver(value.clone()), &challenges)
            .await
            .unwrap();
        for challenge in &challenges {
            front.at.serves(challenge.host().identifier()).await;
        }
        // Traefik may lead it here; it is not answered for all that.
        front.at.serves_no_more("bank.example").await;
        world.door.clean_up(&owner).await.unwrap();
        for challenge in &challenges {
            front.at.serves_no_more(challenge.host().identifier()).await;
        }
    }
    world.is_clean().await;
    world.stop().await;
    stop.cancel();
    responder.await.unwrap();
}

/// Traefik on loopback, with all that it wants to be told.
struct Traefik {
    at: Front,
    _process: Process,
}

impl Traefik {
    async fn start(scene: &Scene<'_>) -> Self {
        for file in std::fs::read_dir(fetched("gateway-api")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for document in serde_yaml::Deserializer::from_str(&text) {
                let document = Value::deserialize(document).unwrap();
                if document["kind"] == "CustomResourceDefinition" {
                    scene.apply(&document).await;
                }
            }
        }
        // Whoever takes it in the meantime makes this fail, not pass.
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = free.local_addr().unwrap();
        drop(free);
        for object in [
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                "metadata": { "name": "traefik" },
                "spec": { "controller": "traefik.io/ingress-controller" } }),
            json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
                "metadata": { "name": "traefik" },
                "spec": { "controllerName": "traefik.io/gateway-controller" } }),
            json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                "metadata": { "name": "front", "namespace": scene.namespace },
                "spec": { "gatewayClassName": "traefik", "listeners": [{
                    "name": "http", "protocol": "HTTP", "port": at.port(),
                    "allowedRoutes": { "namespaces": { "from": "All" } },
                }] } }),
        ] {
            eventually("the Gateway API is served", async || {
                scene
                    .try_apply(&object)
                    .await
                    .map(drop)
                    .map_err(|problem| problem.to_string())
            })
            .await;
        }
        let kubeconfig = scene.cluster.kubeconfig("admin").unwrap();
        let arguments = [
            format!("KUBECONFIG={}", kubeconfig.display()),
            fetched("traefik").join("traefik").display().to_string(),
            format!("--entryPoints.web.address={at}"),
            "--providers.kubernetesIngress".to_owned(),
            "--providers.kubernetesGateway".to_owned(),
            "--global.checkNewVersion=false".to_owned(),
            "--global.sendAnonymousUsage=false".to_owned(),
        ];
        let process = Process::start(
            "traefik",
            Path::new("/usr/bin/env"),
            &arguments.map(Into::into),
            scene.cluster.folder().join("traefik.log"),
        );
        Self {
            at: Front(at),
            _process: process.unwrap(),
        }
    }
}

/// Where tests/cluster/fetch has put it.
fn fetched(thing: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/fetch");
    let output = Command::new(script)
        .args(["--dirs", thing])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let directory = PathBuf::from(line.trim().split_once(' ').unwrap().1);
    assert!(
        directory.is_dir(),
        "{thing} is missing; fetch it with: tests/cluster/fetch {thing}"
    );
    directory
}

/// A network interface with an address for documentation. What is sent to it never leaves the machine.
struct Interface {
    name: String,
    address: Ipv4Addr,
}

impl Interface {
    fn new() -> Self {
        let own = std::process::id();
        let interface = Self {
            name: format!("cw{own}"),
            address: Ipv4Addr::new(198, 51, 100, u8::try_from(1 + own % 250).unwrap()),
        };
        let name = &interface.name;
        ip(&format!("link add {name} type veth peer name {name}p"));
        ip(&format!("address add {}/32 dev {name}", interface.address));
        ip(&format!("link set {name} up"));
        interface
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["link", "delete", &self.name])
            .status();
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}");
}
