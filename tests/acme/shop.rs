//! More of what tests do in a world: issuers of other servers, Certificates of other kinds, what is left of them.

use certwright_core::api::Certificate;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::operator::{World, eventually};

impl World {
    /// An Issuer that asks this server, with an account key of its own.
    pub(crate) async fn issuer_at(&self, name: &str, directory: &str, bundle: &str) {
        self.issuer_with(
            name,
            &json!({ "server": directory, "caBundle": bundle, "email": "ops@example.com" }),
        )
        .await;
    }

    /// An Issuer with these fields of `acme`, with an account key of its own unless it says otherwise.
    pub(crate) async fn issuer_with(&self, name: &str, more: &Value) {
        let mut acme = json!({
            "privateKeySecretRef": { "name": format!("{name}-account") },
            "solvers": [{
                "waitInsteadOfSelfCheck": "0s",
                "http01": { "ingress": { "ingressClassName": "public" } },
            }],
        });
        let fields = acme.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let issuer = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "acme": acme },
        });
        self.apply(&issuer).await;
    }

    /// A Certificate of an Issuer for DNS names.
    pub(crate) async fn certificate_of(&self, issuer: &str, name: &str, names: &[&str]) {
        self.certificate_with(issuer, name, &json!({ "dnsNames": names }))
            .await;
    }

    /// A Certificate of an Issuer with these fields.
    pub(crate) async fn certificate_with(&self, issuer: &str, name: &str, more: &Value) {
        let mut spec =
            json!({ "secretName": format!("{name}-tls"), "issuerRef": { "name": issuer } });
        let fields = spec.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let certificate = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": spec,
        });
        self.apply(&certificate).await;
    }

    /// Asks for a renewal by hand.
    pub(crate) async fn renew(&self, name: &str) {
        self.renew_for(name, "now").await;
    }

    /// Asks for a renewal by hand, in these words.
    pub(crate) async fn renew_for(&self, name: &str, words: &str) {
        let annotated = json!({ "metadata": { "annotations": { "certwright.dev/renew": words } } });
        let certificates: Api<Certificate> = self.of();
        let patch = Patch::Merge(&annotated);
        certificates
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Waits until nothing leads a CA to the operator any more.
    pub(crate) async fn has_no_ways_in(&self) {
        eventually("no way in is left over", async || {
            let all = ListParams::default();
            let services: Api<Service> = Api::namespaced(self.client.clone(), "shop");
            let services = services.list(&all).await.map_err(|p| p.to_string())?;
            let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "shop");
            let slices = slices.list(&all).await.map_err(|p| p.to_string())?;
            let left: Vec<_> = services
                .iter()
                .map(|service| service.name_any())
                .chain(slices.iter().map(|slice| slice.name_any()))
                .collect();
            match left.is_empty() {
                true => Ok(()),
                false => Err(format!("{left:?}")),
            }
        })
        .await;
    }
}
