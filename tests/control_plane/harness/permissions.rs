//! What the operator may do, as it is shipped.

use certwright_test_cluster::shipped;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{Scene, eventually};

/// What is bound to users and not to the operator.
const USERS: [&str; 2] = ["certwright-view", "certwright-edit"];

impl Scene<'_> {
    /// Gives the operator's account what these shipped manifests give it, with nothing but group, names and the operator's
    /// namespace changed, and waits until the admission policies among them hold.
    pub(crate) async fn permit(&self, manifests: &str) {
        let documents = self.permissions(manifests);
        for document in &documents {
            self.apply(document).await;
        }
        if documents
            .iter()
            .any(|document| document["kind"] == "ValidatingAdmissionPolicy")
        {
            self.policies_hold().await;
        }
    }

    /// Waits until the API server goes by the admission policies: it reads them a moment after they were written.
    pub(crate) async fn policies_hold(&self) {
        // Asked for on its behalf: the record of what the operator does stays its own.
        let mut config = self.cluster.config().unwrap();
        config.auth_info.impersonate = Some(self.username());
        let client = Client::try_from(config).unwrap();
        let secrets: Api<Secret> = Api::namespaced(client, &self.namespace);
        eventually("the admission policies hold", async || {
            shipped::policies_hold(&secrets).await
        })
        .await;
    }

    /// The operator's name to the API server.
    pub(crate) fn username(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.system, self.account)
    }

    fn permissions(&self, manifests: &str) -> Vec<Value> {
        let manifests = manifests
            .replace("certwright.dev", self.group.name())
            .replace(
                "system:serviceaccount:certwright:certwright",
                &self.username(),
            );
        let mut wanted = shipped::permissions(&manifests).unwrap();
        wanted.retain(|document| {
            let name = document["metadata"]["name"].as_str().unwrap();
            !USERS.contains(&name)
        });
        assert!(wanted.len() >= 3, "at least account, role and binding");
        for document in &mut wanted {
            self.rename(document);
        }
        wanted
    }

    fn rename(&self, document: &mut Value) {
        let renamed = |value: &Value| {
            let name = value.as_str().unwrap();
            Value::from(name.replacen("certwright", &self.account, 1))
        };
        let mut metadata = json!({ "name": renamed(&document["metadata"]["name"]) });
        if let Some(namespace) = document["metadata"]["namespace"].as_str() {
            metadata["namespace"] = match namespace {
                "certwright" => self.system.clone().into(),
                other => other.into(),
            };
        }
        document["metadata"] = metadata;
        let rules = document.get_mut("rules").and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let names = rule.get_mut("resourceNames").and_then(Value::as_array_mut);
            for name in names.into_iter().flatten() {
                *name = renamed(name);
            }
        }
        if document["roleRef"].is_object() {
            document["roleRef"]["name"] = renamed(&document["roleRef"]["name"]);
            document["subjects"][0]["name"] = self.account.clone().into();
            document["subjects"][0]["namespace"] = self.system.clone().into();
        }
        if document["spec"]["policyName"].is_string() {
            document["spec"]["policyName"] = renamed(&document["spec"]["policyName"]);
        }
    }
}
