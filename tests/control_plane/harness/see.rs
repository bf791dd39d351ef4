//! Looking at what is there, and waiting for it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use certwright_core::api::{
    Certificate, Condition, ConditionStatus, Issuer, condition as conditions,
};
use certwright_core::pki::{Facts, PrivateKey, chain};
use certwright_test_cluster::AuditEvent;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Scene, telling};

/// How long anything may take. Nothing that is waited for should take a tenth of it; machines may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Asks until the answer is `Ok`, and fails with the last `Err`, which says how things stood.
pub(crate) async fn eventually<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(stands) if start.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} in vain for this: {what}\n{stands}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// The condition of this type.
pub(crate) fn condition<'a>(certificate: &'a Certificate, type_: &str) -> Option<&'a Condition> {
    conditions::find(&certificate.status.as_ref()?.conditions, type_)
}

/// Whether a condition says this about the present generation.
pub(crate) fn reads(
    certificate: &Certificate,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
) -> bool {
    let generation = certificate.metadata.generation;
    certificate
        .status
        .as_ref()
        .is_some_and(|status| status.observed_generation == generation)
        && condition(certificate, type_).is_some_and(|condition| {
            condition.status == status
                && condition.reason == reason
                && condition.observed_generation == generation
        })
}

/// A Secret and what is in it.
pub(crate) struct Held {
    pub(crate) secret: Secret,
    pub(crate) key: PrivateKey,
    /// `tls.crt`.
    pub(crate) chain: Vec<Facts>,
    /// `ca.crt`.
    pub(crate) ca: Vec<Facts>,
}

impl Held {
    /// What it holds, or why that is no pair.
    pub(crate) fn read(secret: Secret) -> Result<Self, String> {
        // It may be replaced before the operator ends, and is to be told nowhere all the same.
        telling::held().add(bytes(&secret, "tls.key"));
        let key = PrivateKey::from_pem(bytes(&secret, "tls.key")).map_err(|e| e.to_string())?;
        let certificates =
            |name| chain::read_pem(bytes(&secret, name)).map_err(|problem| problem.to_string());
        let (chain, ca) = (certificates("tls.crt")?, certificates("ca.crt")?);
        if *key.public() != chain[0].public_key {
            return Err("the key doesn't fit".to_owned());
        }
        Ok(Self {
            secret,
            key,
            chain,
            ca,
        })
    }

    pub(crate) fn leaf(&self) -> &Facts {
        &self.chain[0]
    }

    pub(crate) fn serial(&self) -> String {
        self.leaf().serial_hex()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.secret
            .metadata
            .labels
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.secret
            .metadata
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    pub(crate) fn data(&self, key: &str) -> Option<&[u8]> {
        Some(&self.secret.data.as_ref()?.get(key)?.0)
    }
}

fn bytes<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    let found = secret.data.as_ref().and_then(|data| data.get(key));
    found.map_or(&[], |bytes| &bytes.0)
}

impl Scene<'_> {
    /// Waits until an object is as `holds` wants it.
    pub(crate) async fn wait<K>(
        &self,
        api: &Api<K>,
        name: &str,
        what: &str,
        holds: impl Fn(&K) -> bool,
    ) -> K
    where
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        eventually(&format!("{name}: {what}"), async || {
            match api.get_opt(name).await {
                Ok(Some(object)) if holds(&object) => Ok(object),
                Ok(object) => {
                    let object = serde_yaml::to_string(&object).unwrap_or_default();
                    Err(format!("{object}\nEvents:\n{}", self.told().await))
                }
                Err(problem) => Err(problem.to_string()),
            }
        })
        .await
    }

    /// Waits until a Certificate is as `holds` wants it.
    pub(crate) async fn sees(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Certificate) -> bool,
    ) -> Certificate {
        self.wait(&self.certificates(), name, what, holds).await
    }

    /// Waits until a Certificate is ready, as `kubectl wait` or kstatus would have it.
    pub(crate) async fn ready(&self, name: &str) -> Certificate {
        self.says(name, "Ready", ConditionStatus::True, "Ready")
            .await
    }

    /// Waits until a condition of a Certificate says this, about its present spec.
    pub(crate) async fn says(
        &self,
        name: &str,
        type_: &str,
        status: ConditionStatus,
        reason: &str,
    ) -> Certificate {
        let what = format!("{type_} {status:?} {reason}");
        self.sees(name, &what, |certificate| {
            reads(certificate, type_, status, reason)
        })
        .await
    }

    /// Waits until `Ready` is False for this reason, and returns the message.
    pub(crate) async fn refused(&self, name: &str, reason: &str) -> String {
        let certificate = self
            .says(name, "Ready", ConditionStatus::False, reason)
            .await;
        condition(&certificate, "Ready").unwrap().message.clone()
    }

    /// Waits until a Certificate is ready and holds another certificate than before.
    pub(crate) async fn renewed(&self, before: &Certificate) -> Certificate {
        let name = before.metadata.name.as_deref().unwrap();
        let serial = &before.status.as_ref().unwrap().serial_number;
        self.sees(name, "renewed", |certificate| {
            certificate.status.as_ref().unwrap().serial_number != *serial
                && reads(certificate, "Ready", ConditionStatus::True, "Ready")
        })
        .await
    }

    /// Waits until an Issuer's `Ready` says this, and returns the message.
    pub(crate) async fn issuer_says(&self, name: &str, status: &str, reason: &str) -> String {
        let what = format!("Ready {status} {reason}");
        let says = |issuer: &Issuer| {
            let found = issuer.status.as_ref()?;
            let ready = conditions::find(&found.conditions, "Ready")?;
            let says = found.observed_generation == issuer.metadata.generation
                && format!("{:?}", ready.status) == status
                && ready.reason == reason;
            says.then(|| ready.message.clone())
        };
        let issuer = self
            .wait(&self.issuers(), name, &what, |issuer| {
                says(issuer).is_some()
            })
            .await;
        says(&issuer).unwrap()
    }

    /// A Secret that holds a pair.
    pub(crate) async fn held(&self, name: &str) -> Held {
        let secret = self.api::<Secret>().get(name).await.unwrap();
        Held::read(secret).unwrap_or_else(|problem| panic!("Secret {name}: {problem}"))
    }

    /// Waits until a Secret holds a pair that is as `holds` wants it.
    pub(crate) async fn holds(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Held) -> bool,
    ) -> Held {
        eventually(&format!("Secret {name}: {what}"), async || {
            let secret = self
                .api::<Secret>()
                .get(name)
                .await
                .map_err(|e| e.to_string())?;
            let shown = format!(
                "{:?}, keys {:?}",
                secret.metadata,
                secret
                    .data
                    .as_ref()
                    .map(|data| data.keys().collect::<Vec<_>>())
            );
            match Held::read(secret) {
                Ok(held) if holds(&held) => Ok(held),
                Ok(_) => Err(format!("{shown}\n{}", self.told().await)),
                Err(problem) => Err(format!("{problem}: {shown}\n{}", self.told().await)),
            }
        })
        .await
    }

    /// The Events about an object of the user's namespace, oldest first.
    pub(crate) async fn events(&self, name: &str) -> Vec<Event> {
        let mut events = self
            .api::<Event>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items;
        events.retain(|event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|about| about.name.as_deref() == Some(name))
                && event
                    .reporting_controller
                    .as_deref()
                    .is_some_and(|by| by.starts_with(&self.account))
        });
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        events
    }

    /// Waits until exactly these are the reasons of the Events about an object, oldest first: some come after the status
    /// that they tell of.
    pub(crate) async fn tells(&self, name: &str, reasons: &[&str]) {
        eventually(&format!("Events about {name}: {reasons:?}"), async || {
            let told = self.event_reasons(name).await;
            if told == reasons {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await;
    }

    /// Their reasons.
    pub(crate) async fn event_reasons(&self, name: &str) -> Vec<String> {
        let events = self.events(name).await;
        events
            .into_iter()
            .filter_map(|event| event.reason)
            .collect()
    }

    async fn told(&self) -> String {
        let events = match self.api::<Event>().list(&ListParams::default()).await {
            Ok(events) => events,
            Err(problem) => return problem.to_string(),
        };
        let line = |event: &Event| {
            let about = event
                .regarding
                .as_ref()
                .and_then(|about| about.name.as_deref());
            format!("{about:?} {:?}: {:?}\n", event.reason, event.note)
        };
        events.iter().map(line).collect()
    }

    /// The requests that the operator has made so far, by the API server's own record.
    pub(crate) fn calls(&self) -> Vec<AuditEvent> {
        let user = self.username();
        let log = std::fs::read_to_string(self.cluster.folder().join("audit.log")).unwrap();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole
            .lines()
            .filter(|line| line.contains(&user))
            .map(|line| serde_json::from_str::<AuditEvent>(line).unwrap())
            .filter(|event| event.user.username == user)
            .collect()
    }

    /// What of that were writes, in the order in which they came in, as `resource/subresource name`, refused ones with
    /// their code.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut writes: Vec<_> = self
            .calls()
            .into_iter()
            .filter(AuditEvent::is_write)
            .collect();
        // The log has them as their records were done, and one that was answered may be recorded after the next.
        writes.sort_by(|a, b| {
            a.request_received_timestamp
                .cmp(&b.request_received_timestamp)
        });
        let said = |call: AuditEvent| {
            let object = call.object_ref.clone().unwrap_or_default();
            let sub = if object.subresource.is_empty() {
                ""
            } else {
                "/"
            };
            let refused = if call.code() < 300 {
                String::new()
            } else {
                format!(" {}", call.code())
            };
            // Names of Events are made up, and a creation has none here.
            let name = if object.resource == "events" {
                ""
            } else {
                object.name.as_str()
            };
            format!(
                "{}{sub}{} {name}{refused}",
                object.resource, object.subresource
            )
            .trim_end()
            .to_owned()
        };
        writes.into_iter().map(said).collect()
    }
}
