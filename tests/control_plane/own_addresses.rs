//! Which private addresses an Issuer may lead to: those of Pods of its own namespace, and of Services that lead to nothing else.

use std::net::SocketAddr;

use certwright::cluster::own_addresses::OwnAddresses;
use certwright::outside::Addresses as _;
use certwright_test_cluster::standing_pod;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::Scene;

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

/// A Service that leads to these addresses; its own one.
async fn service(client: &kube::Client, namespace: &str, name: &str, leads_to: &[&str]) -> String {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = read(json!({
        "metadata": { "name": name }, "spec": { "ports": [{ "port": 443 }] },
    }));
    let made = services.create(&PostParams::default(), &service).await;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    for (number, address) in leads_to.iter().enumerate() {
        let slice = read(json!({
            "metadata": {
                "name": format!("{name}-{number}"), "labels": { "kubernetes.io/service-name": name },
            },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": [address] }],
            "ports": [{ "port": 8443 }],
        }));
        slices.create(&PostParams::default(), &slice).await.unwrap();
    }
    made.unwrap().spec.unwrap().cluster_ip.unwrap()
}

#[tokio::test]
async fn a_namespaces_own_addresses_are_those_of_its_pods_and_of_services_that_lead_to_them_alone()
{
    let scene = Scene::new("own-addresses").await;
    let admin = scene.cluster.client().unwrap();
    for (namespace, name, host_network, phase, addresses) in [
        (
            &scene.namespace,
            "ca",
            false,
            "Running",
            &["10.1.1.1", "fd00::1"][..],
        ),
        (&scene.namespace, "node", true, "Running", &["10.1.1.2"]),
        (&scene.namespace, "ended", false, "Succeeded", &["10.1.1.3"]),
        (&scene.system, "theirs", false, "Running", &["10.1.1.4"]),
    ] {
        let addresses: Vec<_> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        standing_pod(&admin, (namespace, name), host_network, phase, &addresses)
            .await
            .unwrap();
    }

    let ours = service(&admin, &scene.namespace, "ours", &["10.1.1.1"]).await;
    let mixed = ["10.1.1.1", "10.1.1.4"];
    let mixed = service(&admin, &scene.namespace, "mixed", &mixed).await;
    let empty = service(&admin, &scene.namespace, "empty", &[]).await;
    let node = service(&admin, &scene.namespace, "on-node", &["10.1.1.2"]).await;
    let theirs = service(&admin, &scene.system, "theirs", &["10.1.1.4"]).await;

    // With the operator's own rights.
    let account = scene
        .cluster
        .service_account_client(&scene.system, &scene.account)
        .await
        .unwrap();
    let own = OwnAddresses::new(account, &scene.namespace);
    for (address, is_own) in [
        ("10.1.1.1", true),
        ("fd00::1", true),
        ("10.1.1.2", false),
        ("10.1.1.3", false),
        ("10.1.1.4", false),
        ("10.1.1.5", false),
        (&ours, true),
        (&mixed, false),
        (&empty, false),
        (&node, false),
        (&theirs, false),
    ] {
        let at = SocketAddr::new(address.parse().unwrap(), 14000);
        assert_eq!(own.hold(at).await.unwrap(), is_own, "{address}");
    }
}
