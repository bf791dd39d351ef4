//! What becomes of orders under way when whatever they are for is deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use certwright_core::api::{Certificate, Group, Issuer, condition};
use certwright_core::http01::{Owner, Record};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressSpec};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::beside::Seen;
use crate::faulty::{Fault, Faulty, Late, Part};
use crate::operator::{World, eventually};
use crate::pebble::Ways;
use crate::tenants::BANK;

/// Long enough that no CA is told to look while a test runs.
const LONG: &str = "1h";

impl World {
    /// The names of all that was made for HTTP-01 in any namespace, and of which kind each is.
    async fn made_for_http01(&self) -> BTreeSet<(&'static str, String)> {
        let labelled = ListParams::default().labels("certwright.dev/http01-solver");
        let mut made = BTreeSet::new();
        let all: Api<Service> = Api::all(self.client.clone());
        let found = all.list(&labelled).await.unwrap();
        made.extend(found.iter().map(|object| ("Service", object.name_any())));
        let all: Api<EndpointSlice> = Api::all(self.client.clone());
        let found = all.list(&labelled).await.unwrap();
        made.extend(
            found
                .iter()
                .map(|object| ("EndpointSlice", object.name_any())),
        );
        let all: Api<Ingress> = Api::all(self.client.clone());
        let found = all.list(&labelled).await.unwrap();
        made.extend(found.iter().map(|object| ("Ingress", object.name_any())));
        let all: Api<ConfigMap> = Api::all(self.client.clone());
        let found = all.list(&labelled).await.unwrap();
        made.extend(found.iter().map(|object| ("ConfigMap", object.name_any())));
        made
    }

    /// Waits until nothing is made for HTTP-01 anywhere.
    async fn has_nothing_made_for_http01(&self) {
        eventually("nothing is left of HTTP-01", async || {
            let made = self.made_for_http01().await;
            match made.is_empty() {
                true => Ok(()),
                false => Err(format!("{made:?}\n{}", self.log())),
            }
        })
        .await;
    }

    /// For which Certificates next keys are kept, in any namespace.
    async fn next_keys(&self) -> BTreeSet<String> {
        let kept = ListParams::default().labels("certwright.dev/next-key");
        let secrets: Api<Secret> = Api::all(self.client.clone());
        let found = secrets.list(&kept).await.unwrap();
        let of = |secret: &Secret| {
            let annotations = secret.annotations();
            annotations["certwright.dev/certificate-name"].clone()
        };
        found.iter().map(of).collect()
    }

    /// Waits until next keys are kept for these Certificates and no others.
    async fn keeps_next_keys_of(&self, names: &[&str]) {
        let expected: BTreeSet<_> = names.iter().map(|&name| name.to_owned()).collect();
        eventually("the next keys are these", async || {
            let kept = self.next_keys().await;
            match kept == expected {
                true => Ok(()),
                false => Err(format!("{kept:?}\n{}", self.log())),
            }
        })
        .await;
    }

    /// Writes down that something was made for a Certificate that does not exist, which is taken away when it is looked for
    /// what is left over.
    async fn leaves_a_record_of_nobody(&self) -> Left {
        let record = Record::of(Owner {
            namespace: "shop".to_owned(),
            name: "nobody".to_owned(),
            uid: "00000000-0000-0000-0000-000000000000".to_owned(),
        });
        let body = record.body(&Group::default(), "certwright");
        self.apply(&body).await;
        Left {
            records: Api::namespaced(self.client.clone(), "certwright"),
            name: Record::name(&record.certificate.uid),
        }
    }

    async fn issuer_that_waits(&self, name: &str, ingress: &serde_json::Value) {
        let solver = json!({ "waitInsteadOfSelfCheck": LONG, "http01": { "ingress": ingress } });
        let acme = json!({
            "server": self.pebble.directory, "caBundle": self.pebble.bundle, "solvers": [solver],
        });
        self.issuer_with(name, &acme).await;
    }

    /// Deletes a Certificate, whatever it is waiting for.
    async fn deletes(&self, name: &str) {
        let certificates: Api<Certificate> = self.of();
        let parameters = DeleteParams::default();
        certificates.delete(name, &parameters).await.unwrap();
    }
}

/// A record of what was made.
struct Left {
    records: Api<ConfigMap>,
    name: String,
}

impl Left {
    async fn get_opt(&self) -> Option<ConfigMap> {
        self.records.get_opt(&self.name).await.unwrap()
    }
}

/// The Ingress that its user wrote, as it stands now.
async fn users(world: &World) -> IngressSpec {
    let ingresses: Api<Ingress> = Api::namespaced(world.client.clone(), "shop");
    ingresses.get("web").await.unwrap().spec.unwrap()
}

/// Has orders of all kinds under way, and returns the CA that one of them hangs at.
async fn are_under_way(world: &World) -> Faulty {
    world
        .apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": BANK } }))
        .await;
    world
        .shares_by(json!({
            "waitInsteadOfSelfCheck": LONG,
            "http01": { "placement": "Operator", "ingress": { "ingressClassName": "public" } },
        }))
        .await;
    let untouched = users(world).await;
    let made = json!({ "ingressClassName": "public" });
    for (issuer, ingress) in [
        ("made", &made),
        ("dropped", &made),
        ("edited", &json!({ "name": "web" })),
    ] {
        world.issuer_that_waits(issuer, ingress).await;
    }
    // One whose CA does not answer when it is told to look.
    let hanging = Faulty::before(world.pebble.listens).await;
    hanging.fails_at("/chalZ/", Fault::Hangs(Part::Nothing));
    world
        .issuer_at("hanging", &hanging.directory, &hanging.bundle)
        .await;
    for (issuer, name) in [
        ("made", "gone"),
        ("dropped", "orphan"),
        ("edited", "edited"),
        ("hanging", "hung"),
    ] {
        let host = format!("{name}.example.com");
        world.certificate_of(issuer, name, &[&host]).await;
    }
    world
        .shares_certificate("shop", "beside", "beside.example.com")
        .await;
    world
        .shares_certificate(BANK, "away", "away.example.com")
        .await;
    eventually("all are under way", async || {
        let told = hanging
            .asked()
            .iter()
            .any(|asked| asked.path.starts_with("/chalZ/"));
        let mut hosts: BTreeSet<String> = BTreeSet::new();
        for namespace in ["shop", "certwright", BANK] {
            let ways = world.ways_in(namespace).await;
            hosts.extend(ways.into_iter().map(|(host, _)| host));
        }
        let edited = users(world).await != untouched;
        let made = ["away", "beside", "gone", "hung", "orphan"];
        let all = made.map(|name| format!("{name}.example.com"));
        match told && edited && hosts == all.into() {
            true => Ok(()),
            false => Err(format!("{told} {edited} {hosts:?}\n{}", world.log())),
        }
    })
    .await;
    let under_way = ["away", "beside", "edited", "gone", "hung", "orphan"];
    world.keeps_next_keys_of(&under_way).await;
    hanging
}

#[tokio::test]
async fn what_is_deleted_in_mid_order_leaves_nothing_behind() {
    let world = World::new(Ways::default()).await;
    world
        .apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "rules": [{ "host": "edited.example.com", "http": { "paths": [{
                "path": "/", "pathType": "Prefix",
                "backend": { "service": { "name": "web", "port": { "number": 80 } } },
            }] } }] },
        }))
        .await;
    let untouched = users(&world).await;
    let _hanging = are_under_way(&world).await;

    for name in ["gone", "edited", "hung", "beside"] {
        world.deletes(name).await;
    }
    let parameters = DeleteParams::default();
    let issuers: Api<Issuer> = world.of();
    issuers.delete("dropped", &parameters).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(BANK, &parameters).await.unwrap();

    world.has_nothing_made_for_http01().await;
    assert_eq!(users(&world).await, untouched);
    eventually("the namespace is gone", async || {
        let found = namespaces.get_opt(BANK).await.map_err(|p| p.to_string())?;
        found.map_or(Ok(()), |found| Err(format!("{:?}", found.status)))
    })
    .await;
    // Its issuer may come back.
    world.keeps_next_keys_of(&["orphan"]).await;
    eventually("it is said that the issuer is missing", async || {
        let status = world.status_in("shop", "orphan").await;
        let ready = condition::find(&status.conditions, "Ready").map(|ready| ready.reason.clone());
        match ready.as_deref() == Some("IssuerNotFound") && status.order.is_none() {
            true => Ok(()),
            false => Err(format!("{status:#?}")),
        }
    })
    .await;
    world.deletes("orphan").await;
    world.keeps_next_keys_of(&[]).await;
    world.has_nothing_made_for_http01().await;
}

/// The ways in are made when the CA has named the challenge: by then the Certificate may have gone, and all that was left of
/// it been taken away.
#[tokio::test]
async fn what_is_made_for_a_certificate_that_was_just_deleted_goes_too() {
    let world = World::new(Ways::default()).await;
    let ingresses: Api<Ingress> = Api::all(world.client.clone());
    for (placement, namespace) in [("Operator", "certwright"), ("Certificate", "shop")] {
        let slow = Faulty::before(world.pebble.listens).await;
        let late = Arc::new(Late::default());
        slow.fails_at("/authZ/", Fault::Late(Arc::clone(&late)));
        let name = placement.to_lowercase();
        let solver = json!({
            "waitInsteadOfSelfCheck": LONG,
            "http01": { "placement": placement, "ingress": { "ingressClassName": "public" } },
        });
        world
            .apply(&json!({
                "apiVersion": "certwright.dev/v1alpha1", "kind": "ClusterIssuer",
                "metadata": { "name": name },
                "spec": { "acme": {
                    "server": slow.directory, "caBundle": slow.bundle, "solvers": [solver],
                    "privateKeySecretRef": { "name": format!("{name}-account") },
                } },
            }))
            .await;
        let issuer = json!({ "kind": "ClusterIssuer", "name": name });
        let host = format!("{name}.example.com");
        let asked = json!({ "dnsNames": [host], "issuerRef": issuer });
        world.certificate_with(&name, &name, &asked).await;
        eventually("the CA is asked for the challenge", async || {
            let asked = slow.asked();
            let comes = asked.iter().any(|asked| asked.path.starts_with("/authZ/"));
            comes.then_some(()).ok_or_else(|| world.log())
        })
        .await;
        let seen = Seen::default();
        let watch = seen.follow::<Ingress>("Ingress", ingresses.clone());
        let nobodys = world.leaves_a_record_of_nobody().await;
        world.deletes(&name).await;
        eventually("what is nobody's is taken away", async || {
            let found = nobodys.get_opt().await;
            found.map_or(Ok(()), |found| Err(format!("{found:?}\n{}", world.log())))
        })
        .await;
        late.comes();
        // An operator that waited for so long that it gave up makes nothing.
        eventually("the ways in are made", async || {
            let seen = seen.all();
            let made = seen.contains(&("Ingress", namespace.to_owned()));
            match made || late.is_given_up() {
                true => Ok(()),
                false => Err(format!("{seen:?}\n{}", world.log())),
            }
        })
        .await;
        world.has_nothing_made_for_http01().await;
        world.keeps_next_keys_of(&[]).await;
        watch.abort();
    }
}
