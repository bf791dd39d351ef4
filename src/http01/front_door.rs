//! The way from the cluster's front door to the responder: made when a CA is about to ask, and taken away.
//!
//! What is about to be made is written down first, in the operator's namespace, and struck out once it is gone. So
//! nothing is left over, whenever the operator stops and whatever becomes of the Certificate meanwhile.

mod addresses;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use certwright_core::api::Group;
use certwright_core::api::issuer::Http01;
use certwright_core::http01::{
    Challenge, Door, Endpoints, Kind, Object as Made, Operator, Owner, Record, Reference, Refused,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::cluster::front_door as cluster;
use crate::error::{Error, Object};

/// How often ways in are made again for one Certificate, because an answer is not seen or others are asked for.
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
    /// When the ways in were last made, by the Certificate's uid.
    made: std::sync::Mutex<HashMap<String, Instant>>,
    /// Held while ways in are made or taken away, by the Certificate's uid: what is swept away must not be about to be made.
    turns: std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>,
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
            made: std::sync::Mutex::default(),
            turns: std::sync::Mutex::default(),
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
        let _turn = self.turn(certificate).await;
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
        match self.made_lately(certificate) {
            Some(_) => Ok(()),
            None => self.present(certificate, presented).await,
        }
    }

    /// How long to wait before ways in are made again for a Certificate for which some were made a moment ago.
    pub fn made_lately(&self, certificate: &Owner) -> Option<Duration> {
        let made = self.made().get(&certificate.uid).copied()?;
        AGAIN
            .checked_sub(made.elapsed())
            .filter(|wait| !wait.is_zero())
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away all that was made for a Certificate.
    ///
    /// # Errors
    /// When something may be left. It stays written down.
    pub async fn clean_up(&self, certificate: &Owner) -> Result<(), Error> {
        let _turn = self.turn(certificate).await;
        self.take_away(certificate).await
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
            let Some(Record { certificate, .. }) = self.readable(&object) else {
                continue;
            };
            if needed(&certificate) {
                continue;
            }
            let _turn = self.turn(&certificate).await;
            match self.take_away(&certificate).await {
                Ok(()) => swept += 1,
                Err(problem) => failure = Some(problem),
            }
        }
        if swept > 0 {
            info!(certificates = swept, "Took away what was left of HTTP-01");
        }
        failure.map_or(Ok(swept), Err)
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

    async fn turn(&self, certificate: &Owner) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = turns.get(&certificate.uid).and_then(Weak::upgrade);
            waiting.unwrap_or_else(|| {
                turns.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::default();
                turns.insert(certificate.uid.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    /// Takes away all that is recorded.
    async fn take_away(&self, certificate: &Owner) -> Result<(), Error> {
        let written = self.read(certificate).await?;
        if written.was.is_none() {
            return Ok(());
        }
        let nothing = Record::of(certificate.clone());
        self.settle(written, &nothing).await
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
}
