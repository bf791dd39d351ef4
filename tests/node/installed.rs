//! The operator as Helm installed it, seen from outside: through the API server and its audit log.

use std::collections::BTreeMap;

use certwright_core::api::{Certificate, ConditionStatus, Group};
use certwright_test_cluster::{AuditEvent, Cluster};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{eventually, ran};

/// The chart's folder.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/certwright");

/// Where the operator is installed.
pub(crate) const NAMESPACE: &str = "certwright";

/// An issuer that signs itself, a CA that it signs, and an issuer by that CA.
const ISSUERS: &str = "
apiVersion: certwright.dev/v1alpha1
kind: Issuer
metadata: {name: self-signed}
spec: {selfSigned: {}}
---
apiVersion: certwright.dev/v1alpha1
kind: Certificate
metadata: {name: ca}
spec: {secretName: ca, isCA: true, commonName: Test, duration: 87600h, issuerRef: {name: self-signed}}
---
apiVersion: certwright.dev/v1alpha1
kind: Issuer
metadata: {name: ca}
spec: {ca: {secretName: ca}}
";

/// An operator in a cluster of the test's.
pub(crate) struct Installed<'c> {
    pub(crate) cluster: &'c Cluster,
    pub(crate) client: Client,
}

impl<'c> Installed<'c> {
    pub(crate) fn on(cluster: &'c Cluster) -> Self {
        let client = cluster.control_plane().client().unwrap();
        Self { cluster, client }
    }

    /// Runs Helm; its arguments are separated by spaces.
    pub(crate) async fn helm(&self, arguments: &str) -> String {
        let arguments: Vec<_> = arguments.split(' ').collect();
        ran(self.cluster.control_plane().helm().unwrap(), &arguments, "").await
    }

    /// Runs `kubectl`; its arguments are separated by spaces.
    pub(crate) async fn kubectl(&self, arguments: &str, input: &str) -> String {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let kubectl = self.cluster.control_plane().kubectl().unwrap();
        ran(kubectl, &arguments, input).await
    }

    /// Makes the operator's namespace, which lets in restricted Pods only.
    pub(crate) async fn make_namespace(&self) {
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let metadata = json!({ "name": NAMESPACE, "labels": labels });
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata });
        self.kubectl("apply -f -", &namespace.to_string()).await;
    }

    /// Makes a namespace with the issuer `ca`.
    pub(crate) async fn namespace_with_issuers(&self, name: &str) -> String {
        let control_plane = self.cluster.control_plane();
        let namespace = control_plane.namespace(name).await.unwrap();
        let apply = format!("apply --namespace {namespace} -f -");
        self.kubectl(&apply, ISSUERS).await;
        namespace
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn certificates(&self, namespace: &str) -> Api<Certificate> {
        Api::namespaced_with(self.client.clone(), namespace, &Group::default())
    }

    /// The operator's Pods that aren't on their way out.
    pub(crate) async fn pods(&self) -> Vec<Pod> {
        let named = ListParams::default().labels("app.kubernetes.io/name=certwright");
        let mut pods = self.api::<Pod>(NAMESPACE).list(&named).await.unwrap().items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// Waits until there are two Pods, both of them ready, and no third.
    pub(crate) async fn is_whole(&self) -> Vec<Pod> {
        eventually("there are two ready Pods", async || {
            let named = ListParams::default().labels("app.kubernetes.io/name=certwright");
            let pods = self.api::<Pod>(NAMESPACE).list(&named).await.unwrap().items;
            if pods.len() == 2 && pods.iter().all(is_ready) {
                Ok(pods)
            } else {
                Err(format!("{pods:#?}"))
            }
        })
        .await
    }

    /// The Pod that holds the Lease, if one does.
    pub(crate) async fn holder(&self) -> Option<String> {
        let leases = self.api::<Lease>(NAMESPACE);
        let lease = leases.get_opt("certwright").await.unwrap()?;
        let holder = lease.spec?.holder_identity?;
        // Behind it stands what makes each process another one.
        holder.split_once('_').map(|(pod, _)| pod.to_owned())
    }

    /// The Pod that leads.
    pub(crate) async fn leader(&self) -> String {
        eventually("one of the Pods leads", async || {
            let holder = self.holder().await;
            let pods = self.pods().await;
            pods.into_iter()
                .map(|pod| pod.name_any())
                .find(|name| Some(name) == holder.as_ref())
                .ok_or_else(|| format!("{holder:?} leads"))
        })
        .await
    }

    /// Waits until a Pod other than this one leads.
    pub(crate) async fn another_than(&self, old: &str) -> String {
        eventually("another Pod leads", async || match self.holder().await {
            Some(holder) if holder != old => Ok(holder),
            holder => Err(format!("{holder:?} leads")),
        })
        .await
    }

    /// What a Pod answers at a path.
    pub(crate) async fn asked(&self, pod: &str, path: &str) -> Result<String, String> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9402/proxy/{path}");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let answer = self.client.request_text(request).await;
        answer.map_err(|problem| problem.to_string())
    }

    /// The sum of a Pod's series whose names and labels start with this; `None` if there are none.
    pub(crate) async fn metric(&self, pod: &str, start: &str) -> Option<f64> {
        let metrics = self.asked(pod, "metrics").await.ok()?;
        metrics
            .lines()
            .filter(|line| line.starts_with(start))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .reduce(|sum, value| sum + value)
    }

    /// Makes a Certificate by the issuer `ca`, for a name of its own and a Secret `NAME-tls`.
    pub(crate) async fn certificate(&self, namespace: &str, name: &str) {
        self.certificate_with(namespace, name, json!({})).await;
    }

    /// The same, with more in its spec.
    pub(crate) async fn certificate_with(&self, namespace: &str, name: &str, more: Value) {
        let mut spec = json!({
            "secretName": format!("{name}-tls"),
            "dnsNames": [format!("{name}.example.com")],
            "issuerRef": { "name": "ca" },
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let group = Group::default();
        let resource = ApiResource::erase::<Certificate>(&group);
        let certificate = DynamicObject::new(name, &resource).data(json!({ "spec": spec }));
        let certificates =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let parameters = PostParams::default();
        certificates
            .create(&parameters, &certificate)
            .await
            .unwrap();
    }

    /// Changes a Certificate's spec by a merge patch.
    pub(crate) async fn change(&self, namespace: &str, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let certificates = self.certificates(namespace);
        let parameters = PatchParams::default();
        certificates.patch(name, &parameters, &patch).await.unwrap();
    }

    /// How often an Event of this reason was told of a Certificate.
    pub(crate) async fn told(&self, namespace: &str, name: &str, reason: &str) -> usize {
        let events = self.api::<Event>(namespace);
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let about = |event: &&Event| {
            let regarding = event.regarding.as_ref();
            event.reason.as_deref() == Some(reason)
                && regarding.is_some_and(|about| about.name.as_deref() == Some(name))
        };
        events.iter().filter(about).count()
    }

    /// Waits until a Certificate is as `holds` wants it.
    pub(crate) async fn sees(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&Certificate) -> bool,
    ) -> Certificate {
        eventually(&format!("{namespace}/{name}: {what}"), async || {
            let certificate = self.certificates(namespace).get(name).await;
            let certificate = certificate.map_err(|problem| problem.to_string())?;
            if holds(&certificate) {
                Ok(certificate)
            } else {
                Err(format!("{:#?}", certificate.status))
            }
        })
        .await
    }

    /// Waits until a Certificate is ready.
    pub(crate) async fn ready(&self, namespace: &str, name: &str) -> Certificate {
        self.says(namespace, name, "Ready").await
    }

    /// Waits until a condition of a Certificate is True.
    pub(crate) async fn says(&self, namespace: &str, name: &str, type_: &str) -> Certificate {
        let holds = |certificate: &Certificate| holds(certificate, type_);
        self.sees(namespace, name, &format!("it is {type_}"), holds)
            .await
    }

    /// The versions of all objects of some kinds, by kind, namespace and name.
    pub(crate) async fn versions(&self, namespace: &str) -> BTreeMap<String, String> {
        let versions = "{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}";
        let arguments = [
            "get",
            "secrets,certificates,issuers",
            "--namespace",
            namespace,
        ];
        let output = format!("jsonpath={versions}");
        let kubectl = self.cluster.control_plane().kubectl().unwrap();
        let printed = ran(
            kubectl,
            &[&arguments[..], &["--output", &output]].concat(),
            "",
        )
        .await;
        printed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect()
    }

    /// What the operator's Pods wrote, or tried to, since a moment; oldest first.
    pub(crate) fn writes(&self, since: Timestamp) -> Vec<AuditEvent> {
        let mut events = self.cluster.control_plane().audit_events().unwrap();
        events.retain(|event| {
            let ours = event.user.username == "system:serviceaccount:certwright:certwright";
            ours && event.is_write() && received(event) >= since
        });
        events
    }
}

/// When a request came in.
pub(crate) fn received(event: &AuditEvent) -> Timestamp {
    event.request_received_timestamp.parse().unwrap()
}

/// Whether a write was done.
pub(crate) fn was_done(event: &AuditEvent) -> bool {
    (200..300).contains(&event.code())
}

/// Whether a condition of a Certificate is True.
pub(crate) fn holds(certificate: &Certificate, type_: &str) -> bool {
    certificate.status.iter().any(|status| {
        let seen = status.observed_generation == certificate.metadata.generation;
        let mut conditions = status.conditions.iter();
        seen && conditions
            .any(|condition| condition.type_ == type_ && condition.status == ConditionStatus::True)
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready = |condition: &&k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == "Ready" && condition.status == "True"
    };
    conditions.filter(ready).count() == 1
}

/// The serial numbers of the certificates that are held, none of them twice.
pub(crate) fn distinct_serials(certificates: &[Certificate]) -> usize {
    let serials = certificates
        .iter()
        .filter_map(|certificate| certificate.status.as_ref()?.serial_number.clone());
    serials.collect::<std::collections::BTreeSet<_>>().len()
}

/// What a Secret holds under a key, as text.
pub(crate) fn text(secret: &Secret, key: &str) -> String {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    String::from_utf8(data.unwrap().0.clone()).unwrap()
}
