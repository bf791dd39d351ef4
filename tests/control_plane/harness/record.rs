//! What an operator leaves behind for others to read.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, Client};

use super::Scene;
use super::telling::{Told, held, logged};

/// Where an operator leaves something for others to read.
pub(crate) struct Record {
    client: Client,
    /// The path of our API group and version.
    group: String,
    namespaces: Arc<Mutex<Vec<String>>>,
}

impl Record {
    pub(crate) fn of(scene: &Scene<'_>) -> Self {
        Self {
            client: scene.client.clone(),
            group: format!("/apis/{}", scene.group.api_version()),
            namespaces: Arc::clone(&scene.namespaces),
        }
    }

    /// No private key stands in a log, an Event, a Certificate, an issuer, a workload or a metric. A log and a metric are
    /// searched for the keys of all operators of this process.
    ///
    /// An API server that doesn't answer is passed over: there are tests that end with one.
    pub(crate) async fn holds_no_key(&self, metrics: &str) {
        let mut told = Told::of(metrics);
        let mut paths = vec![format!("{}/clusterissuers", self.group)];
        let namespaces = self.namespaces.lock().unwrap().clone();
        for namespace in &namespaces {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
            for secret in api.list(&ListParams::default()).await.into_iter().flatten() {
                for (_, value) in secret.data.into_iter().flatten() {
                    held().add(&value.0);
                }
            }
            for kind in ["certificates", "issuers", "servedchecks"] {
                paths.push(format!("{}/namespaces/{namespace}/{kind}", self.group));
            }
            paths.push(format!(
                "/apis/events.k8s.io/v1/namespaces/{namespace}/events"
            ));
            for kind in ["deployments", "statefulsets", "daemonsets"] {
                paths.push(format!("/apis/apps/v1/namespaces/{namespace}/{kind}"));
            }
        }
        for path in paths {
            let request = http::Request::get(&path).body(Vec::new()).unwrap();
            if let Ok(text) = self.client.request_text(request).await {
                told.add(&text);
            }
        }
        let keys = held();
        assert!(
            !keys.are_in(&told),
            "a key was told in an object or a metric"
        );
        assert!(!keys.are_in(&logged()), "a key was told in a log");
    }
}
