//! A cluster with both families of addresses.

use certwright_core::http01::Challenge;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

use super::world::{World, solver};
use crate::harness::{Scene, eventually};

impl World<'_, '_> {
    /// Whether the made slices are one of each family, with these addresses.
    async fn lead_to(&self, ipv4: &[&str], ipv6: &[&str]) -> Result<(), String> {
        let slices: Vec<EndpointSlice> = self.labelled().await;
        let mut found: Vec<_> = slices
            .iter()
            .map(|slice| {
                let endpoints = slice.endpoints.iter();
                let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
                let addresses: Vec<&str> = addresses.map(String::as_str).collect();
                (slice.address_type.as_str(), addresses)
            })
            .collect();
        found.sort();
        if found == [("IPv4", ipv4.to_vec()), ("IPv6", ipv6.to_vec())] {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    }

    /// Waits until they are.
    async fn leads_to_both(&self, ipv4: &[&str], ipv6: &[&str]) {
        eventually("a slice of each family follows the operator", async || {
            self.lead_to(ipv4, ipv6).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_slice_of_each_family_leads_to_the_operator_and_follows_it() {
    let scene = Scene::new("http01-families").await;
    let world = World::new(&scene).await;
    world.answers_at(&["198.51.100.7"], &[]).await;
    world.answers_at(&["2001:db8::7"], &["2001:db8::8"]).await;
    let owner = world.certificate("web").await;
    let solver = solver(json!({ "ingress": {} }));
    let challenges = [Challenge::new("shop.example", "abc").unwrap()];
    // It may be made before both are known.
    eventually("there is a slice of each family", async || {
        world.present(&owner, &solver, &challenges).await.unwrap();
        world.lead_to(&["198.51.100.7"], &["2001:db8::7"]).await
    })
    .await;

    // A replica becomes ready in one family, another goes in the other.
    world.answers_at(&["2001:db8::7", "2001:db8::8"], &[]).await;
    world
        .leads_to_both(&["198.51.100.7"], &["2001:db8::7", "2001:db8::8"])
        .await;
    world.answers_at(&["198.51.100.9"], &["198.51.100.7"]).await;
    world
        .leads_to_both(&["198.51.100.9"], &["2001:db8::7", "2001:db8::8"])
        .await;

    world.door.clean_up(&owner).await.unwrap();
    world.is_clean().await;
    world.stop().await;
}
