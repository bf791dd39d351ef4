//! What a test works on: an API group, the operator's namespace and account, and a user's namespace.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Once};

use certwright::cli::RolloutSettings;
use certwright::clock::{Clock, SystemClock};
use certwright::cluster::scope::Scope;
use certwright::outside::{AllowedTarget, Network};
use certwright_core::api::{Certificate, ClusterIssuer, Group, Issuer, ServedCheck, schema};
use certwright_test_cluster::ControlPlane;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::telling::Listener;
use super::{CLUSTER, eventually};

/// What a test works on.
pub(crate) struct Scene<'c> {
    /// Where.
    pub(crate) cluster: &'c ControlPlane,
    /// A client that may do everything.
    pub(crate) client: Client,
    /// The API group the operator serves.
    pub(crate) group: Group,
    /// The operator's own namespace.
    pub(crate) system: String,
    /// The operator's ServiceAccount there.
    pub(crate) account: String,
    /// The user's namespace.
    pub(crate) namespace: String,
    /// Which namespaces the operator looks after.
    pub(crate) scope: Scope,
    /// Whether it serves ClusterIssuers.
    pub(crate) serves_cluster_issuers: bool,
    /// The namespaces of users so far, the operator's own, and that of Events about what is in none.
    pub(crate) namespaces: Arc<Mutex<Vec<String>>>,
    /// The operator's clock.
    pub(crate) clock: Arc<ShiftedClock>,
    /// How workloads are given new certificates.
    pub(crate) rollout: RolloutSettings,
    /// Private networks that others may name hosts in.
    pub(crate) private_networks: Vec<Network>,
    /// Servers that may be watched.
    pub(crate) watched: Vec<AllowedTarget>,
}

/// The machine's clock, moved by what a test says.
#[derive(Debug, Default)]
pub(crate) struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    /// Moves it on; by a negative span, back.
    pub(crate) fn advance(&self, span: SignedDuration) {
        self.0.fetch_add(span.as_secs(), Ordering::SeqCst);
    }

    /// Moves it to a moment. It goes on from there.
    pub(crate) fn set(&self, moment: Timestamp) {
        self.advance(moment.duration_since(self.now()));
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

impl Scene<'static> {
    /// A scene on the shared control plane. `name` is a DNS label of its own; the group is `NAME.example.org`.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(CLUSTER.start().await.unwrap(), name).await
    }
}

impl<'c> Scene<'c> {
    /// A scene on a control plane of the test's own.
    pub(crate) async fn on(cluster: &'c ControlPlane, name: &str) -> Self {
        let scene = Self::bare(
            cluster,
            Group::new(format!("{name}.example.org"), name),
            name,
        )
        .await;
        scene.install_definitions().await;
        scene
            .permit(include_str!("../../../deploy/install.yaml"))
            .await;
        scene
    }

    /// A scene without definitions and permissions.
    pub(crate) async fn bare(cluster: &'c ControlPlane, group: Group, name: &str) -> Self {
        static LOGS: Once = Once::new();
        LOGS.call_once(listen);
        let system = cluster.namespace(&format!("{name}-system")).await.unwrap();
        let namespace = cluster.namespace(name).await.unwrap();
        let namespaces = vec!["default".to_owned(), system.clone(), namespace.clone()];
        Self {
            cluster,
            client: cluster.client().unwrap(),
            account: group.manager().to_owned(),
            group,
            system,
            namespace,
            scope: Scope::Cluster,
            serves_cluster_issuers: true,
            namespaces: Arc::new(Mutex::new(namespaces)),
            clock: Arc::default(),
            rollout: RolloutSettings::default(),
            private_networks: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// The same scene with another namespace for the user.
    pub(crate) async fn elsewhere(&self, name: &str) -> Scene<'c> {
        let namespace = self.cluster.namespace(name).await.unwrap();
        self.namespaces.lock().unwrap().push(namespace.clone());
        Scene {
            cluster: self.cluster,
            client: self.client.clone(),
            group: self.group.clone(),
            system: self.system.clone(),
            account: self.account.clone(),
            namespace,
            namespaces: Arc::clone(&self.namespaces),
            scope: self.scope.clone(),
            serves_cluster_issuers: self.serves_cluster_issuers,
            clock: Arc::clone(&self.clock),
            rollout: self.rollout.clone(),
            private_networks: self.private_networks.clone(),
            watched: self.watched.clone(),
        }
    }

    /// Installs the definitions of the group, and waits until they are served.
    pub(crate) async fn install_definitions(&self) {
        let api = Api::<CustomResourceDefinition>::all(self.client.clone());
        for definition in schema::crds(&self.group) {
            api.create(&PostParams::default(), &definition)
                .await
                .unwrap();
        }
        self.definitions_are_served().await;
    }

    /// Waits until all kinds of the group are served.
    pub(crate) async fn definitions_are_served(&self) {
        eventually("the definitions are served", async || {
            let one = ListParams::default().limit(1);
            let failed = |problem: kube::Error| problem.to_string();
            self.certificates().list(&one).await.map_err(failed)?;
            self.issuers().list(&one).await.map_err(failed)?;
            self.cluster_issuers().list(&one).await.map_err(failed)?;
            self.served_checks().list(&one).await.map_err(failed)?;
            Ok(())
        })
        .await;
    }

    /// The Certificates of the user's namespace.
    pub(crate) fn certificates(&self) -> Api<Certificate> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &self.group)
    }

    /// The Issuers of the user's namespace.
    pub(crate) fn issuers(&self) -> Api<Issuer> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &self.group)
    }

    /// The ServedChecks of the user's namespace.
    pub(crate) fn served_checks(&self) -> Api<ServedCheck> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &self.group)
    }

    /// The ClusterIssuers.
    pub(crate) fn cluster_issuers(&self) -> Api<ClusterIssuer> {
        Api::all_with(self.client.clone(), &self.group)
    }

    /// Objects of Kubernetes' own kinds in the user's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies one object, as a user does: `apiVersion` may be left out for our kinds, and the namespace is the user's if
    /// none is given.
    pub(crate) async fn apply(&self, object: &Value) -> DynamicObject {
        self.try_apply(object)
            .await
            .unwrap_or_else(|problem| panic!("failed to apply {object:#}: {problem}"))
    }

    /// The same, where a refusal is of interest.
    pub(crate) async fn try_apply(&self, object: &Value) -> kube::Result<DynamicObject> {
        let mut object = object.clone();
        if object["apiVersion"].is_null() {
            object["apiVersion"] = self.group.api_version().into();
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let client = self.client.clone();
        let api: Api<DynamicObject> = if CLUSTER_WIDE.contains(&kind.as_str()) {
            Api::all_with(client, &resource)
        } else {
            if object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = self.namespace.clone().into();
            }
            Api::namespaced_with(client, &text(&object["metadata"]["namespace"]), &resource)
        };
        let manager = PatchParams::apply("user").force();
        api.patch(
            &text(&object["metadata"]["name"]),
            &manager,
            &Patch::Apply(&object),
        )
        .await
    }

    /// Applies an Issuer.
    pub(crate) async fn issuer(&self, name: &str, spec: Value) {
        self.apply(&json!({ "kind": "Issuer", "metadata": { "name": name }, "spec": spec }))
            .await;
    }

    /// Applies a Certificate. What `spec` leaves out: the Secret is `NAME-tls`, and the issuer is the Issuer `ca`.
    pub(crate) async fn certificate(&self, name: &str, mut spec: Value) {
        if spec["secretName"].is_null() {
            spec["secretName"] = format!("{name}-tls").into();
        }
        if spec["issuerRef"].is_null() {
            spec["issuerRef"] = json!({ "name": "ca" });
        }
        self.apply(&json!({ "kind": "Certificate", "metadata": { "name": name }, "spec": spec }))
            .await;
    }

    /// An Issuer `self-signed`, a root in the Secret `root`, and an Issuer `ca` that signs with it, without waiting.
    pub(crate) async fn apply_ca(&self) {
        self.issuer("self-signed", json!({ "selfSigned": {} }))
            .await;
        let root = json!({
            "secretName": "root",
            "issuerRef": { "name": "self-signed" },
            "isCA": true,
            "commonName": "Test Root",
            "duration": "87600h",
        });
        self.certificate("root", root).await;
        self.issuer("ca", json!({ "ca": { "secretName": "root" } }))
            .await;
    }

    /// The same, and waits until `ca` can sign.
    pub(crate) async fn ca(&self) {
        self.apply_ca().await;
        self.issuer_says("ca", "True", "KeyPairVerified").await;
    }

    /// A root and `ca` as before, and a Certificate `web` for `web.example.com` that is ready.
    pub(crate) async fn web(&self) -> Certificate {
        self.ca().await;
        self.certificate("web", json!({ "dnsNames": ["web.example.com"] }))
            .await;
        self.ready("web").await
    }

    /// Sets an annotation on a Certificate; also the way to make the operator look at it when its clock was moved.
    pub(crate) async fn annotate(&self, certificate: &str, key: &str, value: &str) {
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        self.certificates()
            .patch(certificate, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Makes the operator look at a Certificate.
    pub(crate) async fn touch(&self, certificate: &str) {
        let moment = SystemClock.now().to_string();
        self.annotate(certificate, "test/touched", &moment).await;
    }

    /// Asks for a renewal by hand.
    pub(crate) async fn renew(&self, certificate: &str, text: &str) {
        self.annotate(certificate, &self.group.key("renew"), text)
            .await;
    }

    /// Changes a Certificate's spec by a merge patch.
    pub(crate) async fn change(&self, certificate: &str, spec: Value) -> Certificate {
        self.certificates()
            .patch(
                certificate,
                &PatchParams::default(),
                &Patch::Merge(&json!({ "spec": spec })),
            )
            .await
            .unwrap()
    }

    /// Changes a Secret by a merge patch, as somebody else would.
    pub(crate) async fn meddle(&self, secret: &str, patch: Value) {
        self.api::<Secret>()
            .patch(
                secret,
                &PatchParams {
                    field_manager: Some("meddler".to_owned()),
                    ..PatchParams::default()
                },
                &Patch::Merge(&patch),
            )
            .await
            .unwrap();
    }

    /// Changes a Certificate's status as somebody else, by a merge patch.
    pub(crate) async fn scribble(&self, certificate: &str, status: Value) {
        let parameters = PatchParams {
            field_manager: Some("meddler".to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({ "status": status }));
        self.certificates()
            .patch_status(certificate, &parameters, &patch)
            .await
            .unwrap();
    }

    /// Puts a Secret there, as a user does.
    pub(crate) async fn secret(&self, name: &str, type_: &str, data: &[(&str, &[u8])]) {
        let data: BTreeMap<_, _> = data
            .iter()
            .map(|(key, value)| (key, ByteString(value.to_vec())))
            .collect();
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name },
            "type": type_,
            "data": data,
        }))
        .await;
    }

    /// Copies what is in a Secret into one that Certwright does not know.
    pub(crate) async fn copy_secret(&self, from: &str, to: &str) {
        let from = self.held(from).await;
        let data = ["tls.crt", "tls.key"].map(|key| (key, from.data(key).unwrap()));
        self.secret(to, "kubernetes.io/tls", &data).await;
    }

    /// Deletes a Secret.
    pub(crate) async fn delete_secret(&self, name: &str) {
        self.api::<Secret>()
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }
}

/// Shows what is of interest, and searches all there is for keys.
fn listen() {
    let shown = fmt::layer()
        .with_test_writer()
        .with_filter(EnvFilter::new("warn,certwright=info"));
    let searched = fmt::layer()
        .with_ansi(false)
        .with_writer(|| Listener)
        .with_filter(EnvFilter::new(
            "debug,certwright=trace,hyper_util=info,tower=info",
        ));
    let _ = tracing_subscriber::registry()
        .with(shown)
        .with(searched)
        .try_init();
}

const CLUSTER_WIDE: [&str; 9] = [
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "IngressClass",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];
