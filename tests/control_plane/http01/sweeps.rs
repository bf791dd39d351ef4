//! What is swept while something is being made.

use std::sync::Arc;
use std::time::Duration;

use certwright_core::http01::Challenge;
use http::Method;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::Semaphore;
use tower::BoxError;

use super::world::{World, solver};
use crate::harness::Scene;

/// A client that says when it is about to make an Ingress, and waits until it may.
struct Waiting {
    client: Client,
    asks: Arc<Semaphore>,
    may: Arc<Semaphore>,
}

impl Waiting {
    fn new(client: &Client) -> Self {
        let namespace = client.default_namespace().to_owned();
        let client = client.clone();
        let (asks, may) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (asking, waiting) = (Arc::clone(&asks), Arc::clone(&may));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (client, asks, may) = (client.clone(), Arc::clone(&asking), Arc::clone(&waiting));
            async move {
                let makes = *request.method() == Method::PATCH
                    && request.uri().path().contains("/ingresses/");
                if makes {
                    asks.close();
                    let _ = may.acquire().await;
                }
                Ok::<_, BoxError>(client.send(request).await?)
            }
        });
        Self {
            client: Client::new(service, namespace),
            asks,
            may,
        }
    }
}

/// Its Certificate has gone while ways in were being made for it: what is written down is not struck out before all of it is
/// there, and can be taken away.
#[tokio::test]
async fn what_is_being_made_is_swept_when_all_of_it_is_there() {
    let scene = Scene::new("http01-sweep").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    let owner = world.certificate("web").await;
    // Beside the operator nothing goes by itself with the Certificate.
    let solver = solver(json!({ "placement": "Operator", "ingress": {} }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    let waiting = Waiting::new(&world.client);
    let door = world.another_door(waiting.client.clone());
    let acting = async {
        let making = World::present_at(&door, &owner, &solver, &challenges);
        let sweeping = async {
            // It is closed when the Ingress is about to be made.
            let _ = waiting.asks.acquire().await;
            let mut sweeping = std::pin::pin!(door.sweep(|_| false));
            // Long enough to take away what is there by now, if it were.
            let swept = tokio::time::timeout(Duration::from_secs(3), &mut sweeping).await;
            waiting.may.close();
            match swept {
                Ok(swept) => swept,
                Err(_) => sweeping.await,
            }
        };
        tokio::join!(making, sweeping)
    };
    let (made, _swept) = tokio::select! {
        () = door.watch() => unreachable!("it never comes back"),
        outcome = acting => outcome,
    };
    made.unwrap();
    door.sweep(|_| false).await.unwrap();
    world.is_clean().await;
    world.stop().await;
}
