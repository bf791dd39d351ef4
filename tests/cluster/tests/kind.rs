//! The kind configuration at the root is one that kind would take.

use serde::Deserialize;

#[test]
fn kind_config_has_a_control_plane_and_a_worker() {
    let config: Cluster = serde_yaml::from_str(include_str!("../../../kind-config.yaml")).unwrap();

    assert_eq!(
        (config.kind.as_str(), config.api_version.as_str()),
        ("Cluster", "kind.x-k8s.io/v1alpha4")
    );
    let roles: Vec<_> = config.nodes.iter().map(|node| node.role.as_str()).collect();
    assert_eq!(roles, ["control-plane", "worker"]);
    // Reachable from this machine alone.
    assert!(
        config
            .nodes
            .iter()
            .flat_map(|node| &node.extra_port_mappings)
            .all(|port| {
                port.listen_address == "127.0.0.1"
                    && port.host_port > 1024
                    && port.protocol == "TCP"
                    && port.container_port > 0
            })
    );
}

/// kind refuses fields that it doesn't know, and so does this.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cluster {
    kind: String,
    api_version: String,
    #[expect(dead_code, reason = "only its presence counts")]
    name: String,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Node {
    role: String,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type counts")]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    extra_port_mappings: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Port {
    container_port: u16,
    host_port: u16,
    listen_address: String,
    protocol: String,
}
