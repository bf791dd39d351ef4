//! The one control plane of these tests, with our CRDs, and how objects are put to it.

use std::process::{Output, Stdio};

use certwright_core::api::{Group, schema};
use certwright_test_cluster::{ControlPlane, Options, SharedControlPlane};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind, response::StatusCause};
use kube::runtime::{conditions, wait::await_condition};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OnceCell;

static CONTROL_PLANE: SharedControlPlane =
    SharedControlPlane::new(|| Options::new().without_workloads());
static CRDS: OnceCell<()> = OnceCell::const_new();

/// The control plane, with the CRDs of the default group as committed, applied as a user would.
pub(crate) async fn control_plane() -> &'static ControlPlane {
    let control_plane = CONTROL_PLANE.start().await.unwrap();
    CRDS.get_or_init(async || {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        let output = kubectl(control_plane, &["apply", "-f", folder], "").await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        wait_until_served(control_plane, &Group::default()).await;
    })
    .await;
    control_plane
}

/// Waits until the API server serves all kinds of `group`.
pub(crate) async fn wait_until_served(control_plane: &ControlPlane, group: &Group) {
    let api = Api::<CustomResourceDefinition>::all(control_plane.client().unwrap());
    for crd in schema::crds(group) {
        await_condition(
            api.clone(),
            &crd.metadata.name.unwrap(),
            conditions::is_crd_established(),
        )
        .await
        .unwrap();
    }
}

/// Objects of one of our kinds in namespace `default`, of which nothing is kept.
pub(crate) struct Kind {
    api: Api<DynamicObject>,
    group: Group,
    kind: &'static str,
}

impl Kind {
    pub(crate) fn new(control_plane: &ControlPlane, group: &Group, kind: &'static str) -> Self {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk(group.name(), Group::VERSION, kind));
        let client = control_plane.client().unwrap();
        let api = match kind {
            "ClusterIssuer" => Api::all_with(client, &resource),
            _ => Api::namespaced_with(client, "default", &resource),
        };
        Self {
            api,
            group: group.clone(),
            kind,
        }
    }

    /// What the API server objects to in an object with this spec: field and words of each objection.
    pub(crate) async fn objections(&self, spec: &Value) -> Vec<(String, String)> {
        let object = json!({
            "apiVersion": self.group.api_version(),
            "kind": self.kind,
            "metadata": { "name": "probe" },
            "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match self.api.create(&dry_run, &object).await {
            Ok(_) => Vec::new(),
            Err(kube::Error::Api(status)) if status.reason == "Invalid" => status
                .details
                .unwrap()
                .causes
                .into_iter()
                .map(objection)
                .collect(),
            Err(other) => panic!("{spec}: {other}"),
        }
    }
}

fn objection(cause: StatusCause) -> (String, String) {
    (cause.field, cause.message)
}

/// Runs kubectl with this standard input.
pub(crate) async fn kubectl(
    control_plane: &ControlPlane,
    arguments: &[&str],
    input: &str,
) -> Output {
    let mut command = control_plane.kubectl().unwrap();
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Dropped at the end of the statement, so that kubectl sees the end of its input.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .await
        .unwrap();
    child.wait_with_output().await.unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
