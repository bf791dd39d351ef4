//! What the operator is given to do.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use certwright_core::api::{Certificate, Group, condition, schema};
use certwright_test_cluster::{AuditEvent, ControlPlane};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::log::{Log, answered_at, status_of};
use super::operator::Operator;

/// Requests under way at once while objects are made.
pub(crate) const AT_ONCE: usize = 64;

/// What one certificate costs: the bodies that the operator wrote for it.
pub(crate) struct Template {
    pub(crate) certificate: Value,
    pub(crate) secret: Value,
    pub(crate) status: Value,
    pub(crate) event: Value,
}

/// N pending Certificates in a namespace of their own.
pub(crate) struct Load {
    cluster_client: Client,
    namespace: String,
    count: usize,
    template_namespace: String,
}

/// Applies CRDs, the operator's ServiceAccount and its permissions.
pub(crate) async fn install(cluster: &ControlPlane) -> anyhow::Result<()> {
    let client = cluster.client()?;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in schema::crds(&Group::default()) {
        crds.create(&PostParams::default(), &crd).await?;
        wait::await_condition(
            crds.clone(),
            &crd.name_any(),
            wait::conditions::is_crd_established(),
        )
        .await?;
    }
    let mut kubectl = cluster.kubectl()?;
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
    let applied = kubectl
        .args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            manifest,
        ])
        .output()
        .await?;
    anyhow::ensure!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    Ok(())
}

impl Load {
    /// Makes a CA Issuer and `count` Certificates, and one more in a namespace apart, from which bodies are learned.
    pub(crate) async fn make(cluster: &ControlPlane, count: usize) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        let template_namespace = cluster.namespace("template").await?;
        let namespace = cluster.namespace("load").await?;
        issuers(&client, &template_namespace).await?;
        create(&client, "Certificate", &certificate(&template_namespace, 0)).await?;
        let operator = Operator::start(cluster).await?;
        let learned = api(&client, &template_namespace, "Certificate");
        let ready = wait::await_condition(learned, "web-0", is_ready);
        tokio::time::timeout(Duration::from_secs(60), ready)
            .await
            .context("the first Certificate was not Ready within a minute")??;
        // The CA goes over to the other namespace as it is: it is not what is measured.
        issuers_with(&client, &namespace, &template_namespace).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        operator.stop().await?;
        let made = (0..count).map(|number| {
            let client = client.clone();
            let object = certificate(&namespace, number);
            async move { create(&client, "Certificate", &object).await }
        });
        stream::iter(made)
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(Self {
            cluster_client: client,
            namespace,
            count,
            template_namespace,
        })
    }

    /// The bodies the operator wrote for one certificate.
    pub(crate) async fn template(&self) -> anyhow::Result<Template> {
        let client = &self.cluster_client;
        let namespace = &self.template_namespace;
        let secret: Secret = Api::namespaced(client.clone(), namespace)
            .get("web-0")
            .await?;
        let held: DynamicObject = api(client, namespace, "Certificate").get("web-0").await?;
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let told = events.list(&ListParams::default()).await?.items;
        let told = told.into_iter().find(|event| {
            event.reason.as_deref() == Some("Issued")
                && event
                    .regarding
                    .as_ref()
                    .is_some_and(|about| about.name.as_deref() == Some("web-0"))
        });
        let mut event = serde_json::to_value(told.context("no Event was found")?)?;
        event["metadata"] = json!({});
        Ok(Template {
            certificate: certificate(namespace, 0),
            secret: json!({
                "apiVersion": "v1", "kind": "Secret", "type": secret.type_, "data": secret.data,
                "metadata": { "labels": secret.metadata.labels, "annotations": secret.metadata.annotations },
            }),
            status: held.data["status"].clone(),
            event,
        })
    }

    /// Waits until all are Ready at this revision, and says what the operator wrote meanwhile and when it was done.
    ///
    /// Only the audit log is looked at until then: a watch or a poll would cost the API server what is measured.
    pub(crate) async fn all_ready(&self, log: &mut Log, revision: i64) -> anyhow::Result<Written> {
        let deadline = Instant::now() + Duration::from_secs(1800);
        let (mut writes, mut told) = (Vec::new(), HashSet::new());
        let mut finished = None;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let new = log.writes()?;
            let quiet = new.is_empty();
            for write in new {
                if let Some(name) = status_of(&write) {
                    told.insert(name.to_owned());
                    finished = Some(answered_at(&write)?);
                }
                writes.push(write);
            }
            // The last Events are on their way while the last statuses are seen.
            if told.len() >= self.count && quiet {
                self.check(revision).await?;
                let finished = finished.context("no status was written")?;
                return Ok(Written { writes, finished });
            }
            if Instant::now() > deadline {
                bail!(
                    "after half an hour, {} of {} have a status",
                    told.len(),
                    self.count
                );
            }
        }
    }

    /// Whether all are Ready at this revision.
    async fn check(&self, revision: i64) -> anyhow::Result<()> {
        let api: Api<Certificate> = Api::namespaced_with(
            self.cluster_client.clone(),
            &self.namespace,
            &Group::default(),
        );
        let all = api.list(&ListParams::default()).await?.items;
        let done = all
            .iter()
            .filter_map(|certificate| certificate.status.as_ref());
        let done = done.filter(|status| {
            status.revision == Some(revision) && condition::is_true(&status.conditions, "Ready")
        });
        let done = done.count();
        anyhow::ensure!(done == self.count, "{done} of {} are Ready", self.count);
        Ok(())
    }

    /// Asks for a renewal of each by hand.
    pub(crate) async fn renew(&self) -> anyhow::Result<()> {
        let group = Group::default();
        let api = api(&self.cluster_client, &self.namespace, "Certificate");
        let patch = json!({ "metadata": { "annotations": { group.key("renew"): "now" } } });
        let asked = (0..self.count).map(|number| {
            let (api, patch) = (api.clone(), Patch::Merge(patch.clone()));
            async move {
                let name = format!("web-{number}");
                api.patch_metadata(&name, &PatchParams::default(), &patch)
                    .await
            }
        });
        stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok(())
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        remove_namespace(&self.cluster_client, &self.namespace).await?;
        remove_namespace(&self.cluster_client, &self.template_namespace).await
    }
}

/// What the operator wrote, and when the last status was answered.
pub(crate) struct Written {
    pub(crate) writes: Vec<AuditEvent>,
    pub(crate) finished: Timestamp,
}

impl Written {
    /// How many of the writes were Events.
    pub(crate) fn events(&self) -> usize {
        let events = self.writes.iter().filter(|write| write.is_about("events"));
        events.count()
    }
}

pub(crate) fn is_ready(certificate: Option<&DynamicObject>) -> bool {
    let conditions = certificate.and_then(|object| object.data["status"]["conditions"].as_array());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}

/// Secrets that nobody here knows, to be beside ours.
pub(crate) async fn foreign(cluster: &ControlPlane, count: usize) -> anyhow::Result<String> {
    let namespace = cluster.namespace("foreign").await?;
    let api: Api<Secret> = Api::namespaced(cluster.client()?, &namespace);
    let made = (0..count).map(|number| {
        let api = api.clone();
        let secret = json!({
            "metadata": { "name": format!("foreign-{number}") },
            "stringData": { "some": "x".repeat(4096) },
        });
        async move {
            let secret: Secret = serde_json::from_value(secret)?;
            api.create(&PostParams::default(), &secret).await?;
            anyhow::Ok(())
        }
    });
    stream::iter(made)
        .buffer_unordered(AT_ONCE)
        .try_for_each(async |()| Ok(()))
        .await?;
    Ok(namespace)
}

/// Deletes a namespace, and waits until it is gone with all that was in it.
pub(crate) async fn remove_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(name, &DeleteParams::background()).await?;
    for _ in 0..1200 {
        if namespaces.get_opt(name).await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("the namespace {name} was not gone within ten minutes")
}

fn certificate(namespace: &str, number: usize) -> Value {
    let name = format!("web-{number}");
    json!({
        "apiVersion": Group::default().api_version(),
        "kind": "Certificate",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "secretName": name,
            "dnsNames": [format!("{name}.example.com"), format!("www.{name}.example.com")],
            "issuerRef": { "name": "ca" },
        },
    })
}

pub(crate) async fn issuers(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let group = Group::default().api_version();
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    create(client, "Issuer", &json!({ "apiVersion": group, "kind": "Issuer", "metadata": metadata("root"), "spec": { "selfSigned": {} } })).await?;
    create(client, "Certificate", &json!({
        "apiVersion": group, "kind": "Certificate", "metadata": metadata("root"),
        "spec": { "secretName": "root-tls", "isCA": true, "commonName": "Bench Root", "duration": "87600h", "issuerRef": { "name": "root" } },
    })).await?;
    create(client, "Issuer", &json!({ "apiVersion": group, "kind": "Issuer", "metadata": metadata("ca"), "spec": { "ca": { "secretName": "root-tls" } } })).await
}

async fn issuers_with(client: &Client, namespace: &str, from: &str) -> anyhow::Result<()> {
    let ca: Secret = Api::namespaced(client.clone(), from)
        .get("root-tls")
        .await?;
    let copy: Secret = serde_json::from_value(
        json!({ "metadata": { "name": "ca" }, "type": "kubernetes.io/tls", "data": ca.data }),
    )?;
    Api::<Secret>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &copy)
        .await?;
    let issuer = json!({
        "apiVersion": Group::default().api_version(), "kind": "Issuer",
        "metadata": { "name": "ca", "namespace": namespace }, "spec": { "ca": { "secretName": "ca" } },
    });
    create(client, "Issuer", &issuer).await
}

pub(crate) fn api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let group = Group::default();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group.name(), Group::VERSION, kind));
    Api::namespaced_with(client.clone(), namespace, &kind)
}

pub(crate) async fn create(client: &Client, kind: &str, object: &Value) -> anyhow::Result<()> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    api(client, namespace, kind)
        .create(&PostParams::default(), &object)
        .await?;
    Ok(())
}
