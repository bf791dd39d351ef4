//! The operator's own addresses: seen, and written wherever a way in leads to them.

use std::collections::BTreeMap;
use std::time::Duration;

use certwright_core::http01::{Door, Endpoints, Object as Made, Operator};
use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use tracing::warn;

use super::FrontDoor;
use crate::cluster::leadership::Leadership;
use crate::cluster::watched::watched;
use crate::cluster::{CALL_TIMEOUT, front_door as cluster, watch_failed};
use crate::error::{CallError, Error, Object, Retry};

/// How long to wait after the addresses could not be written everywhere; then ever longer...
const PAUSE: Duration = Duration::from_secs(5);
/// ...but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

impl FrontDoor {
    /// Learns where the operator can be reached, and whenever that changes. Never comes back.
    pub async fn watch(&self) {
        let slices: Api<EndpointSlice> =
            Api::namespaced(self.client.clone(), &self.operator.namespace);
        let selector = format!("kubernetes.io/service-name={}", self.operator.service);
        let mut events = watched(slices, watcher::Config::default().labels(&selector)).boxed();
        let mut known: BTreeMap<String, EndpointSlice> = BTreeMap::new();
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(slice)) => {
                    listed.insert(slice.name_any(), slice);
                    continue;
                }
                Ok(Event::InitDone) => known = std::mem::take(&mut listed),
                Ok(Event::Apply(slice)) => {
                    known.insert(slice.name_any(), slice);
                }
                Ok(Event::Delete(slice)) => {
                    known.remove(&slice.name_any());
                }
                Err(problem) => {
                    watch_failed("endpointslices", &problem);
                    continue;
                }
            }
            let endpoints = Some(Endpoints::of(known.values()));
            self.endpoints.send_if_modified(|current| {
                let changed = *current != endpoints;
                if changed {
                    current.clone_from(&endpoints);
                }
                changed
            });
        }
    }

    /// As long as this replica leads, has all EndpointSlices follow the operator's addresses. Never comes back.
    pub async fn follow(&self, leadership: &Leadership) {
        loop {
            let term = leadership.term().await;
            tokio::select! {
                () = term.cancelled() => {}
                () = self.follow_on() => {}
            }
        }
    }

    async fn follow_on(&self) {
        let mut news = self.endpoints.subscribe();
        let mut pause = PAUSE;
        loop {
            let endpoints = news.borrow_and_update().clone();
            let spread = match endpoints {
                Some(endpoints) => self.spread(&endpoints).await,
                None => Ok(()),
            };
            // The sender lives in `self`, so waiting can't fail.
            match spread {
                Ok(()) => {
                    pause = PAUSE;
                    let _ = news.changed().await;
                }
                Err(problem) => {
                    warn!(problem = %problem.told(), "Failed to have EndpointSlices follow the operator");
                    let _ = tokio::time::timeout(pause, news.changed()).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    /// Writes the operator's addresses wherever they are written down to be. What can't be written keeps nothing else
    /// from it.
    async fn spread(&self, endpoints: &Endpoints) -> Result<(), Error> {
        let mut failure = Ok(());
        for object in self.records().await? {
            let Some(record) = self.readable(&object) else {
                continue;
            };
            let certificate = &record.certificate;
            let slices = Door::slices(&self.group, certificate, self.operator.port, endpoints);
            let recorded = |slice: &&Made| record.objects.contains(&slice.reference);
            for slice in slices.iter().filter(recorded) {
                match cluster::renew(&self.client, &self.group, slice).await {
                    // Its namespace is going.
                    Err(problem) if problem.retry() == Retry::Gone => {}
                    Err(problem) => failure = Err(problem),
                    Ok(()) => {}
                }
            }
        }
        failure
    }

    /// Where the operator can be reached. At a start it takes a moment until that is seen.
    pub(super) async fn known_endpoints(&self) -> Result<Endpoints, Error> {
        let mut endpoints = self.endpoints.subscribe();
        let known = endpoints.wait_for(Option::is_some);
        let known = tokio::time::timeout(CALL_TIMEOUT, known).await;
        let known = known.ok().and_then(Result::ok);
        known.and_then(|known| known.clone()).ok_or_else(|| {
            let Operator {
                namespace, service, ..
            } = &self.operator;
            Error::Read {
                object: Object::new("EndpointSlices of Service", namespace, service),
                source: CallError::TimedOut(CALL_TIMEOUT),
            }
        })
    }
}
