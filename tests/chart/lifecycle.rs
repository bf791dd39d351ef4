//! What Helm does with the chart: install, upgrade, uninstall, install again.

use certwright_test_cluster::{ControlPlane, Options};
use serde_json::{Value, json};

use crate::cluster::{documents, eventually, helm, kubectl, kubectl_with};

#[tokio::test]
async fn definitions_are_upgraded_kept_and_taken_over_again() {
    let cluster = &ControlPlane::start(Options::new().nodes(2)).await.unwrap();
    let namespace = |name: &str| {
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
    };
    for name in ["certwright", "other"] {
        apply(cluster, &namespace(name)).await;
    }
    // Those of the first version, as its release would have left them, with Certificates in use.
    for plural in PLURALS {
        let as_helm = "apply --server-side --field-manager=helm -f -";
        let definition = first_version(plural).to_string();
        kubectl_with(cluster, as_helm, Some(&definition))
            .await
            .unwrap();
    }
    wait_for_definitions(cluster).await;
    apply(cluster, &certificate()).await;
    assert!(!has_rollout(cluster).await);

    let install = "install certwright CHART --namespace certwright --wait --timeout 120s";
    helm(cluster, install).await.unwrap();
    assert!(has_rollout(cluster).await, "upgraded");
    // Two Pods that the restricted Pod Security standard lets in, as the namespace demands.
    let ready = "get deployment certwright -n certwright -o jsonpath={.status.availableReplicas}";
    assert_eq!(kubectl(cluster, ready).await.unwrap(), "2");

    helm(
        cluster,
        "uninstall certwright --namespace certwright --wait",
    )
    .await
    .unwrap();
    let left = "get deployments,clusterroles,clusterrolebindings,roles,validatingadmissionpolicies,services,serviceaccounts \
                -A -l app.kubernetes.io/name=certwright -o name";
    assert_eq!(kubectl(cluster, left).await.unwrap(), "");
    let uid = |kind: &str| format!("get {kind} -o jsonpath={{.metadata.uid}}");
    let definition = uid("crd certificates.certwright.dev");
    let kept = kubectl(cluster, &definition).await.unwrap();
    let web = kubectl(cluster, &uid("certificate web")).await.unwrap();

    // The same name and namespace: no flag is needed.
    helm(cluster, install).await.unwrap();
    helm(
        cluster,
        "upgrade certwright CHART --namespace certwright --set replicas=1",
    )
    .await
    .unwrap();
    helm(
        cluster,
        "rollback certwright --namespace certwright --wait --timeout 120s",
    )
    .await
    .unwrap();
    assert_eq!(kubectl(cluster, ready).await.unwrap(), "2");
    helm(
        cluster,
        "uninstall certwright --namespace certwright --wait",
    )
    .await
    .unwrap();

    let elsewhere = "install other CHART --namespace other --wait --timeout 120s";
    let refusal = helm(cluster, elsewhere).await.unwrap_err();
    assert!(refusal.contains("release-name"), "{refusal}");
    // What the refused one has left of itself goes first.
    let _ = helm(cluster, "uninstall other --namespace other --wait").await;
    helm(cluster, &format!("{elsewhere} --take-ownership"))
        .await
        .unwrap();

    assert_eq!(
        kubectl(cluster, &definition).await.unwrap(),
        kept,
        "never deleted"
    );
    assert_eq!(
        kubectl(cluster, &uid("certificate web")).await.unwrap(),
        web
    );
}

const PLURALS: [&str; 3] = ["certificates", "issuers", "clusterissuers"];

/// A definition of the first version, without a field so that there is something to upgrade.
fn first_version(plural: &str) -> Value {
    let path = format!(
        "{}/tests/releases/v0.1.0/crds/{plural}.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut definition = documents(&std::fs::read_to_string(path).unwrap()).remove(0);
    let metadata = &mut definition["metadata"];
    metadata["labels"] = json!({ "app.kubernetes.io/managed-by": "Helm" });
    metadata["annotations"] = json!({
        "helm.sh/resource-policy": "keep",
        "meta.helm.sh/release-name": "certwright",
        "meta.helm.sh/release-namespace": "certwright",
    });
    if plural == "certificates" {
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let spec = &mut schema["properties"]["spec"];
        spec["properties"]
            .as_object_mut()
            .unwrap()
            .remove("rollout")
            .unwrap();
    }
    definition
}

async fn has_rollout(cluster: &ControlPlane) -> bool {
    let path = "{.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.rollout.type}";
    let get = format!("get crd certificates.certwright.dev -o jsonpath={path}");
    kubectl(cluster, &get).await.unwrap() == "object"
}

fn certificate() -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "secretName": "web-tls", "dnsNames": ["web.example.com"], "issuerRef": { "name": "ca" } },
    })
}

async fn apply(cluster: &ControlPlane, object: &Value) {
    let object = object.to_string();
    kubectl_with(cluster, "apply --server-side -f -", Some(&object))
        .await
        .unwrap();
}

async fn wait_for_definitions(cluster: &ControlPlane) {
    eventually("the definitions are served", async || {
        kubectl(cluster, "get certificates,issuers,clusterissuers -A").await
    })
    .await;
}
