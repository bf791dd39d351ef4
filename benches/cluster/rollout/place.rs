//! One Certificate, and the workloads that read its Secret.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use certwright::clock::{Clock as _, SystemClock};
use certwright_core::api::certificate::CertificateStatus;
use certwright_core::api::{ConditionStatus, Group, condition};
use certwright_test_cluster::{AuditLevel, ControlPlane, Options, TlsServer, free_ports};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, wait, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::load;
use super::super::operator::{Operator, PROGRAM};

/// How many workloads may be under way at once.
pub(super) const AT_ONCE: usize = 50;
/// What all Pods have for an address.
const ADDRESS: [u8; 4] = [127, 0, 0, 2];
const MARK: &str = "certwright.dev/secret-web-tls";
/// How long all workloads may take.
const PATIENCE: Duration = Duration::from_secs(1800);

pub(super) struct Place {
    pub(super) cluster: ControlPlane,
    pub(super) count: usize,
    client: Client,
    namespace: String,
    server: TlsServer,
}

impl Place {
    /// The Certificate, Ready, and all workloads, up.
    pub(super) async fn start(count: usize) -> anyhow::Result<Self> {
        let cluster = ControlPlane::start(Options::new().audit(AuditLevel::Metadata)).await?;
        load::install(&cluster).await?;
        let client = cluster.client()?;
        let namespace = cluster.namespace("rollout").await?;
        let [port] = free_ports()?;
        let server = TlsServer::start(SocketAddr::from((ADDRESS, port))).await?;
        load::issuers(&client, &namespace).await?;
        let place = Self {
            cluster,
            count,
            client,
            namespace,
            server,
        };
        load::create(&place.client, "Certificate", &place.certificate()).await?;
        let operator = Operator::start_as(place.operator(), &place.cluster).await?;
        let ready = wait::await_condition(place.certificates(), "web", load::is_ready);
        tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .context("the Certificate was not Ready within a minute")??;
        operator.stop().await?;
        place.follow_secret().await?;
        place.make_workloads(port).await?;
        Ok(place)
    }

    /// The command that starts the operator.
    pub(super) fn operator(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args([
            "run",
            "--private-networks=127.0.0.0/8",
            "--renew-throttle=0s",
            "--rollout-volume-delay=0s",
            &format!("--rollout-max-concurrent={AT_ONCE}"),
        ]);
        command
    }

    fn certificate(&self) -> Value {
        json!({
            "apiVersion": Group::default().api_version(),
            "kind": "Certificate",
            "metadata": { "name": "web", "namespace": self.namespace },
            "spec": {
                "secretName": "web-tls",
                "dnsNames": ["web.example.com"],
                "issuerRef": { "name": "ca" },
                "rollout": { "maxConcurrent": AT_ONCE },
            },
        })
    }

    fn certificates(&self) -> Api<DynamicObject> {
        load::api(&self.client, &self.namespace, "Certificate")
    }

    async fn make_workloads(&self, port: u16) -> anyhow::Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let address = std::net::Ipv4Addr::from(ADDRESS).to_string();
        let made = (0..self.count).map(|number| {
            let name = format!("app-{number}");
            let labels = json!({ "app": name });
            let deployment = json!({
                "metadata": { "name": name },
                "spec": {
                    "replicas": 1,
                    "revisionHistoryLimit": 0,
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels, "annotations": { "cluster.certwright.dev/address": address } },
                        "spec": {
                            "containers": [{ "name": "main", "image": "example", "ports": [{ "containerPort": port }] }],
                            "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }],
                        },
                    },
                },
            });
            let deployments = deployments.clone();
            async move {
                let deployment: Deployment = serde_json::from_value(deployment)?;
                deployments.create(&PostParams::default(), &deployment).await?;
                anyhow::Ok(())
            }
        });
        stream::iter(made)
            .buffer_unordered(load::AT_ONCE)
            .try_for_each(async |()| Ok(()))
            .await?;
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            let all = deployments.list(&Default::default()).await?.items;
            let up = all.iter().filter(|deployment| {
                let status = deployment.status.as_ref();
                status.and_then(|status| status.available_replicas) == Some(1)
            });
            if up.count() == self.count {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        anyhow::bail!("the workloads did not come up")
    }

    /// Has the server serve what the Secret holds by now.
    async fn follow_secret(&self) -> anyhow::Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get("web-tls").await?;
        let bytes = |key: &str| {
            let data = secret.data.as_ref().and_then(|data| data.get(key));
            data.map(|bytes| bytes.0.as_slice())
                .with_context(|| format!("the Secret has no {key}"))
        };
        self.server
            .serve(bytes("tls.crt")?, usize::MAX, bytes("tls.key")?)
    }

    /// Asks for the next certificate by hand.
    pub(super) async fn renew(&self, number: usize) -> anyhow::Result<()> {
        let annotations = json!({ "certwright.dev/renew": number.to_string() });
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        self.certificates()
            .patch("web", &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Waits until the Certificate says that all workloads run with the certificate of this number; when that was seen.
    pub(super) async fn is_rolled_out(&self, number: usize) -> anyhow::Result<Timestamp> {
        let mut follows = false;
        let certificates = self.certificates();
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            let status = status(&certificates.get("web").await?)?;
            if revision(&status) == Some(number) {
                // What its Pods would read from their files.
                if !std::mem::replace(&mut follows, true) {
                    self.follow_secret().await?;
                }
                let rollout = status.rollout.clone().unwrap_or_default();
                let all = usize::try_from(rollout.up_to_date) == Ok(self.count);
                if all && rollout.fingerprint == status.fingerprint {
                    return Ok(SystemClock.now());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("not all workloads were given the certificate")
    }

    /// Waits until the Certificate says that all were seen to serve the certificate of this number; when that was seen.
    pub(super) async fn is_served(&self, number: usize) -> anyhow::Result<Timestamp> {
        let certificates = self.certificates();
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            let status = status(&certificates.get("web").await?)?;
            let rollout = status.rollout.clone().unwrap_or_default();
            let served = condition::find(&status.conditions, "Served");
            if revision(&status) == Some(number)
                && rollout.fingerprint == status.fingerprint
                && usize::try_from(rollout.served) == Ok(self.count)
                && served.is_some_and(|served| served.status == ConditionStatus::True)
            {
                return Ok(SystemClock.now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("not all workloads were seen to serve the certificate")
    }

    /// Watches how many workloads are under way.
    pub(super) fn watch_workloads(&self) -> Watched {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let stop = CancellationToken::new();
        let task = tokio::spawn(most_under_way(deployments, stop.clone()));
        Watched { stop, task }
    }
}

fn status(certificate: &DynamicObject) -> anyhow::Result<CertificateStatus> {
    let status = certificate.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).context("the status can't be read")
}

fn revision(status: &CertificateStatus) -> Option<usize> {
    status
        .revision
        .and_then(|number| usize::try_from(number).ok())
}

/// A watch of workloads that goes on until it is stopped.
pub(super) struct Watched {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<usize>>,
}

impl Watched {
    /// The most that were under way at a moment.
    pub(super) async fn stop(self) -> anyhow::Result<usize> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn most_under_way(
    deployments: Api<Deployment>,
    stop: CancellationToken,
) -> anyhow::Result<usize> {
    let events = watcher(deployments, watcher::Config::default())
        .touched_objects()
        .take_until(stop.cancelled());
    let mut events = pin!(events);
    let (mut under_way, mut most) = (HashSet::new(), 0);
    while let Some(deployment) = events.try_next().await? {
        let name = deployment.name_any();
        if is_under_way(&deployment) {
            under_way.insert(name);
        } else {
            under_way.remove(&name);
        }
        most = most.max(under_way.len());
    }
    Ok(most)
}

/// Whether it was marked, and its Pod is not replaced yet.
fn is_under_way(deployment: &Deployment) -> bool {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let metadata = template.and_then(|template| template.metadata.as_ref());
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    let marked = annotations.is_some_and(|annotations| annotations.contains_key(MARK));
    let status = deployment.status.clone().unwrap_or_default();
    let replaced = status.observed_generation == deployment.metadata.generation
        && status.updated_replicas == Some(1)
        && status.replicas == Some(1)
        && status.available_replicas == Some(1);
    marked && !replaced
}
