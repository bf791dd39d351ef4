//! One namespace in which something happens once, and how it must end.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use certwright_core::api::{Certificate, ConditionStatus, condition as conditions};
use certwright_core::rollout::{Source, mark_key};
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, PostParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::fault::{Call, Fault, Faults, Shot};
use crate::harness::{Held, Scene, condition};

const POLL: Duration = Duration::from_millis(400);
/// A watch that keeps failing is taken up again after half a minute at most, and may have to be twice.
const PATIENCE: Duration = Duration::from_secs(200);

/// One namespace in which something happens once.
pub(crate) struct Case<'c> {
    pub(crate) scene: Scene<'c>,
    pub(crate) faults: Faults,
    /// The step in which a call fails, from 0, and which call.
    pub(crate) shot: Option<(usize, Shot)>,
}

/// What a case has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// How many certificates were issued.
    pub(crate) revision: i64,
    /// How many repairs there may have been.
    pub(crate) repairs: usize,
    /// How often the Deployment was rolled; `None` if there is none.
    pub(crate) rolls: Option<usize>,
    /// Why nothing is being issued.
    pub(crate) because: &'static str,
    /// Whether the pair before is kept.
    pub(crate) kept: bool,
}

impl Outcome {
    /// So many certificates, and nothing else.
    pub(crate) fn issued(revision: i64) -> Self {
        Self {
            revision,
            repairs: 0,
            rolls: None,
            because: "UpToDate",
            kept: false,
        }
    }
}

/// A CA that two cases can't tell apart: it is made once.
pub(crate) struct Root {
    certificate: String,
    key: String,
}

pub(crate) static ROOT: LazyLock<Root> = LazyLock::new(|| Root::new("Root"));
pub(crate) static NEXT_ROOT: LazyLock<Root> = LazyLock::new(|| Root::new("Next Root"));

impl Root {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        Self {
            certificate: parameters.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// What stands in `ca.crt` of those who trust it.
    pub(crate) fn facts(&self) -> Vec<certwright_core::pki::Facts> {
        certwright_core::pki::chain::read_pem(self.certificate.as_bytes()).unwrap()
    }
}

impl Case<'_> {
    pub(crate) fn namespace(&self) -> &str {
        &self.scene.namespace
    }

    pub(crate) fn name(&self) -> String {
        match &self.shot {
            None => "without a fault".to_owned(),
            Some((step, shot)) => format!("step {step}, {shot}, in {}", self.namespace()),
        }
    }

    /// Begins a step: the calls from here on are its own.
    pub(crate) fn arm(&self, step: usize) {
        let shot = self.shot.as_ref().filter(|(at, _)| *at == step);
        self.faults
            .arm(self.namespace(), shot.map(|(_, shot)| shot.clone()));
    }

    /// Whether the API server refuses for good to have the pair before kept.
    pub(crate) fn keeps_nothing(&self) -> bool {
        let keeps = Call::new("PATCH", "/api/v1/secrets/previous-");
        let shot = self.shot.as_ref().map(|(_, shot)| shot);
        shot.is_some_and(|shot| shot.call == keeps && shot.fault == Fault::Refused(422))
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.faults.calls(self.namespace())
    }

    /// How often this Secret was written, whether the operator knows it or not.
    pub(crate) fn writes_of(&self, secret: &str) -> usize {
        let write = Call::new("PATCH", format!("/api/v1/secrets/{secret}"));
        self.faults.done(self.namespace(), &write)
    }

    /// Puts this CA into the Secret `ca`.
    pub(crate) async fn put_ca(&self, root: &Root) {
        self.scene
            .apply(&json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": "ca" },
                "type": "kubernetes.io/tls",
                "stringData": { "tls.crt": root.certificate, "tls.key": root.key },
            }))
            .await;
    }

    pub(crate) async fn put_issuer(&self) {
        self.scene
            .issuer("ca", json!({ "ca": { "secretName": "ca" } }))
            .await;
    }

    /// The CA, an Issuer that is ready, and no call under way.
    pub(crate) async fn issuer(&self) {
        self.put_ca(&ROOT).await;
        self.put_issuer().await;
        self.until(async || self.issuer_is_ready().await).await;
        self.rest().await;
    }

    /// The Certificate `web`.
    pub(crate) async fn put_certificate(&self, more: Value) {
        let mut spec = json!({ "dnsNames": ["web.example.com"] });
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.scene.certificate("web", spec).await;
    }

    /// The Deployment `web`, which reads the Secret.
    pub(crate) async fn put_deployment(&self) {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": {
                        "containers": [{ "name": "web", "image": "example.com/web" }],
                        "volumes": [{ "name": "tls", "secret": { "secretName": "web-tls" } }],
                    },
                },
            },
        }))
        .unwrap();
        self.scene
            .api::<Deployment>()
            .create(&PostParams::default(), &deployment)
            .await
            .unwrap();
    }

    pub(crate) async fn issuer_is_ready(&self) -> Result<(), String> {
        let issuer = self
            .scene
            .issuers()
            .get("ca")
            .await
            .map_err(|e| e.to_string())?;
        let status = issuer.status.unwrap_or_default();
        let ready = conditions::find(&status.conditions, "Ready");
        if ready.is_some_and(|ready| ready.status == ConditionStatus::True) {
            Ok(())
        } else {
            Err(format!("Issuer: {ready:?}"))
        }
    }

    /// Whether the Certificate stands as it must: the Secret holds a pair that fits, and everything tells the same.
    pub(crate) async fn stands(&self, outcome: Outcome) -> Result<Held, String> {
        let Outcome {
            revision,
            repairs,
            rolls,
            because,
            kept,
        } = outcome;
        let web = self
            .scene
            .certificates()
            .get("web")
            .await
            .map_err(|e| e.to_string())?;
        let status = web.status.clone().unwrap_or_default();
        ensure(
            reads(&web, "Ready", ConditionStatus::True, "Ready")
                && reads(&web, "Issuing", ConditionStatus::False, because),
            "Ready",
            &status,
        )?;
        ensure(status.revision == Some(revision), "revision", &status)?;
        ensure(status.last_failure.is_none(), "no failure", &status)?;
        ensure(status.previous.is_some() == kept, "what is kept", &status)?;
        let held = self.held(kept).await?;
        let fingerprint = held.leaf().fingerprint.to_string();
        ensure(
            status.fingerprint.as_ref() == Some(&fingerprint),
            "fingerprint",
            &status,
        )?;
        let marked = held.annotation(&self.scene.group.key("revision"));
        ensure(
            marked == Some(&revision.to_string()),
            "revision on the Secret",
            &marked,
        )?;
        if let Some(rolls) = rolls {
            self.rolled(&web, &fingerprint, rolls).await?;
        }
        self.told(&web, revision, repairs, rolls.unwrap_or_default())
            .await?;
        Ok(held)
    }

    /// The only Secret beside the CA's, but for one that keeps the pair before. Its certificate fits its key, says what was asked
    /// for, and its chain is whole.
    async fn held(&self, kept: bool) -> Result<Held, String> {
        let secrets = self
            .scene
            .api::<Secret>()
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let (beside, names): (Vec<&str>, Vec<&str>) = secrets
            .iter()
            .filter_map(|secret| secret.metadata.name.as_deref())
            .partition(|name| name.starts_with("previous-"));
        ensure(names == ["ca", "web-tls"], "one Secret", &names)?;
        ensure(beside.len() == usize::from(kept), "one that keeps", &beside)?;
        let held = self.scene.holds("web-tls", "whole", |_| true).await;
        let leaf = held.leaf();
        ensure(
            leaf.names.dns.iter().eq(["web.example.com"]),
            "names",
            &leaf.names.dns,
        )?;
        let signed = held.ca.iter().any(|root| leaf.is_signed_by(root));
        ensure(signed, "a chain to ca.crt", &())?;
        Ok(held)
    }

    /// Whether the Deployment runs with this certificate, after so many rolls.
    async fn rolled(
        &self,
        web: &Certificate,
        fingerprint: &str,
        rolls: usize,
    ) -> Result<(), String> {
        let deployment = self
            .scene
            .api::<Deployment>()
            .get("web")
            .await
            .map_err(|e| e.to_string())?;
        let key = mark_key(&self.scene.group, &Source::secret("web-tls"));
        let template = deployment.spec.unwrap_or_default().template.metadata;
        let marks = [template, Some(deployment.metadata)]
            .map(|metadata| metadata?.annotations?.get(&key).cloned());
        ensure(
            marks
                .iter()
                .any(|mark| mark.as_deref() == Some(fingerprint)),
            "marks",
            &marks,
        )?;
        let rollout = web
            .status
            .as_ref()
            .and_then(|status| status.rollout.as_ref());
        ensure(
            rollout.is_some_and(|rollout| {
                rollout.fingerprint.as_deref() == Some(fingerprint) && rollout.up_to_date == 1
            }) && reads(web, "RolledOut", ConditionStatus::True, "RolledOut"),
            "status.rollout",
            &web.status,
        )?;
        // Its Pods serve nothing. That they were looked at comes after all else.
        let served = condition(web, "Served");
        ensure(
            served.is_some_and(|served| served.message.contains("names no port")),
            "looked at",
            &served,
        )?;
        let sets = self
            .scene
            .api::<ReplicaSet>()
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        ensure(sets.items.len() == 1 + rolls, "rolls", &sets.items.len())
    }

    /// Whether nothing was told twice. What was told may have been lost.
    async fn told(
        &self,
        web: &Certificate,
        revision: i64,
        repairs: usize,
        rolls: usize,
    ) -> Result<(), String> {
        let reasons = self.scene.event_reasons("web").await;
        let count = |reason: &str| reasons.iter().filter(|told| *told == reason).count();
        let issued = usize::try_from(revision).unwrap();
        let known = count("Issued")
            + count("Repaired")
            + count("RolledOut")
            + count("SecretRefused")
            + count("PreviousNotKept");
        let right = count("Issued") <= issued
            && count("Repaired") <= repairs
            && count("RolledOut") <= rolls
            && count("SecretRefused") <= 1
            && count("PreviousNotKept") <= 1
            && known == reasons.len();
        ensure(right, "Events", &(reasons, &web.status))
    }

    /// The Certificate's status, as text.
    pub(crate) async fn status(&self) -> String {
        match self.scene.certificates().get_opt("web").await {
            Ok(web) => format!("{:?}", web.map(|web| web.status)),
            Err(problem) => problem.to_string(),
        }
    }

    /// Waits until nothing has been asked for here for much longer than the operator waits after a first failure.
    pub(crate) async fn rest(&self) {
        const STILL: Duration = Duration::from_millis(2500);
        let mut still_since = Instant::now();
        let mut before = self.calls().len();
        while still_since.elapsed() < STILL {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let count = self.calls().len();
            if count != before || self.faults.is_failing(self.namespace()) {
                still_since = Instant::now();
            }
            before = count;
        }
    }

    /// Looks again and again, until it is so; panics with what is in the way if it takes too long.
    pub(crate) async fn until<T>(&self, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
        match self.eventually(&mut probe).await {
            Ok(found) => found,
            Err(problem) => panic!("{problem}"),
        }
    }

    /// The same, for a caller that collects what goes wrong.
    pub(crate) async fn eventually<T>(
        &self,
        probe: &mut impl AsyncFnMut() -> Result<T, String>,
    ) -> Result<T, String> {
        let start = Instant::now();
        loop {
            match probe().await {
                Ok(found) => return Ok(found),
                Err(stands) if start.elapsed() > PATIENCE => {
                    let calls: Vec<_> = self.calls().iter().map(ToString::to_string).collect();
                    return Err(format!("{}: not {stands}\ncalls: {calls:#?}", self.name()));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// How far the clock goes between a CA's replacement and the end of its overlap.
pub(crate) const PAST_OVERLAP: SignedDuration = SignedDuration::from_hours(2);
/// How far the clock goes between the last certificate of the old CA and the end of its root.
pub(crate) const SERVERS_HAVE_READ: SignedDuration = SignedDuration::from_mins(6);
/// How far the clock goes until a certificate of 90 days is due.
pub(crate) const UNTIL_DUE: SignedDuration = SignedDuration::from_hours(61 * 24);

/// Whether a condition says this about the present generation.
pub(crate) fn reads(
    certificate: &Certificate,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
) -> bool {
    let generation = certificate.metadata.generation;
    let observed = certificate
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    observed == generation
        && condition(certificate, type_).is_some_and(|said| {
            said.status == status && said.reason == reason && said.observed_generation == generation
        })
}

fn ensure(holds: bool, what: &str, stands: &impl std::fmt::Debug) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("{what}: {stands:?}"))
    }
}
