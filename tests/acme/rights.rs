//! The account that the operator runs under: with the rights that are shipped, and held to the policies that are shipped.

use std::path::PathBuf;

use certwright_test_cluster::shipped;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::operator::{World, eventually};

/// The namespace and the name of the account.
const ACCOUNT: (&str, &str) = ("certwright", "certwright");

impl World {
    /// Gives the operator's account what is shipped, and waits until it may do that.
    pub(crate) async fn permits(&self) {
        let manifests = include_str!("../../deploy/install.yaml");
        for document in shipped::permissions(manifests).unwrap() {
            self.apply(&document).await;
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
        eventually("the admission policies hold", async || {
            shipped::policies_hold(&secrets).await
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
        let config = self
            .control_plane
            .service_account_kubeconfig(namespace, name);
        config.await.unwrap()
    }
}
