//! The cluster with its front door, the CA, and what is ordered.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use certwright_core::api::{Certificate, Group, condition};
use certwright_test_cluster::{
    AuditLevel, ControlPlane, Options, OwnAddresses, Pebble, Ways, free_ports,
};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::load::{create, install, remove_namespace};
use crate::operator::PROGRAM;

/// A program with an `/etc/hosts` of its own.
const WITH_HOSTS: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
/// How many Certificates share an account. More, and the account's limits would be measured: 300 orders in three hours, of
/// which first certificates leave a fifth.
const OF_AN_ACCOUNT: usize = 200;
const AT_ONCE: usize = 64;
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(600);

/// The name of a Certificate.
pub(crate) fn name(number: usize) -> String {
    format!("web-{number}.example.com")
}

/// A cluster with Traefik, and a CA that asks there.
pub(crate) struct Place {
    pub(crate) cluster: ControlPlane,
    pub(crate) pebble: Pebble,
    /// Where the operator answers.
    answers: SocketAddr,
    /// Where the operator finds the names.
    hosts: PathBuf,
    _addresses: OwnAddresses,
}

impl Place {
    pub(crate) async fn start(count: usize) -> anyhow::Result<Self> {
        let addresses = OwnAddresses::take()
            .context("as root, the names lead to an address of the benchmark's own")?;
        let options = Options::new().without_workloads().traefik();
        let cluster = ControlPlane::start(options.audit(AuditLevel::Metadata)).await?;
        install(&cluster).await?;
        let http_port = cluster.front_door()?.http().port();
        let pebble = Pebble::start(Ways {
            http_port,
            ..Ways::default()
        })
        .await?;
        let outer = TcpListener::bind((addresses.ipv4(), 80))
            .await
            .context("failed to listen at port 80 of an address of our own")?;
        tokio::spawn(lead(outer, http_port));
        let [port] = free_ports()?;
        let answers = SocketAddr::from((addresses.ipv4(), port));
        lead_to_the_operator(&cluster.client()?, answers).await?;
        let hosts = cluster.folder().join("hosts");
        let lines = (0..count).map(|number| format!("{} {}\n", addresses.ipv4(), name(number)));
        std::fs::write(&hosts, lines.collect::<String>())?;
        Ok(Self {
            cluster,
            pebble,
            answers,
            hosts,
            _addresses: addresses,
        })
    }

    /// The command that becomes the operator.
    pub(crate) fn operator(&self) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", WITH_HOSTS])
            .arg(&self.hosts)
            .args([PROGRAM, "run"])
            .args(["--http01-listen", &self.answers.to_string()])
            // The CA, and the names' address.
            .arg("--private-networks=127.0.0.0/8,198.51.100.0/24");
        command
    }
}

/// Has the operator's Service lead to the operator, whose Pod is not in the cluster.
async fn lead_to_the_operator(client: &Client, answers: SocketAddr) -> anyhow::Result<()> {
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {
            "name": "certwright-http01-bench",
            "labels": { "kubernetes.io/service-name": "certwright-http01" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [answers.ip()], "conditions": { "ready": true } }],
        "ports": [{ "name": "http", "port": answers.port(), "protocol": "TCP" }],
    }))?;
    Api::namespaced(client.clone(), "certwright")
        .create(&PostParams::default(), &slice)
        .await?;
    Ok(())
}

/// Leads whoever comes there to a port of loopback, as a router does.
async fn lead(outer: TcpListener, inner: u16) {
    while let Ok((mut stream, _)) = outer.accept().await {
        tokio::spawn(async move {
            if let Ok(mut other) = TcpStream::connect((Ipv4Addr::LOCALHOST, inner)).await {
                // One side may break off at any time.
                let _ = copy_bidirectional(&mut stream, &mut other).await;
            }
        });
    }
}

/// N pending Certificates in a namespace of their own.
pub(crate) struct Orders {
    client: Client,
    namespace: String,
    count: usize,
}

impl Orders {
    pub(crate) async fn make(place: &Place, count: usize) -> anyhow::Result<Self> {
        let client = place.cluster.client()?;
        let namespace = place.cluster.namespace("acme").await?;
        for account in 0..count.div_ceil(OF_AN_ACCOUNT) {
            let issuer = issuer(&place.pebble, &namespace, account);
            create(&client, "Issuer", &issuer).await?;
        }
        let made = (0..count).map(|number| {
            let object = json!({
                "apiVersion": Group::default().api_version(), "kind": "Certificate",
                "metadata": { "name": format!("web-{number}"), "namespace": namespace },
                "spec": {
                    "secretName": format!("web-{number}"), "dnsNames": [name(number)],
                    "issuerRef": { "name": format!("pebble-{}", number / OF_AN_ACCOUNT) },
                },
            });
            let client = client.clone();
            async move { create(&client, "Certificate", &object).await }
        });
        stream::iter(made)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(Self {
            client,
            namespace,
            count,
        })
    }

    /// Waits until all are Ready; when each was first seen to be.
    pub(crate) async fn all_ready(&self) -> anyhow::Result<Vec<Instant>> {
        let api: Api<Certificate> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &Group::default());
        // What the API server has in memory is enough, and costs it less.
        let cached = ListParams::default().match_any();
        let began = Instant::now();
        let mut ready = Vec::new();
        loop {
            let all = api.list(&cached).await?.items;
            let now = Instant::now();
            let done = all
                .iter()
                .filter_map(|certificate| certificate.status.as_ref())
                .filter(|status| condition::is_true(&status.conditions, "Ready"))
                .count();
            ready.resize(ready.len().max(done), now);
            if done >= self.count {
                return Ok(ready);
            }
            if began.elapsed() > PATIENCE {
                let waits = all.iter().find_map(|certificate| {
                    let status = certificate.status.as_ref()?;
                    (!condition::is_true(&status.conditions, "Ready")).then_some(status)
                });
                bail!(
                    "after ten minutes, {done} of {} are Ready; one that is not: {waits:#?}",
                    self.count
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until no way in, no record of one and no key of a next certificate is left.
    pub(crate) async fn leave_nothing(&self) -> anyhow::Result<()> {
        let (client, namespace) = (self.client.clone(), self.namespace.as_str());
        let group = Group::default();
        let solver = ListParams::default().labels(&group.key("http01-solver"));
        let keys = ListParams::default().labels(&group.key("next-key"));
        let began = Instant::now();
        loop {
            let ways: Api<Ingress> = Api::namespaced(client.clone(), namespace);
            let records: Api<ConfigMap> = Api::namespaced(client.clone(), "certwright");
            let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let left: Vec<String> = ways
                .list(&solver)
                .await?
                .iter()
                .map(ResourceExt::name_any)
                .chain(
                    records
                        .list(&solver)
                        .await?
                        .iter()
                        .map(ResourceExt::name_any),
                )
                .chain(secrets.list(&keys).await?.iter().map(ResourceExt::name_any))
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(120) {
                bail!("left over after two minutes: {left:?}");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        remove_namespace(&self.client, &self.namespace).await
    }
}

fn issuer(pebble: &Pebble, namespace: &str, account: usize) -> serde_json::Value {
    json!({
        "apiVersion": Group::default().api_version(), "kind": "Issuer",
        "metadata": { "name": format!("pebble-{account}"), "namespace": namespace },
        "spec": { "acme": {
            "server": pebble.directory(),
            "caBundle": pebble.bundle(),
            "privateKeySecretRef": { "name": format!("account-{account}") },
            "solvers": [{ "http01": { "ingress": { "ingressClassName": "traefik" } } }],
        } },
    })
}
