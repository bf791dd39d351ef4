//! Which private addresses an Issuer may lead to: those of Pods of its own namespace, and of Services that lead to nothing else.

use certwright::cluster::own_addresses::OwnAddresses;
use certwright::outside::Own as _;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::Scene;

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

/// A Pod that nobody starts, with these addresses.
async fn pod(pods: &Api<Pod>, name: &str, host_network: bool, phase: &str, addresses: &[&str]) {
    let pod = read(json!({
        "metadata": { "name": name },
        "spec": {
            "schedulerName": "nobody", "hostNetwork": host_network,
            "containers": [{ "name": "ca", "image": "ca" }],
        },
    }));
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let all: Vec<_> = addresses
        .iter()
        .map(|address| json!({ "ip": address }))
        .collect();
    let status = json!({ "status": { "phase": phase, "podIP": addresses[0], "podIPs": all } });
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
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
    let pods: Api<Pod> = Api::namespaced(admin.clone(), &scene.namespace);
    pod(&pods, "ca", false, "Running", &["10.1.1.1", "fd00::1"]).await;
    pod(&pods, "node", true, "Running", &["10.1.1.2"]).await;
    pod(&pods, "ended", false, "Succeeded", &["10.1.1.3"]).await;
    let others: Api<Pod> = Api::namespaced(admin.clone(), &scene.system);
    pod(&others, "theirs", false, "Running", &["10.1.1.4"]).await;

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
        let found = own.holds(address.parse().unwrap()).await;
        assert_eq!(found, is_own, "{address}");
    }
}
