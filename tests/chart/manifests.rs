//! The same without Helm: one file for kubectl, and a base for kustomize.

use crate::cluster::{CLUSTER, documents, eventually, kubectl};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

#[tokio::test]
async fn the_file_and_the_base_install_the_same() {
    let cluster = CLUSTER.start().await.unwrap();
    kubectl(
        cluster,
        &format!("apply --server-side -f {DEPLOY}/install.yaml"),
    )
    .await
    .unwrap();
    // The namespace that comes with it lets only restricted Pods in.
    eventually("two Pods are available", async || {
        let ready =
            "get deployment certwright -n certwright -o jsonpath={.status.availableReplicas}";
        let ready = kubectl(cluster, ready).await?;
        if ready == "2" { Ok(()) } else { Err(ready) }
    })
    .await;
    let changed = kubectl(
        cluster,
        &format!("diff --server-side -k {DEPLOY}/kustomize/base"),
    )
    .await;
    assert_eq!(changed, Ok(String::new()));
    kubectl(
        cluster,
        &format!("apply --server-side -k {DEPLOY}/kustomize/base"),
    )
    .await
    .unwrap();
    kubectl(cluster, &format!("delete --wait -f {DEPLOY}/install.yaml"))
        .await
        .unwrap();
}

#[tokio::test]
async fn in_another_namespace_the_policies_follow_the_account() {
    let cluster = CLUSTER.start().await.unwrap();
    let rendered = kubectl(cluster, &format!("kustomize {DEPLOY}/kustomize/elsewhere"))
        .await
        .unwrap();
    let (mut policies, mut bindings) = (0, 0);
    for document in documents(&rendered) {
        if document["kind"] == "ValidatingAdmissionPolicy" {
            policies += 1;
            assert_eq!(
                document["spec"]["matchConditions"][0]["expression"],
                "request.userInfo.username == 'system:serviceaccount:certificates:certwright'"
            );
        }
        for subject in document["subjects"].as_array().into_iter().flatten() {
            bindings += 1;
            assert_eq!(subject["namespace"], "certificates");
        }
    }
    assert_eq!((policies, bindings), (4, 3));
}
