//! The account that the operator runs under: with the rights that are shipped, and held to the policies that are shipped.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::operator::{World, eventually};

/// The namespace and the name of the account.
const ACCOUNT: (&str, &str) = ("certwright", "certwright");

/// The kinds that say what the operator may do.
const KINDS: [&str; 7] = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

impl World {
    /// Gives the operator's account what is shipped, and waits until it may do that.
    pub(crate) async fn permits(&self) {
        let manifests = include_str!("../../deploy/install.yaml");
        for document in serde_yaml::Deserializer::from_str(manifests) {
            let document = Value::deserialize(document).unwrap();
            if KINDS.contains(&document["kind"].as_str().unwrap_or_default()) {
                self.apply(&document).await;
            }
        }
        let secrets: Api<Secret> = Api::all(self.operators_client().await);
        eventually("the operator has its rights", async || {
            let listed = secrets.list_metadata(&Default::default()).await;
            listed.map(|_| ()).map_err(|problem| problem.to_string())
        })
        .await;
    }

    /// Waits until the API server goes by the admission policies: it reads them a moment after they were written.
    pub(crate) async fn holds_to_policies(&self) {
        let secrets: Api<Secret> = Api::namespaced(self.operators_client().await, "shop");
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let mut unmarked = Secret::default();
        unmarked.metadata.name = Some("unmarked".to_owned());
        eventually("the admission policies hold", async || {
            match secrets.create(&dry, &unmarked).await {
                Err(kube::Error::Api(status)) if status.message.contains("managed") => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        })
        .await;
    }

    /// A client of the operator's account.
    async fn operators_client(&self) -> Client {
        let (namespace, name) = ACCOUNT;
        let client = self.control_plane.service_account_client(namespace, name);
        client.await.unwrap()
    }

    /// A kubeconfig of the operator's account, with a token of its own.
    pub(crate) async fn operators_kubeconfig(&self) -> PathBuf {
        let (namespace, name) = ACCOUNT;
        let token = self.control_plane.service_account_token(namespace, name);
        let token = token.await.unwrap();
        let admins = self.control_plane.kubeconfig("admin").unwrap();
        let mut config: Value = serde_yaml::from_slice(&std::fs::read(admins).unwrap()).unwrap();
        config["users"][0]["user"] = json!({ "token": token });
        let path = self.control_plane.folder().join("operator.kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}
