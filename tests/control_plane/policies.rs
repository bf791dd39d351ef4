//! What the operator's own token can't do, although RBAC would let it.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::harness::{Scene, eventually};

/// SECURITY.md says what this comes to.
#[tokio::test]
async fn its_token_allows_this_and_nothing_more() {
    let scene = Scene::new("token").await;
    let allowed_to = async |account: &str, namespace: &str| {
        let client = scene
            .cluster
            .service_account_client(&scene.system, account)
            .await
            .unwrap();
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec {
                namespace: Some(namespace.to_owned()),
            },
            ..SelfSubjectRulesReview::default()
        };
        let reviews = Api::<SelfSubjectRulesReview>::all(client);
        let review = reviews
            .create(&PostParams::default(), &review)
            .await
            .unwrap();
        let rules = review.status.unwrap().resource_rules;
        let mut allowed = BTreeSet::new();
        for rule in rules {
            let only = rule.resource_names.unwrap_or_default().join(",");
            for group in rule.api_groups.unwrap() {
                for resource in rule.resources.iter().flatten() {
                    let verbs = rule.verbs.join(" ");
                    let line = format!("{group}/{resource} {only}: {verbs}");
                    allowed.insert(line.replace(scene.group.name(), "ours"));
                }
            }
        }
        allowed
    };
    // What every account may do, such as to ask who it is, is not of interest.
    let allowed = async |namespace: &str| {
        let everybodys = allowed_to("default", namespace).await;
        let allowed = allowed_to(&scene.account, namespace).await;
        allowed
            .difference(&everybodys)
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let everywhere: BTreeSet<String> = [
        "/configmaps : list watch",
        "/namespaces : list watch",
        "/pods : list",
        "/secrets : get list watch create patch delete",
        "apps/daemonsets : get list watch patch",
        "apps/controllerrevisions : list",
        "apps/deployments : get list watch patch",
        "apps/replicasets : list",
        "apps/statefulsets : get list watch patch",
        "/services : list",
        "/services : get create patch delete",
        "discovery.k8s.io/endpointslices : list",
        "discovery.k8s.io/endpointslices : get create patch delete",
        "events.k8s.io/events : create",
        "gateway.networking.k8s.io/httproutes : get create patch delete",
        "networking.k8s.io/ingresses : get create patch delete",
        "networking.k8s.io/ingresses : list watch",
        "ours/certificates : get list watch",
        "ours/certificates/status : patch",
        "ours/clusterissuers : get list watch",
        "ours/clusterissuers/status : patch",
        "ours/issuers : get list watch",
        "ours/issuers/status : patch",
        "ours/servedchecks : get list watch",
        "ours/servedchecks/status : patch",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(allowed(&scene.namespace).await, everywhere);
    let mut at_home = everywhere;
    at_home.extend([
        "coordination.k8s.io/leases : create".to_owned(),
        format!("coordination.k8s.io/leases {}: get update", scene.account),
        "/configmaps : get list create patch delete".to_owned(),
        "discovery.k8s.io/endpointslices : list watch".to_owned(),
    ]);
    assert_eq!(allowed(&scene.system).await, at_home);
}

#[tokio::test]
async fn secrets_that_are_not_ours_are_out_of_reach() {
    let scene = Scene::new("foreign-secrets").await;
    let client = careless(
        &scene,
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["*"] }),
    )
    .await;
    let secrets = Api::<Secret>::namespaced(client, &scene.namespace);
    let [managed, named, account_key, next_key, previous] = [
        "managed",
        "certificate-name",
        "account-key",
        "next-key",
        "previous-pair",
    ]
    .map(|key| scene.group.key(key));
    scene
        .secret("theirs", "Opaque", &[("password", b"x")])
        .await;
    let marked = |name: &str, metadata: Value| {
        let mut metadata = metadata;
        metadata["name"] = name.into();
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata })
    };
    scene
        .apply(&marked(
            "labelled",
            json!({ "labels": { &managed: "true" } }),
        ))
        .await;
    scene
        .apply(&marked(
            "handed-over",
            json!({ "annotations": { &named: "web" } }),
        ))
        .await;
    scene
        .apply(&marked(
            "account",
            json!({ "labels": { &account_key: "true" } }),
        ))
        .await;
    for (name, label) in [("next", &next_key), ("previous", &previous)] {
        scene
            .apply(&marked(name, json!({ "labels": { label: "true" } })))
            .await;
    }

    let change = Patch::Merge(json!({ "stringData": { "password": "y" } }));
    let claim = Patch::Merge(json!({ "metadata": { "labels": { &managed: "true" } } }));
    let force = PatchParams::apply(&scene.account).force();
    let applied = Patch::Apply(marked("theirs", json!({ "labels": { &managed: "true" } })));
    let plain = PatchParams::default();
    let not_ours = format!(
        "Secret {}/theirs is not Certwright's: it has neither the label {managed} or {account_key} nor the annotation {named}",
        scene.namespace
    );
    refused(secrets.patch("theirs", &plain, &change).await, &not_ours);
    refused(secrets.patch("theirs", &plain, &claim).await, &not_ours);
    refused(secrets.patch("theirs", &force, &applied).await, &not_ours);
    refused(
        secrets.patch("next", &plain, &change).await,
        "is not Certwright's",
    );
    for name in ["labelled", "handed-over", "account"] {
        secrets.patch(name, &plain, &change).await.unwrap();
    }
    for name in ["theirs", "labelled", "handed-over", "account"] {
        refused(
            secrets.delete(name, &DeleteParams::default()).await,
            &format!("deletes no Secret without its label {next_key} or {previous}"),
        );
    }
    for name in ["next", "previous"] {
        secrets
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    no_warnings(&scene, "secrets").await;
}

#[tokio::test]
async fn secrets_are_made_with_a_label_of_ours_and_without_tokens() {
    let scene = Scene::new("made-secrets").await;
    let client = careless(
        &scene,
        json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["*"] }),
    )
    .await;
    let secrets = Api::<Secret>::namespaced(client, &scene.namespace);
    let [managed, account_key, next_key, previous] =
        ["managed", "account-key", "next-key", "previous-pair"].map(|key| scene.group.key(key));
    let create = async |type_: &str, labels: Value| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": type_,
            "metadata": {
                "name": "made", "labels": labels,
                "annotations": { "kubernetes.io/service-account.name": "default" },
            },
        });
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        secrets.create(&dry, &secret).await
    };
    refused(
        create("Opaque", json!({})).await,
        &format!("without one of its labels {managed}"),
    );
    for label in [&managed, &account_key, &next_key, &previous] {
        create("Opaque", json!({ label: "true" })).await.unwrap();
    }
    // The one by which a token for any account of the namespace could be had.
    for type_ in [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
    ] {
        let made = create(type_, json!({ &managed: "true" })).await;
        refused(made, "the types kubernetes.io/tls and Opaque");
    }
    no_warnings(&scene, "secrets").await;
}

#[tokio::test]
async fn of_workloads_only_our_annotations_can_be_changed() {
    let scene = Scene::new("foreign-workloads").await;
    let everything = json!({ "apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"] });
    let client = careless(&scene, everything).await;
    let [mark, other] = ["secret-web-tls", "configmap-trust"].map(|name| scene.group.key(name));
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        scene.apply(&workload(kind)).await;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
        let workloads =
            Api::<DynamicObject>::namespaced_with(client.clone(), &scene.namespace, &resource);
        let patch = async |patch: &Value| {
            // Only what the API server would make of it is of interest; a conflict with a controller is none of that.
            let dry = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            workloads.patch("web", &dry, &Patch::Merge(patch)).await
        };
        let template = |template: Value| json!({ "spec": { "template": template } });
        for forbidden in [
            json!({ "metadata": { "labels": { "team": "red" } } }),
            json!({ "metadata": { "ownerReferences": [owner()] } }),
            json!({ "metadata": { "finalizers": ["example.org/stay"] } }),
            json!({ "metadata": { "annotations": { "theirs": "red" } } }),
            json!({ "metadata": { "annotations": { "theirs": null } } }),
            json!({ "metadata": { "annotations": { "more": "red" } } }),
            json!({ "metadata": { "annotations": { scene.group.key("rollout"): "None" } } }),
            json!({ "spec": { "minReadySeconds": 7 } }),
            json!({ "spec": { "revisionHistoryLimit": null } }),
            template(json!({ "metadata": { "labels": { "team": "red" } } })),
            template(json!({ "metadata": { "annotations": { "theirs": "red" } } })),
            template(json!({ "metadata": { "annotations": { "theirs": null } } })),
            template(json!({ "metadata": { "annotations": { "more": "red" } } })),
            template(json!({ "spec": { "serviceAccountName": "cluster-admin" } })),
            template(json!({ "spec": { "hostNetwork": true } })),
            template(json!({ "spec": { "containers": [{ "name": "main", "image": "evil" }] } })),
            // Together with what is allowed.
            json!({
                "metadata": { "annotations": { &mark: "f00d" } },
                "spec": { "template": { "metadata": { "annotations": { &mark: "f00d" } }, "spec": { "hostPID": true } } },
            }),
        ] {
            refused(patch(&forbidden).await, "Certwright changes no");
        }
        for allowed in [
            json!({ "metadata": { "annotations": { &mark: "f00d" } } }),
            template(json!({ "metadata": { "annotations": { &mark: "f00d" } } })),
            template(json!({ "metadata": { "annotations": { &other: "f00d" } } })),
        ] {
            let changed = patch(&allowed).await;
            assert!(changed.is_ok(), "{kind} {allowed}: {changed:?}");
        }
        // Others are not held to it.
        let mut theirs = workload(kind);
        theirs["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
        scene.apply(&theirs).await;
    }
    no_warnings(&scene, "workloads").await;
}

/// The operator's token, where somebody gave it more rights than it needs.
async fn careless(scene: &Scene<'_>, rule: Value) -> Client {
    let rbac = "rbac.authorization.k8s.io";
    scene
        .apply(&json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": { "name": "careless" },
            "rules": [rule],
        }))
        .await;
    scene
        .apply(&json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": { "name": "careless" },
            "roleRef": { "apiGroup": rbac, "kind": "Role", "name": "careless" },
            "subjects": [{ "kind": "ServiceAccount", "name": scene.account, "namespace": scene.system }],
        }))
        .await;
    scene
        .cluster
        .service_account_client(&scene.system, &scene.account)
        .await
        .unwrap()
}

/// The policy was refused, and nothing else: with these words, which name the policy.
fn refused<T: std::fmt::Debug>(answer: kube::Result<T>, words: &str) {
    match answer {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 403, "{status:?}");
            assert!(
                status.message.contains("ValidatingAdmissionPolicy")
                    && status.message.contains(words),
                "{words:?} is not in {}",
                status.message
            );
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// The API server has looked at the policy's expressions, and has nothing to say against their types.
async fn no_warnings(scene: &Scene<'_>, policy: &str) {
    let policies = Api::<ValidatingAdmissionPolicy>::all(scene.client.clone());
    let name = format!("{}-{policy}", scene.account);
    let checked = eventually("the policy's types were checked", async || {
        let policy = policies.get(&name).await.unwrap();
        let status = policy.status.unwrap_or_default();
        match status.type_checking {
            Some(checked) if status.observed_generation == policy.metadata.generation => {
                Ok(checked)
            }
            _ => Err(String::new()),
        }
    })
    .await;
    assert_eq!(checked.expression_warnings.unwrap_or_default(), []);
}

fn workload(kind: &str) -> Value {
    let labels = json!({ "app": kind.to_lowercase() });
    let mut spec = json!({
        "minReadySeconds": 1,
        "revisionHistoryLimit": 3,
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels, "annotations": { "theirs": "blue" } },
            "spec": { "containers": [{ "name": "main", "image": "example" }] },
        },
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = "web".into();
    }
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": { "name": "web", "annotations": { "theirs": "blue" } },
        "spec": spec,
    })
}

fn owner() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "00000000-0000-0000-0000-000000000000" })
}
