//! A real ingress controller in front of the responder, led to it by what we make: by Ingress and by Gateway API.

use std::net::IpAddr;

use certwright::http01::responder::{Answers, Responder};
use certwright::http01::self_check::{Dial, look};
use certwright_core::http01::{Challenge, Host, Outcome};
use certwright_test_cluster::{FrontDoor, Options, OwnAddresses, SharedControlPlane};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{World, solver};
use crate::harness::{Scene, eventually};

/// One with Traefik.
pub(crate) static CLUSTER: SharedControlPlane =
    SharedControlPlane::new(|| Options::new().without_workloads().traefik());

/// Knows the answers to these challenges.
struct Known(Vec<Challenge>);

impl Answers for Known {
    fn answer(&self, host: &Host, token: &str) -> Option<String> {
        let challenge = Challenge::new(host.identifier(), token).ok()?;
        self.0.contains(&challenge).then(|| answer(token))
    }
}

fn answer(token: &str) -> String {
    format!("{token}.thumb")
}

/// A replica of the operator.
struct Replica {
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    /// One that answers at this address; at any port if that is 0.
    async fn start(address: IpAddr, port: u16, challenges: &[Challenge]) -> Self {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let (told, known) = (stop.clone(), Known(challenges.to_vec()));
        let task = tokio::spawn(async move {
            let (_sender, news) = watch::channel(0);
            Responder::new(known, news).serve(listener, told).await;
        });
        Self { port, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Every name leads to the front door, which listens at other ports than a CA asks at.
struct Front(FrontDoor);

impl Dial for Front {
    fn dial<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        let at = if port == 80 {
            self.0.http()
        } else {
            self.0.https()
        };
        async move { Ok(TcpStream::connect(at).await?) }.boxed()
    }
}

impl Front {
    async fn shows(&self, challenge: &Challenge, wanted: impl Fn(&Outcome) -> bool) {
        eventually("the front door shows it", async || {
            let outcome = look(self, challenge, &answer(challenge.token())).await;
            if wanted(&outcome) {
                Ok(())
            } else {
                Err(format!("{challenge:?}: {outcome:?}"))
            }
        })
        .await;
    }

    async fn serves(&self, challenge: &Challenge) {
        self.shows(challenge, |outcome| *outcome == Outcome::Served)
            .await;
    }

    async fn serves_no_more(&self, challenge: &Challenge) {
        let gone =
            |outcome: &Outcome| matches!(outcome, Outcome::NotYet { saw } if saw.contains("404"));
        self.shows(challenge, gone).await;
    }
}

#[tokio::test]
async fn a_token_is_fetched_however_the_solver_leads_there() {
    let cluster = CLUSTER.start().await.unwrap();
    let scene = Scene::on(cluster, "http01-traefik").await;
    let front = Front(cluster.front_door().unwrap());
    let addresses = OwnAddresses::take().unwrap();
    // An address has no host's rule: it is found by its token.
    let challenges =
        ["shop.example", "192.0.2.1"].map(|identifier| Challenge::new(identifier, "abc").unwrap());
    let elsewhere = Challenge::new("bank.example", "abc").unwrap();
    let replica = Replica::start(addresses.ipv4().into(), 0, &challenges).await;
    let world = World::answering(&scene, replica.port).await;
    world
        .answers_at(&[&addresses.ipv4().to_string()], &[])
        .await;
    let owner = world.certificate("web").await;

    world.users_ingress("web").await;
    gateway(&scene, front.0).await;
    let ingress = json!({ "ingress": { "ingressClassName": front.0.class() } });
    let route = json!({ "gatewayHTTPRoute": { "parentRefs": [
        { "name": "front", "namespace": scene.namespace, "sectionName": "http" },
    ] } });
    let beside = |mut solver: Value| {
        solver["placement"] = "Operator".into();
        solver
    };
    for value in [
        ingress.clone(),
        beside(ingress),
        json!({ "ingress": { "class": front.0.class() } }),
        json!({ "ingress": { "name": "web" } }),
        route.clone(),
        beside(route),
    ] {
        world
            .present(&owner, &solver(value), &challenges)
            .await
            .unwrap();
        for challenge in &challenges {
            front.serves(challenge).await;
        }
        // Traefik may lead it here; it is not answered for all that.
        front.serves_no_more(&elsewhere).await;
        world.door.clean_up(&owner).await.unwrap();
        for challenge in &challenges {
            front.serves_no_more(challenge).await;
        }
    }
    world.is_clean().await;
    world.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn an_operator_that_has_only_an_ipv6_address_is_reached_by_it() {
    let cluster = CLUSTER.start().await.unwrap();
    let scene = Scene::on(cluster, "http01-six").await;
    let front = Front(cluster.front_door().unwrap());
    let addresses = OwnAddresses::take().unwrap();
    let challenge = Challenge::new("six.example", "six").unwrap();
    let known = std::slice::from_ref(&challenge);
    let replica = Replica::start(addresses.ipv6().into(), 0, known).await;
    let world = World::answering(&scene, replica.port).await;
    world
        .answers_at(&[&addresses.ipv6().to_string()], &[])
        .await;
    let owner = world.certificate("web").await;
    let ingress = json!({ "ingress": { "ingressClassName": front.0.class() } });
    world
        .present(&owner, &solver(ingress), known)
        .await
        .unwrap();
    front.serves(&challenge).await;
    world.door.clean_up(&owner).await.unwrap();
    world.is_clean().await;
    world.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn the_way_follows_the_operator_to_another_address() {
    let cluster = CLUSTER.start().await.unwrap();
    let scene = Scene::on(cluster, "http01-moving").await;
    let front = Front(cluster.front_door().unwrap());
    let (old, new) = (OwnAddresses::take().unwrap(), OwnAddresses::take().unwrap());
    let challenge = Challenge::new("moving.example", "moving").unwrap();
    let known = std::slice::from_ref(&challenge);
    let replica = Replica::start(old.ipv4().into(), 0, known).await;
    let world = World::answering(&scene, replica.port).await;
    world.answers_at(&[&old.ipv4().to_string()], &[]).await;
    let owner = world.certificate("web").await;
    let ingress = json!({ "ingress": { "ingressClassName": front.0.class() } });
    world
        .present(&owner, &solver(ingress), known)
        .await
        .unwrap();
    front.serves(&challenge).await;

    let another = Replica::start(new.ipv4().into(), replica.port, known).await;
    world.answers_at(&[&new.ipv4().to_string()], &[]).await;
    replica.stop().await;
    world.leads_to(&[&new.ipv4().to_string()]).await;
    front.serves(&challenge).await;
    world.door.clean_up(&owner).await.unwrap();
    world.is_clean().await;
    world.stop().await;
    another.stop().await;
}

/// A Gateway `front` in the user's namespace that takes routes of all namespaces.
async fn gateway(scene: &Scene<'_>, front: FrontDoor) {
    scene
        .apply(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": { "name": "front" },
            "spec": { "gatewayClassName": front.class(), "listeners": [{
                "name": "http",
                "protocol": "HTTP",
                "port": front.http().port(),
                "allowedRoutes": { "namespaces": { "from": "All" } },
            }] },
        }))
        .await;
}
