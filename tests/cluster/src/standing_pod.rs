//! Pods that are there and run nowhere.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client,
    api::{Api, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// Makes a Pod that nobody starts, and says of it what a kubelet would: its phase and its addresses.
///
/// # Errors
/// When the API server doesn't take it.
pub async fn standing_pod(
    client: &Client,
    (namespace, name): (&str, &str),
    host_network: bool,
    phase: &str,
    addresses: &[IpAddr],
) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "schedulerName": "nobody", "hostNetwork": host_network,
            "containers": [{ "name": "main", "image": "example" }],
        },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let all: Vec<_> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    let status = json!({ "status": { "phase": phase, "podIP": addresses.first(), "podIPs": all } });
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}
