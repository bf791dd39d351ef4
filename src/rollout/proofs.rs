//! What was seen of what is served, for as long as this replica leads.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, MutexGuard, PoisonError};

use certwright_core::rollout::{
    Held, Host, Ingress, Outcome, Proven, SourceName, Verdict, WorkloadName, look_again,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::Surroundings;
use super::context::Context;
use super::paced::Readers;

/// What is looked at for a Certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Target {
    /// The Pods of a workload, and their Services.
    Workload(WorkloadName),
    /// A host that an Ingress names.
    Host {
        /// The Ingress.
        ingress: String,
        /// The host.
        host: String,
    },
}

/// What was seen of one.
#[derive(Clone, Debug)]
struct Proof {
    /// The certificate that was to be seen.
    fingerprint: String,
    /// The version of the workload, or of the Ingress, that was looked at.
    version: String,
    /// What came of it; `None` as long as it may still change by itself.
    verdict: Option<Verdict>,
    /// How often it was not seen to be served since it last was.
    tries: u32,
    /// When to look again.
    next: Timestamp,
}

/// What was seen of what is served.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    of: HashMap<SourceName, BTreeMap<Target, Proof>>,
    /// Which certificate all were seen to serve, of each Secret.
    served: HashMap<SourceName, String>,
    /// Since when this replica leads.
    since: Timestamp,
    random: RandomState,
}

/// A look that has ended.
pub(super) struct Looked {
    pub(super) target: Target,
    pub(super) version: String,
    pub(super) verdict: Verdict,
}

impl Proofs {
    /// When a target is to be looked at for this certificate; `None`: it was not looked at in this version yet.
    fn next(
        &self,
        secret: &SourceName,
        fingerprint: &str,
        target: &Target,
        version: &str,
    ) -> Option<Timestamp> {
        let proof = self.of.get(secret)?.get(target)?;
        (proof.fingerprint == fingerprint && proof.version == version).then_some(proof.next)
    }

    /// What was seen of a target for this certificate.
    fn verdict(&self, secret: &SourceName, fingerprint: &str, target: &Target) -> Option<&Verdict> {
        let proof = self.of.get(secret)?.get(target)?;
        proof
            .verdict
            .as_ref()
            .filter(|_| proof.fingerprint == fingerprint)
    }

    /// Takes note of what was seen for the certificate, which may be on its way into files until it `settles`, if it still is;
    /// the next look at what serves it follows after `interval`. Answers whether it is another verdict than before.
    pub(super) fn saw(
        &mut self,
        now: Timestamp,
        secret: &SourceName,
        fingerprint: &str,
        settles: Option<Timestamp>,
        interval: SignedDuration,
        looked: Looked,
    ) -> bool {
        let Looked {
            target,
            version,
            verdict,
        } = looked;
        let proofs = self.of.entry(secret.clone()).or_default();
        let before = proofs
            .get(&target)
            .filter(|proof| proof.fingerprint == fingerprint);
        let outcome = verdict.outcome;
        let tries = match before {
            Some(before) if outcome != Outcome::Served => before.tries.saturating_add(1),
            _ => 0,
        };
        let wait = look_again(outcome, tries, interval);
        let known = before.and_then(|before| before.verdict.clone());
        let verdict = Some(verdict).filter(|_| settles.is_none() || outcome != Outcome::Stale);
        let next = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let news = verdict != known;
        let proof = Proof {
            fingerprint: fingerprint.to_owned(),
            version,
            verdict,
            tries,
            next: settles.map_or(next, |settles| settles.min(next)),
        };
        proofs.insert(target, proof);
        news
    }

    /// Takes note that all were seen to serve the certificate. Answers whether that is known for the first time.
    pub(super) fn all_serve(&mut self, secret: &SourceName, fingerprint: &str) -> bool {
        let before = self.served.insert(secret.clone(), fingerprint.to_owned());
        before.as_deref() != Some(fingerprint)
    }

    /// Forgets what was seen of all others than these.
    pub(super) fn keep(&mut self, secret: &SourceName, targets: impl Fn(&Target) -> bool) {
        if let Some(proofs) = self.of.get_mut(secret) {
            proofs.retain(|target, _| targets(target));
            if proofs.is_empty() {
                self.of.remove(secret);
                self.served.remove(secret);
            }
        }
    }

    /// When a target is first to be looked at of which somebody who led before has told what is served there: within
    /// `window` of the beginning of this term, so that not all are looked at together.
    fn first_look(&self, target: &Target, window: SignedDuration) -> Timestamp {
        let share = self.random.hash_one(target) % 1000;
        let wait = window / 1000 * i32::try_from(share).unwrap_or_default();
        self.since.saturating_add(wait).unwrap_or(Timestamp::MAX)
    }
}

impl<S: Surroundings> Context<S> {
    pub(super) fn proofs(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This replica has come to lead: everything is looked at, and nothing was seen yet.
    pub(super) fn begin_term(&self) {
        *self.proofs() = Proofs {
            since: self.surroundings.now(),
            ..Proofs::default()
        };
        self.wake_all();
    }

    /// The hosts that are to show a Secret's certificate, each with the Ingress that says so.
    pub(super) fn hosts(&self, secret: &SourceName) -> Vec<(Target, Arc<Ingress>)> {
        let ingresses = self.ingresses.of(secret).into_iter();
        let looked_at = |ingress: &Arc<Ingress>| {
            let ports = ingress.ports(&self.group);
            !matches!(ports, Ok(ports) if ports.is_empty())
        };
        let hosts = ingresses.filter(looked_at).flat_map(|ingress| {
            let hosts = ingress.hosts.get(&secret.source.name).cloned();
            hosts.into_iter().flatten().map(move |host| {
                let name = ingress.name_any();
                (
                    Target::Host {
                        ingress: name,
                        host,
                    },
                    Arc::clone(&ingress),
                )
            })
        });
        hosts.collect()
    }

    /// What was found out about what serves a Secret's certificate.
    pub(super) fn proven(&self, secret: &SourceName, held: &Held, readers: &Readers) -> Proven {
        if self.probing.is_none() {
            return Proven::default();
        }
        let proofs = self.proofs();
        let verdict = |target: &Target| proofs.verdict(secret, &held.fingerprint, target).cloned();
        let workloads = readers.workloads().filter_map(|workload| {
            let name = WorkloadName::from(&**workload);
            let verdict = verdict(&Target::Workload(name.clone()))?;
            Some((name, verdict))
        });
        let hosts = self.hosts(secret).into_iter().filter_map(|(target, _)| {
            let verdict = verdict(&target);
            match target {
                Target::Host { ingress, host } => Some(Host {
                    name: host,
                    ingress,
                    verdict,
                }),
                Target::Workload(_) => None,
            }
        });
        Proven {
            refused: None,
            workloads: workloads.collect(),
            hosts: hosts.collect(),
        }
    }

    /// When a target is to be looked at for the certificate; `None` if it was not looked at yet. What `was_told` by whoever led
    /// before counts for a while, at most for `window`.
    pub(super) fn next_look(
        &self,
        secret: &SourceName,
        held: &Held,
        (target, version): (&Target, &str),
        was_told: bool,
        window: SignedDuration,
    ) -> Option<Timestamp> {
        let proofs = self.proofs();
        let known = proofs.next(secret, &held.fingerprint, target, version);
        known.or_else(|| was_told.then(|| proofs.first_look(target, window)))
    }
}

#[cfg(test)]
mod tests {
    use certwright_core::rollout::Source;

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn secret() -> SourceName {
        Source::secret("web-tls").within("shop")
    }

    fn target(host: &str) -> Target {
        Target::Host {
            ingress: "web".to_owned(),
            host: host.to_owned(),
        }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-02T{text}Z").parse().unwrap()
    }

    fn looked(outcome: Outcome) -> Looked {
        Looked {
            target: target("a"),
            version: "1".to_owned(),
            verdict: Verdict {
                outcome,
                stale: 0,
                message: None,
            },
        }
    }

    #[test]
    fn what_was_seen_holds_for_its_certificate_and_version() {
        let mut proofs = Proofs::default();
        let (secret, now) = (secret(), at("12:00:00"));
        let next = |proofs: &Proofs, fingerprint: &str, version: &str| {
            proofs.next(&secret, fingerprint, &target("a"), version)
        };
        assert_eq!(next(&proofs, "new", "1"), None);
        assert!(proofs.saw(now, &secret, "new", None, HOUR, looked(Outcome::Served)));
        assert!(
            !proofs.saw(now, &secret, "new", None, HOUR, looked(Outcome::Served)),
            "no news"
        );
        assert_eq!(next(&proofs, "new", "1"), Some(at("13:00:00")));
        assert_eq!(next(&proofs, "newer", "1"), None);
        assert_eq!(next(&proofs, "new", "2"), None, "it was changed since");
        let verdict = |proofs: &Proofs, fingerprint: &str| {
            let verdict = proofs.verdict(&secret, fingerprint, &target("a"));
            verdict.map(|verdict| verdict.outcome)
        };
        assert_eq!(verdict(&proofs, "new"), Some(Outcome::Served));
        assert_eq!(verdict(&proofs, "newer"), None);
        proofs.keep(&secret, |known| *known != target("a"));
        assert_eq!(verdict(&proofs, "new"), None);
        assert!(proofs.of.is_empty());
    }

    #[test]
    fn what_may_not_have_reached_all_files_yet_is_not_stale() {
        let mut proofs = Proofs::default();
        let (secret, now) = (secret(), at("12:00:00"));
        assert!(!proofs.saw(
            now,
            &secret,
            "new",
            Some(at("12:00:03")),
            HOUR,
            looked(Outcome::Stale)
        ));
        assert_eq!(proofs.verdict(&secret, "new", &target("a")), None);
        let again = proofs.next(&secret, "new", &target("a"), "1");
        assert_eq!(again, Some(at("12:00:03")), "as soon as it has");
        assert!(proofs.saw(now, &secret, "new", None, HOUR, looked(Outcome::Stale)));
        let again = proofs.next(&secret, "new", &target("a"), "1");
        assert_eq!(again, Some(at("12:00:10")), "ever later");
        assert!(proofs.saw(now, &secret, "new", None, HOUR, looked(Outcome::Served)));
        assert!(proofs.saw(now, &secret, "new", None, HOUR, looked(Outcome::Unknown)));
        let again = proofs.next(&secret, "new", &target("a"), "1");
        assert_eq!(again, Some(at("12:00:10")), "and sooner once it was served");
    }

    #[test]
    fn first_looks_are_spread_over_their_window() {
        let proofs = Proofs {
            since: at("12:00:00"),
            ..Proofs::default()
        };
        let looks = (0..200).map(|host| proofs.first_look(&target(&host.to_string()), HOUR));
        let looks: Vec<_> = looks.collect();
        assert!(
            looks
                .iter()
                .all(|look| (at("12:00:00")..at("13:00:00")).contains(look))
        );
        assert!(looks.iter().any(|look| *look < at("12:20:00")), "{looks:?}");
        assert!(looks.iter().any(|look| *look > at("12:40:00")), "{looks:?}");
    }
}
