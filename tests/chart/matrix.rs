//! What a real API server makes of the chart under many values.

use std::collections::BTreeSet;

use certwright_test_cluster::ControlPlane;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::cluster::{CLUSTER, documents, eventually, helm, kubectl_with};

/// Everything off that reaches beyond namespaces.
const NARROW: &str = "--set watchNamespaces={shop,pki} --set crds.enabled=false --set rbac.createUserRoles=false \
                      --set admissionPolicy.enabled=false --set acme.ownPods.enabled=false";

#[tokio::test]
async fn a_real_server_takes_what_is_rendered() {
    let cluster = prepared().await;
    let digest = format!("--set image.digest=sha256:{}", "0".repeat(64));
    for values in [
        "--set crds.keep=false",
        NARROW,
        "--set watchNamespaces={shop} --set clusterIssuers=Enabled --set clusterResourceNamespace=pki",
        "--set clusterIssuers=Disabled --set rollout.enabled=false --set metrics.service.enabled=false \
         --set acme.http01.enabled=false --set acme.ownPods.enabled=false",
        "--set acme.privateNetworks={10.20.0.0/16,fd00::/8} --set acme.resolvers={192.0.2.53,[2001:db8::53]:5353}",
        "--set servedChecks.targets={www.example.com:443,*.example.com:*,10.0.0.0/8:8443,[fd00::/8]:443,*:443}",
        "--set replicas=1 --set leaderElection.enabled=false --set networkPolicy.enabled=false",
        "--set replicas=3 --set podDisruptionBudget.enabled=false --set leaderElection.leaseDuration=15s",
        "--set fullnameOverride=certs --set rbac.aggregateUserRoles=false --set serviceAccount.annotations.a=b",
        &digest,
        "--set proxy.https=http://proxy:3128 --set proxy.noProxy=10.0.0.0/8\\,.svc --set extraCaBundle.configMap=roots",
        "--set extraCaBundle.secret=roots --set extraCaBundle.key=roots.pem --set imagePullSecrets[0].name=pull",
        "--set extraArgs={--listen=[::]:9402} --set extraEnv[0].name=TZ --set extraEnv[0].value=UTC",
        "--set metrics.podMonitor.enabled=true --set metrics.serviceMonitor.enabled=true \
         --set metrics.prometheusRule.enabled=true --set metrics.prometheusRule.labels.a=b",
        "--set podLabels.a=b --set podAnnotations.a=b --set priorityClassName=system-cluster-critical \
         --set tolerations[0].operator=Exists --set resources.limits.memory=1Gi --set terminationGracePeriodSeconds=60",
        "--set networkPolicy.from[0].namespaceSelector.matchLabels.a=b --set metrics.service.labels.a=b \
         --set networkPolicy.http01From[0].ipBlock.cidr=10.0.0.0/8 \
         --set nodeSelector.disk=ssd --set topologySpreadConstraints[0].topologyKey=rack \
         --set topologySpreadConstraints[0].maxSkew=1 --set topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule \
         --set topologySpreadConstraints[0].labelSelector.matchLabels.a=b",
    ] {
        let rendered = render(cluster, values).await.unwrap();
        let applied = "apply --server-side --dry-run=server -f -";
        let taken = kubectl_with(cluster, applied, Some(&rendered)).await;
        assert!(taken.is_ok(), "{values}: {taken:?}");
        restricted(cluster, values, &rendered).await;
    }
}

#[tokio::test]
async fn nothing_reaches_beyond_namespaces_where_that_is_asked_for() {
    let cluster = prepared().await;
    let rendered = render(cluster, NARROW).await.unwrap();
    for document in documents(&rendered) {
        let namespace = document["metadata"]["namespace"].as_str();
        let named = namespace.is_some_and(|name| ["matrix", "shop", "pki"].contains(&name));
        assert!(named, "{document}");
    }
}

#[tokio::test]
async fn rights_go_with_what_is_switched_off() {
    let cluster = prepared().await;
    let rights = async |values: &str| {
        let mut rights = BTreeSet::new();
        for document in documents(&render(cluster, values).await.unwrap()) {
            let users = ["certwright-view", "certwright-edit"].map(Value::from);
            if users.contains(&document["metadata"]["name"]) {
                continue;
            }
            for rule in document["rules"].as_array().into_iter().flatten() {
                for resource in rule["resources"].as_array().unwrap() {
                    for verb in rule["verbs"].as_array().unwrap() {
                        let (resource, verb) = (resource.as_str().unwrap(), verb.as_str().unwrap());
                        rights.insert(format!("{resource} {verb}"));
                    }
                }
            }
        }
        rights
    };
    let all = rights("--set replicas=2").await;
    let gone = async |values: &str| -> Vec<String> {
        let left = rights(values).await;
        // A Role gives away its own namespace, by name.
        let more: Vec<_> = left.difference(&all).collect();
        assert!(
            more.iter().all(|right| *right == "namespaces get"),
            "{more:?}"
        );
        all.difference(&left).cloned().collect()
    };
    let mut cluster_issuers = each(&["clusterissuers"], &["get", "list", "watch"]);
    cluster_issuers.push("clusterissuers/status patch".to_owned());
    assert_eq!(gone("--set clusterIssuers=Disabled").await, cluster_issuers);
    cluster_issuers.extend(each(&["namespaces"], &["list", "watch"]));
    assert_eq!(gone("--set watchNamespaces={shop}").await, cluster_issuers);
    let workloads = ["daemonsets", "deployments", "statefulsets"];
    let mut workloads = each(&workloads, &["get", "list", "patch", "watch"]);
    workloads.extend(each(&["controllerrevisions", "replicasets"], &["list"]));
    let hosts = each(&["ingresses"], &["list", "watch"]);
    assert_eq!(gone("--set rollout.probeInterval=0s").await, hosts);
    workloads.extend(hosts);
    workloads.extend(each(&["namespaces"], &["list", "watch"]));
    workloads.push("configmaps watch".to_owned());
    workloads.sort();
    assert_eq!(gone("--set rollout.enabled=false").await, workloads);
    workloads.push("pods list".to_owned());
    workloads.sort();
    let rollout = "--set rollout.enabled=false --set acme.ownPods.enabled=false";
    assert_eq!(gone(rollout).await, workloads);
    let mut ways_in = each(
        &[
            "configmaps",
            "endpointslices",
            "httproutes",
            "ingresses",
            "services",
        ],
        &["create", "delete", "get", "patch"],
    );
    ways_in.push("endpointslices watch".to_owned());
    ways_in.sort();
    let http01 = "--set acme.http01.enabled=false";
    assert_eq!(gone(http01).await, ways_in);
    // Which addresses are whose is looked at in namespaces only where that is wanted.
    let narrow = format!(
        "{http01} --set watchNamespaces={{shop}} --set acme.ownPods.enabled=false --set rollout.probeInterval=0s"
    );
    ways_in.extend(each(&["endpointslices", "services"], &["list"]));
    ways_in.extend(each(&["ingresses"], &["list", "watch"]));
    ways_in.extend(cluster_issuers);
    ways_in.sort();
    assert_eq!(gone(&narrow).await, ways_in);
    let alone = "--set replicas=1 --set leaderElection.enabled=false";
    assert_eq!(
        gone(alone).await,
        each(&["leases"], &["create", "get", "update"])
    );
}

/// Each of these rights on each of these.
fn each(resources: &[&str], verbs: &[&str]) -> Vec<String> {
    let each = resources.iter().flat_map(|resource| {
        let each = verbs.iter().map(move |verb| format!("{resource} {verb}"));
        each.collect::<Vec<_>>()
    });
    each.collect()
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_name() {
    let cluster = prepared().await;
    for (values, word) in [
        ("--set concurency=1", "concurency"),
        ("--set image.tags=1", "tags"),
        ("--set metrics.podMonitor.on=true", "on"),
        (
            "--set tolerations[0].key=a --set tolerations[0].effects=NoExecute",
            "effects",
        ),
        ("--set replicas=two", "replicas"),
        ("--set replicas=11", "replicas"),
        ("--set image.digest=sha256:0", "digest"),
        ("--set image.repository=a@b", "repository"),
        ("--set watchNamespaces={Shop}", "watchNamespaces"),
        ("--set clusterIssuers=true", "clusterIssuers"),
        ("--set acme.privateNetworks={intranet}", "privateNetworks"),
        ("--set servedChecks.targets={www.example.com}", "targets"),
        ("--set acme.resolvers={dns.example.com}", "resolvers"),
        ("--set caOverlap=1d", "caOverlap"),
        (
            "--set rollout.kinds[0].apiVersion=apps/v1 --set rollout.kinds[0].kind=Deployment --set rollout.kinds[0].plural=deployments",
            "apiVersion",
        ),
        (
            "--set rollout.kinds[0].apiVersion=argoproj.io/v1alpha1 --set rollout.kinds[0].kind=Rollout",
            "plural",
        ),
        (
            "--set rollout.kinds[0].apiVersion=a.example/v1 --set rollout.kinds[0].kind=A --set rollout.kinds[0].plural=as --set rollout.kinds[0].podTemplate=.template",
            "podTemplate",
        ),
        ("--set log.format=xml", "format"),
        ("--set leaderElection.leaseDuration=2s", "leaseDuration"),
        ("--set proxy.https=proxy:3128", "https"),
        ("--set extraArgs=--listen", "extraArgs"),
        ("--set leaderElection.enabled=false", "replicas must be 1"),
        (
            "--set extraCaBundle.configMap=a --set extraCaBundle.secret=b",
            "not both",
        ),
        (
            "--set metrics.serviceMonitor.enabled=true --set metrics.service.enabled=false",
            "needs metrics.service.enabled",
        ),
    ] {
        let refusal = render(cluster, values).await.unwrap_err();
        assert!(refusal.contains(word), "{values}: {refusal}");
    }
}

pub(crate) async fn render(cluster: &ControlPlane, values: &str) -> Result<String, String> {
    let values: Vec<&str> = values.split_whitespace().collect();
    let values = values.join(" ");
    helm(
        cluster,
        &format!("template certwright CHART --namespace matrix {values}"),
    )
    .await
}

/// A namespace for the release that lets only restricted Pods in, those that values name, and the kinds of the Prometheus operator.
pub(crate) async fn prepared() -> &'static ControlPlane {
    let cluster = CLUSTER.start().await.unwrap();
    let mut objects = Vec::new();
    for name in ["matrix", "shop", "pki"] {
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        objects.push(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
        }));
    }
    for (kind, plural) in [
        ("ServiceMonitor", "servicemonitors"),
        ("PodMonitor", "podmonitors"),
        ("PrometheusRule", "prometheusrules"),
    ] {
        let schema = json!({ "openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        } });
        objects.push(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
            "spec": {
                "group": "monitoring.coreos.com", "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }],
            },
        }));
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    kubectl_with(cluster, "apply --server-side -f -", Some(&list))
        .await
        .unwrap();
    eventually("the kinds are served", async || {
        let get = "get servicemonitors,podmonitors,prometheusrules -n matrix";
        kubectl_with(cluster, get, None).await?;
        kubectl_with(cluster, "get serviceaccount default -n matrix", None).await
    })
    .await;
    cluster
}

/// The real admission of Pods in a namespace that enforces the restricted standard.
async fn restricted(cluster: &ControlPlane, values: &str, rendered: &str) {
    let all = documents(rendered);
    let deployment = all
        .iter()
        .find(|document| document["kind"] == "Deployment")
        .unwrap();
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["name"] = "as-rendered".into();
    // The account isn't there, and matters to nothing here.
    template["spec"]["serviceAccountName"] = "default".into();
    let pod: Pod = serde_json::from_value(template).unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pods = Api::<Pod>::namespaced(cluster.client().unwrap(), "matrix");
    let made = pods.create(&dry, &pod).await;
    assert!(made.is_ok(), "{values}: {made:?}");
    // What it would say otherwise.
    let mut loose = pod;
    loose.spec.as_mut().unwrap().host_network = Some(true);
    let refusal = pods.create(&dry, &loose).await.unwrap_err().to_string();
    assert!(refusal.contains("restricted"), "{refusal}");
}
