//! The way from the cluster's front door to the responder: made when a CA is about to ask, and taken away.
//!
//! What is about to be made is written down first, in the operator's namespace, and struck out once it is gone. So
//! nothing is left over, whenever the operator stops and whatever becomes of the Certificate meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use certwright_core::api::Group;
use certwright_core::api::issuer::Http01;
use certwright_core::http01::{
    Challenge, Door, Endpoints, Kind, Object as Made, Operator, Owner, Record, Reference, Refused,
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{Mutex, RwLock, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::cluster::leadership::Leadership;
use crate::cluster::watched::watched;
use crate::cluster::{CALL_TIMEOUT, front_door as cluster, watch_failed};
use crate::error::{CallError, Error, Object, Retry};

/// How long to wait after the addresses could not be written everywhere; then ever longer...
const PAUSE: Duration = Duration::from_secs(5);
/// ...but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How often ways in are made again while an answer is not seen.
const AGAIN: Duration = Duration::from_secs(10);

/// The ways that are made, and where they lead.
pub struct FrontDoor {
    client: Client,
    group: Group,
    operator: Operator,
    /// Where the operator can be reached; `None` until it was first seen.
    endpoints: watch::Sender<Option<Endpoints>>,
    /// Several Certificates may edit one Ingress, each in its turn.
    edits: Mutex<()>,
    /// What is being made is not swept meanwhile: a record that was struck out half-way would name nothing of the rest.
    making: RwLock<()>,
    /// When the ways in were last made, by the Certificate's uid.
    made: std::sync::Mutex<HashMap<String, Instant>>,
}

/// What is written down for a Certificate.
struct Written {
    /// The object; `None` if there is none.
    was: Option<ConfigMap>,
    /// What it says.
    recorded: Record,
}

/// The challenges that one solver proves.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// How they are led in.
    pub solver: &'a Http01,
    /// Whether the cluster's own people wrote the solver: see [`Door::trusted`].
    pub trusted: bool,
    /// Which.
    pub challenges: &'a [Challenge],
}

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// The solver is not used as it stands.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The Ingress to edit is not there.
    #[error("there is no Ingress {0}, which the solver says to edit")]
    NoIngress(String),
    /// The Gateway API is not installed.
    #[error(
        "the cluster knows no HTTPRoute: install the CRDs of the Gateway API, or let the solver use an ingress"
    )]
    NoHttpRoutes,
    /// The API server refused, or could not be asked.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl FrontDoor {
    /// One that leads to `operator`. Nothing is known of where that is before [`FrontDoor::watch`] runs.
    pub fn new(client: Client, group: Group, operator: Operator) -> Self {
        Self {
            client,
            group,
            operator,
            endpoints: watch::Sender::new(None),
            edits: Mutex::new(()),
            making: RwLock::new(()),
            made: std::sync::Mutex::default(),
        }
    }

    /// Makes the ways in for a Certificate's challenges, and takes away those that were made for others of its own.
    ///
    /// # Errors
    /// When not all are there. What there may be is written down.
    pub async fn present(
        &self,
        certificate: &Owner,
        presented: &[Presented<'_>],
    ) -> Result<(), Closed> {
        let _making = self.making.read().await;
        let mut written = self.read(certificate).await?;
        let mut endpoints = self.known_endpoints().await?;
        let wanted = loop {
            let (wanted, objects) = self.plan(certificate, presented, &endpoints)?;
            self.write_down(&mut written, &wanted).await?;
            for object in objects.values() {
                self.make(object).await?;
            }
            // Whoever spreads new addresses may have been overtaken by what was just written.
            let now = self.known_endpoints().await?;
            if now == endpoints {
                break wanted;
            }
            endpoints = now;
        };
        for edit in &wanted.edits {
            let _turn = self.edits.lock().await;
            match cluster::add_path(&self.client, &self.group, edit).await {
                Err(Error::Read { source, .. }) if source.code() == Some(404) => {
                    let name = format!("{}/{}", edit.namespace, edit.ingress);
                    return Err(Closed::NoIngress(name));
                }
                outcome => outcome?,
            }
        }
        self.settle(written, &wanted).await?;
        self.made().insert(certificate.uid.clone(), Instant::now());
        Ok(())
    }

    /// Adds to the record what is about to be made.
    async fn write_down(&self, written: &mut Written, wanted: &Record) -> Result<(), Error> {
        let both = written.recorded.and(wanted);
        if written.was.is_none() || both != written.recorded {
            let namespace = &self.operator.namespace;
            let was = written.was.as_ref();
            let new = cluster::write_record(&self.client, &self.group, namespace, &both, was);
            *written = Written {
                was: Some(new.await?),
                recorded: both,
            };
        }
        Ok(())
    }

    /// Makes ways in that were made before and taken away by others, such as an operator that undoes what it doesn't know.
    /// Looks only now and then: in between it does nothing.
    ///
    /// # Errors
    /// As [`FrontDoor::present`].
    pub async fn present_again(
        &self,
        certificate: &Owner,
        presented: &[Presented<'_>],
    ) -> Result<(), Closed> {
        let made = self.made().get(&certificate.uid).copied();
        if made.is_some_and(|made| made.elapsed() < AGAIN) {
            return Ok(());
        }
        self.present(certificate, presented).await
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away all that was made for a Certificate.
    ///
    /// # Errors
    /// When something may be left. It stays written down.
    pub async fn clean_up(&self, certificate: &Owner) -> Result<(), Error> {
        let written = self.read(certificate).await?;
        if written.was.is_none() {
            return Ok(());
        }
        let nothing = Record::of(certificate.clone());
        self.settle(written, &nothing).await
    }

    /// Takes away what was made for Certificates that are not `needed` any more: at the start of leading, once all
    /// Certificates are known. Says for how many.
    ///
    /// # Errors
    /// When the records can't be listed, or something may be left. The others are cleaned up nevertheless.
    pub async fn sweep(&self, needed: impl Fn(&Owner) -> bool) -> Result<usize, Error> {
        let mut swept = 0;
        let mut failure = None;
        for object in self.records().await? {
            let Some(recorded) = self.readable(&object) else {
                continue;
            };
            if needed(&recorded.certificate) {
                continue;
            }
            let nothing = Record::of(recorded.certificate.clone());
            let was = Some(object);
            let _alone = self.making.write().await;
            match self.settle(Written { was, recorded }, &nothing).await {
                Ok(()) => swept += 1,
                Err(problem) => failure = Some(problem),
            }
        }
        if swept > 0 {
            info!(certificates = swept, "Took away what was left of HTTP-01");
        }
        failure.map_or(Ok(swept), Err)
    }

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

    fn plan(
        &self,
        certificate: &Owner,
        presented: &[Presented<'_>],
        endpoints: &Endpoints,
    ) -> Result<(Record, BTreeMap<Reference, Made>), Refused> {
        let mut wanted = Record::of(certificate.clone());
        let mut objects = BTreeMap::new();
        for Presented {
            solver,
            trusted,
            challenges,
        } in presented
        {
            let door = Door {
                group: &self.group,
                certificate,
                solver,
                operator: &self.operator,
                trusted: *trusted,
            };
            let (record, made) = door.plan(challenges, endpoints)?;
            wanted = wanted.and(&record);
            objects.extend(made.into_iter().map(|made| (made.reference.clone(), made)));
        }
        Ok((wanted, objects))
    }

    async fn make(&self, object: &Made) -> Result<(), Closed> {
        match cluster::make(&self.client, &self.group, object).await {
            Err(Error::Write { source, .. })
                if object.reference.kind == Kind::HttpRoute && cluster::is_unserved(&source) =>
            {
                Err(Closed::NoHttpRoutes)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Takes away what is recorded and not wanted, and strikes it out.
    async fn settle(&self, written: Written, wanted: &Record) -> Result<(), Error> {
        let Written { was, recorded } = &written;
        let left_over = recorded.without(wanted);
        // The paths first, then what leads somewhere, then where to.
        for edit in &left_over.edits {
            let _turn = self.edits.lock().await;
            cluster::take_out_path(&self.client, &self.group, edit).await?;
        }
        let uid = &recorded.certificate.uid;
        if wanted.is_empty() {
            self.made().remove(uid);
        }
        for reference in left_over.objects.iter().rev() {
            cluster::take_away(&self.client, &self.group, reference, uid).await?;
        }
        let Some(was) = was else {
            return Ok(());
        };
        if wanted.is_empty() {
            cluster::remove_record(&self.client, was).await
        } else if wanted != recorded {
            let namespace = &self.operator.namespace;
            cluster::write_record(&self.client, &self.group, namespace, wanted, Some(was)).await?;
            Ok(())
        } else {
            Ok(())
        }
    }

    async fn read(&self, certificate: &Owner) -> Result<Written, Error> {
        let namespace = &self.operator.namespace;
        let was = cluster::record(&self.client, namespace, &certificate.uid).await?;
        let recorded = was.as_ref().and_then(|was| self.readable(was));
        let recorded = recorded.unwrap_or_else(|| Record::of(certificate.clone()));
        Ok(Written { was, recorded })
    }

    async fn records(&self) -> Result<Vec<ConfigMap>, Error> {
        cluster::records(&self.client, &self.group, &self.operator.namespace).await
    }

    fn readable(&self, object: &ConfigMap) -> Option<Record> {
        match Record::read(object) {
            Ok(record) => Some(record),
            Err(problem) => {
                let object = Object::of("ConfigMap", &object.metadata);
                warn!(%object, %problem, "Can't read what was made for HTTP-01; objects with the label may be left over");
                None
            }
        }
    }

    /// Where the operator can be reached. At a start it takes a moment until that is seen.
    async fn known_endpoints(&self) -> Result<Endpoints, Error> {
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
