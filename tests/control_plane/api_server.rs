//! That nobody who names servers is led to the API server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use certwright::cluster::api_server::ApiServer;
use certwright::outside::{Allowed, Forbidden};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::harness::{Scene, eventually};

#[tokio::test]
async fn the_api_server_is_not_asked_at_any_of_its_addresses_whatever_is_allowed() {
    let scene = Scene::new("api-server").await;
    let services: Api<Service> = Api::namespaced(scene.client.clone(), "default");
    let slices: Api<EndpointSlice> = Api::namespaced(scene.client.clone(), "default");
    // As where there are several API servers.
    let another: EndpointSlice = serde_json::from_value(json!({
        "metadata": {
            "name": scene.namespace, "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.77.0.2"] }, { "addresses": ["10.77.0.3"] }],
        "ports": [{ "name": "https", "port": 6443 }],
    }))
    .unwrap();
    slices
        .create(&PostParams::default(), &another)
        .await
        .unwrap();
    let at = |address: &str, port: i32| {
        let address: IpAddr = address.parse().unwrap();
        SocketAddr::new(address, port.try_into().unwrap())
    };
    let url = scene.cluster.config().unwrap().cluster_url;
    let reached: SocketAddr = url.authority().unwrap().as_str().parse().unwrap();
    let mut addresses = vec![reached, at("10.77.0.2", 6443), at("::ffff:10.77.0.3", 6443)];
    addresses.extend(
        eventually("the API server has told where it is", async || {
            let service = services.get("kubernetes").await;
            let spec = service.map_err(|p| p.to_string())?.spec.unwrap();
            let of_service = at(&spec.cluster_ip.unwrap(), spec.ports.unwrap()[0].port);
            let all = slices.list(&ListParams::default()).await;
            let own = all.map_err(|p| p.to_string())?.into_iter();
            let own = own.filter(|slice| slice.metadata.name.as_deref() == Some("kubernetes"));
            let told: Vec<_> = own
                .flat_map(|slice| {
                    let port = slice.ports.unwrap()[0].port.unwrap();
                    let all = slice.endpoints.into_iter().flat_map(|one| one.addresses);
                    all.map(|address| at(&address, port)).collect::<Vec<_>>()
                })
                .collect();
            match told.is_empty() {
                true => Err(format!("{told:?}")),
                false => Ok([vec![of_service], told].concat()),
            }
        })
        .await,
    );

    let networks = ["0.0.0.0/0", "::/0", "127.0.0.0/8"].map(|text| text.parse().unwrap());
    let allowed = async |account: &str| {
        let client = scene
            .cluster
            .service_account_client(&scene.system, account)
            .await
            .unwrap();
        Allowed::new(networks.to_vec()).but_not(Arc::new(ApiServer::new(client, &url)))
    };
    let of_operator = allowed(&scene.account).await;
    for mut address in addresses {
        let answer = of_operator.admit(address).await;
        let is_told = matches!(answer, Err(Forbidden::ApiServer(_)));
        assert!(is_told, "{address}: {answer:?}");
        // Its host is not the API server.
        address.set_port(address.port() + 1);
        assert_eq!(of_operator.admit(address).await, Ok(()), "{address}");
    }
    // Whoever may not look asks nobody who may be it.
    let of_another = allowed("default").await;
    let private = at("10.77.0.9", 443);
    let untold = Err(Forbidden::Untold(private));
    assert_eq!(of_another.admit(private).await, untold);
    let answer = of_another.admit(reached).await;
    assert_eq!(answer, Err(Forbidden::ApiServer(reached)));
    assert_eq!(of_another.admit(at("198.51.100.9", 443)).await, Ok(()));
    slices
        .delete(&scene.namespace, &DeleteParams::default())
        .await
        .unwrap();
}
