//! Two tenants of a cluster who share a CA's account, and what one may do to the other.

use certwright_core::api::certificate::{CertificateStatus, LastFailure, OrderStatus};
use certwright_core::api::{Certificate, Group, condition};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::operator::{World, eventually, held};
use crate::pebble::Ways;

/// The namespace of the one who means no ill.
pub(crate) const BANK: &str = "bank";

impl World {
    /// One with a ClusterIssuer that two namespaces share, and with it an account.
    pub(crate) async fn shared(wait: &str) -> Self {
        let world = Self::new(Ways::default()).await;
        world
            .apply(
                &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": BANK } }),
            )
            .await;
        world.shares(wait).await;
        world
    }

    pub(crate) async fn shares(&self, wait: &str) {
        self.shares_by(json!({
            "waitInsteadOfSelfCheck": wait,
            "http01": { "ingress": { "ingressClassName": "public" } },
        }))
        .await;
    }

    /// The ClusterIssuer proves names this way.
    pub(crate) async fn shares_by(&self, solver: Value) {
        self.shares_with(solver, None).await;
    }

    /// The same, for these namespaces only if there are any.
    pub(crate) async fn shares_with(&self, solver: Value, namespaces: Option<&[&str]>) {
        let mut issuer = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "ClusterIssuer",
            "metadata": { "name": "shared" },
            "spec": { "acme": {
                "server": self.pebble.directory,
                "caBundle": self.pebble.bundle,
                "privateKeySecretRef": { "name": "shared-account" },
                "solvers": [solver],
            } },
        });
        if let Some(namespaces) = namespaces {
            issuer["spec"]["allowedNamespaces"] = namespaces.into();
        }
        self.apply(&issuer).await;
    }

    /// A Certificate of the ClusterIssuer.
    pub(crate) async fn shares_certificate(&self, namespace: &str, name: &str, host: &str) {
        let certificate = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
            "metadata": { "name": name, "namespace": namespace },
            "spec": {
                "secretName": format!("{name}-tls"), "dnsNames": [host],
                "issuerRef": { "kind": "ClusterIssuer", "name": "shared" },
            },
        });
        self.apply(&certificate).await;
    }

    pub(crate) fn certificates_in(&self, namespace: &str) -> Api<Certificate> {
        Api::namespaced_with(self.client.clone(), namespace, &Group::default())
    }

    pub(crate) async fn status_in(&self, namespace: &str, name: &str) -> CertificateStatus {
        let certificate = self.certificates_in(namespace).get(name).await.unwrap();
        certificate.status.unwrap_or_default()
    }

    /// Waits until the CA has made an order that was shown to be answered.
    pub(crate) async fn under_way(&self, namespace: &str, name: &str) -> OrderStatus {
        eventually(&format!("{name} is under way"), async || {
            let status = self.status_in(namespace, name).await;
            let order = status.order.clone();
            order
                .filter(|order| order.url.is_some() && !order.challenges.is_empty())
                .ok_or_else(|| format!("{status:#?}\n{}", self.log()))
        })
        .await
    }

    /// Writes an order into a status, as far as the operator was not faster: as whoever may write statuses can, in the
    /// operator's own name.
    pub(crate) async fn tampers(&self, name: &str, change: impl Fn(&mut Value)) {
        let certificates = self.certificates_in("shop");
        let found = certificates.get(name).await.unwrap();
        let mut status = serde_json::to_value(found.status.unwrap()).unwrap();
        if status["order"].is_null() {
            return;
        }
        change(&mut status["order"]);
        let body = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
            "metadata": { "name": name, "namespace": "shop" },
            "status": status,
        });
        let parameters = PatchParams::apply(Group::default().manager()).force();
        let body = Patch::Apply(&body);
        certificates
            .patch_status(name, &parameters, &body)
            .await
            .unwrap();
    }

    /// Tampers until that ends in a failure.
    pub(crate) async fn fails_tampered(
        &self,
        name: &str,
        change: impl Fn(&mut Value),
    ) -> LastFailure {
        eventually(&format!("{name} fails"), async || {
            let status = self.status_in("shop", name).await;
            match status.last_failure {
                Some(failure) => Ok(failure),
                None => {
                    self.tampers(name, &change).await;
                    Err(format!("{:#?}\n{}", status.order, self.log()))
                }
            }
        })
        .await
    }

    /// Waits until the bank has its certificate for `bank.example.com`.
    pub(crate) async fn bank_has_its_certificate(&self) {
        eventually("the bank has its certificate", async || {
            let status = self.status_in(BANK, "bank").await;
            match condition::is_true(&status.conditions, "Ready") {
                true => Ok(()),
                false => Err(format!("{status:#?}\n{}", self.log())),
            }
        })
        .await;
        let (_, certificates) = held(&self.secret_in(BANK, "bank").await.unwrap());
        assert!(certificates[0].names.dns.contains("bank.example.com"));
    }

    pub(crate) async fn secret_in(&self, namespace: &str, name: &str) -> Option<Secret> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        secrets.get_opt(&format!("{name}-tls")).await.unwrap()
    }

    /// The hosts and paths that lead CAs to the operator from the namespace.
    pub(crate) async fn ways_in(&self, namespace: &str) -> Vec<(String, String)> {
        let ingresses: Api<Ingress> = Api::namespaced(self.client.clone(), namespace);
        let label = ListParams::default().labels("certwright.dev/http01-solver");
        let made = ingresses.list(&label).await.unwrap();
        let rules = made
            .into_iter()
            .flat_map(|ingress| ingress.spec.unwrap().rules.unwrap());
        let mut ways: Vec<_> = rules
            .flat_map(|rule| {
                let host = rule.host.unwrap_or_default();
                let paths = rule.http.unwrap().paths.into_iter();
                paths.map(move |path| (host.clone(), path.path.unwrap_or_default()))
            })
            .collect();
        ways.sort();
        ways
    }

    /// What the API server says of an object that it does not take.
    pub(crate) async fn refused(&self, object: &Value) -> String {
        match self.try_out(object).await {
            Err(kube::Error::Api(status)) if status.code == 422 => status.message,
            answer => panic!("{object}: {answer:?}"),
        }
    }
}
