//! Fake nodes, and namespaces ready for Pods.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, PostParams},
};
use tokio::time::{sleep, timeout};

/// Makes nodes that kwok plays.
pub(crate) async fn create_nodes(client: &Client, count: usize) -> anyhow::Result<()> {
    let nodes = Api::<Node>::all(client.clone());
    for name in names(count) {
        let node = Node {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels([
                    ("kubernetes.io/hostname", name.as_str()),
                    ("kubernetes.io/os", "linux"),
                    ("kubernetes.io/arch", "amd64"),
                ])),
                annotations: Some(labels([("kwok.x-k8s.io/node", "fake")])),
                ..ObjectMeta::default()
            },
            ..Node::default()
        };
        nodes
            .create(&PostParams::default(), &node)
            .await
            .with_context(|| format!("failed to create node {name}"))?;
    }
    Ok(())
}

/// Whether `count` nodes are ready and rid of the taint that new nodes bear.
pub(crate) async fn nodes_are_ready(client: &Client, count: usize) -> anyhow::Result<bool> {
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await
        .context("failed to list nodes")?;
    Ok(nodes.iter().filter(|node| is_ready(node)).count() >= count)
}

/// Creates a namespace whose name starts with `prefix` and waits for its default ServiceAccount: Pods made before it exists
/// are refused, and their controllers back off.
pub(crate) async fn create_namespace(client: &Client, prefix: &str) -> anyhow::Result<String> {
    let namespace = Namespace {
        metadata: ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let created = Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .context("failed to create a namespace")?;
    let name = created
        .metadata
        .name
        .context("the API server names namespaces")?;
    timeout(PATIENCE, async {
        while !has_service_account(client, &name).await? {
            sleep(POLL).await;
        }
        anyhow::Ok(())
    })
    .await
    .with_context(|| format!("namespace {name} got no default ServiceAccount"))??;
    Ok(name)
}

pub(crate) async fn has_service_account(client: &Client, namespace: &str) -> anyhow::Result<bool> {
    Api::<ServiceAccount>::namespaced(client.clone(), namespace)
        .get_opt("default")
        .await
        .map(|account| account.is_some())
        .with_context(|| format!("failed to read the default ServiceAccount of {namespace}"))
}

fn is_ready(node: &Node) -> bool {
    let ready = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let tainted = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_ref())
        .is_some_and(|taints| !taints.is_empty());
    ready && !tainted
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("node-{n}"))
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
