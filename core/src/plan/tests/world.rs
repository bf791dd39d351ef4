//! One Certificate, its Secret and its issuer, and what the shell does with them.

use std::cell::RefCell;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cas::Ca;
use super::secret;
use crate::api::certificate::{IssuerRef, OrderStatus, PreviousStatus, RotationPolicy};
use crate::api::{Certificate, CertificateSpec, CertificateStatus, Condition, Group, condition};
use crate::pki::sign::{self, Locations};
use crate::pki::{Facts, PrivateKey, chain};
use crate::plan::assess::later;
use crate::plan::fallback;
use crate::plan::held_back::{self, Kept, Stays, may_return, worth_keeping};
use crate::plan::intent::{Contents, Metadata};
use crate::plan::marks::{Marks, RENEW};
use crate::plan::request::IssuerName;
use crate::plan::status::{self, Failure, Outcome};
use crate::plan::{
    Assessment, Fallback, Heard, HeldOrder, Inputs, IssueReason, IssuerState, MAX_LOOK_AGAIN,
    Observed, OldLeaves, Plan, ReadyIssuer, Settings, Signer, Turn, Undoes, assess, contents,
    decide, previous,
};

/// A moment such as `2026-11-02` or `2026-11-02T10:00:00Z`.
pub(super) fn at(text: &str) -> Timestamp {
    let whole = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    whole.parse().unwrap()
}

/// So many days as a spec says them.
pub(super) fn days(days: u32) -> String {
    format!("{}h", days * 24)
}

pub(super) enum Issuer {
    Missing,
    NotReady(&'static str),
    NotAllowed,
    Ready(ReadyIssuer),
}

impl Issuer {
    pub(super) fn standing(&self) -> IssuerState<'_> {
        match self {
            Self::Missing => IssuerState::Missing,
            Self::NotReady(message) => IssuerState::NotReady {
                reason: "Expired",
                message,
            },
            Self::NotAllowed => IssuerState::NotAllowed,
            Self::Ready(issuer) => IssuerState::Ready(issuer),
        }
    }
}

/// One Certificate and all that planning for it looks at.
pub(super) struct World {
    pub(super) group: Group,
    pub(super) certificate: Certificate,
    pub(super) secret: Option<Secret>,
    /// What keeps the pair before.
    pub(super) kept: Option<Secret>,
    pub(super) owner: Option<String>,
    pub(super) issuer: Issuer,
    /// The issuers of `fallbackIssuerRefs`.
    pub(super) fallbacks: Vec<Issuer>,
    pub(super) names: Vec<IssuerName>,
    pub(super) turn: Turn,
    pub(super) old_leaves: OldLeaves,
    pub(super) heard: Heard,
    pub(super) settings: Settings,
    /// The issuer refuses with these words.
    pub(super) refuses: Option<&'static str>,
    /// Steps outside the cluster fail so.
    pub(super) fails: Option<Failure>,
    /// What is outside the cluster is not even begun.
    pub(super) cant_begin: Option<Failure>,
    /// Steps outside the cluster come to this, and to no certificate.
    pub(super) goes_on: Option<OrderStatus>,
    /// The next write of the status is lost.
    pub(super) loses_status: bool,
    pub(super) issued: Vec<(Timestamp, IssueReason)>,
    pub(super) tries: usize,
    pub(super) repaired: Vec<Timestamp>,
    pub(super) status_writes: usize,
    seen: RefCell<Option<(Secret, Rc<Observed>)>>,
}

/// What one reconcile came to.
#[derive(Debug)]
pub(super) struct Step {
    /// The plan that was carried out.
    pub(super) plan: Plan,
    /// When the shell comes back by itself.
    pub(super) next: Timestamp,
}

pub(super) struct Given;

impl Given {
    /// A Certificate of this name for `www.example.com` of `Issuer ca`, whose Secret has the same name.
    pub(super) fn certificate(name: &str) -> World {
        let mut certificate = Certificate {
            spec: CertificateSpec {
                secret_name: name.to_owned(),
                issuer_ref: IssuerRef {
                    name: "ca".to_owned(),
                    ..IssuerRef::default()
                },
                dns_names: vec!["www.example.com".to_owned()],
                ..CertificateSpec::default()
            },
            ..Certificate::default()
        };
        certificate.metadata.name = Some(name.to_owned());
        certificate.metadata.namespace = Some("shop".to_owned());
        certificate.metadata.uid = Some("certificate-uid".to_owned());
        certificate.metadata.generation = Some(1);
        World {
            group: Group::default(),
            owner: Some(name.to_owned()),
            certificate,
            secret: None,
            kept: None,
            issuer: Issuer::Missing,
            fallbacks: Vec::new(),
            names: Vec::new(),
            turn: Turn::of(&Certificate::default()),
            old_leaves: OldLeaves::GoneSince(Timestamp::MIN),
            heard: Heard::default(),
            settings: Settings::default(),
            refuses: None,
            fails: None,
            cant_begin: None,
            goes_on: None,
            loses_status: false,
            issued: Vec::new(),
            tries: 0,
            repaired: Vec::new(),
            status_writes: 0,
            seen: RefCell::default(),
        }
    }
}

impl World {
    #[must_use]
    pub(super) fn by(mut self, ca: &Ca) -> Self {
        self.sign_by(ca);
        self
    }

    #[must_use]
    pub(super) fn by_itself(mut self) -> Self {
        self.issuer = Issuer::Ready(ReadyIssuer {
            identity: "self.1".to_owned(),
            signer: Signer::SelfSigned,
        });
        self
    }

    /// Signed outside the cluster, by whoever goes by this name.
    #[must_use]
    pub(super) fn by_an_outsider(mut self, identity: &str) -> Self {
        self.issuer = Issuer::Ready(ReadyIssuer {
            identity: identity.to_owned(),
            signer: Signer::Outside,
        });
        self
    }

    /// The spec with this change, from the beginning.
    #[must_use]
    pub(super) fn with(mut self, change: impl FnOnce(&mut CertificateSpec)) -> Self {
        change(&mut self.certificate.spec);
        self
    }

    /// After a reconcile at this time, which issues.
    #[must_use]
    pub(super) fn issued(mut self, when: &str) -> Self {
        let step = self.reconcile(at(when));
        assert!(matches!(step.plan, Plan::Issue { .. }), "{step:?}");
        self
    }

    /// The Secret after a change by another field manager.
    #[must_use]
    pub(super) fn edited(mut self, when: &str, change: impl FnOnce(&mut Secret)) -> Self {
        self.edit("kubectl-edit", at(when), change);
        self
    }

    /// A renewal by hand asked for.
    #[must_use]
    pub(super) fn asked(mut self, value: &str) -> Self {
        self.ask(value);
        self
    }

    #[must_use]
    pub(super) fn lapsed(mut self, why: &'static str) -> Self {
        self.issuer = Issuer::NotReady(why);
        self
    }

    /// Its issuer serves other namespaces only.
    #[must_use]
    pub(super) fn not_allowed(mut self) -> Self {
        self.issuer = Issuer::NotAllowed;
        self
    }

    #[must_use]
    pub(super) fn without_issuer(mut self) -> Self {
        self.issuer = Issuer::Missing;
        self
    }

    #[must_use]
    pub(super) fn without_secret(mut self) -> Self {
        self.secret = None;
        self
    }

    #[must_use]
    pub(super) fn deleted(mut self) -> Self {
        self.certificate.metadata.deletion_timestamp = Some(Time(at("2026-11-02")));
        self
    }

    #[must_use]
    pub(super) fn claimed_by(mut self, owner: &str) -> Self {
        self.owner = Some(owner.to_owned());
        self
    }

    /// The spec with this change, as a new generation.
    #[must_use]
    pub(super) fn changed(mut self, change: impl FnOnce(&mut CertificateSpec)) -> Self {
        self.change(change);
        self
    }

    /// The issuer refused a try at this time.
    #[must_use]
    pub(super) fn refused(mut self, when: &str) -> Self {
        self.refuses = Some("no");
        let step = self.reconcile(at(when));
        assert!(matches!(step.plan, Plan::Issue { .. }), "{step:?}");
        self.refuses = None;
        self
    }

    pub(super) fn sign_by(&mut self, ca: &Ca) {
        self.issuer = Issuer::Ready(ca.issuer());
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut CertificateSpec)) {
        change(&mut self.certificate.spec);
        let generation = self.certificate.metadata.generation.unwrap_or_default();
        self.certificate.metadata.generation = Some(generation + 1);
    }

    pub(super) fn ask(&mut self, value: &str) {
        let annotations = self
            .certificate
            .metadata
            .annotations
            .get_or_insert_default();
        annotations.insert(self.group.key(RENEW), value.to_owned());
    }

    pub(super) fn edit(&mut self, manager: &str, now: Timestamp, change: impl FnOnce(&mut Secret)) {
        secret::edit(self.secret.as_mut().unwrap(), manager, now, change);
    }

    /// What the plan would be now.
    pub(super) fn plan(&self, now: &str) -> Plan {
        self.look(|inputs| crate::plan::plan(at(now), inputs))
    }

    pub(super) fn assess(&self, now: Timestamp) -> Assessment {
        self.look(|inputs| assess(now, inputs))
    }

    fn look<T>(&self, see: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let observed = self.observed();
        see(&self.inputs(observed.as_deref()))
    }

    /// The Secret as planning sees it; read again only where it changed, as in the shell.
    pub(super) fn observed(&self) -> Option<Rc<Observed>> {
        let secret = self.secret.as_ref()?;
        let mut seen = self.seen.borrow_mut();
        match seen.as_ref().filter(|(of, _)| of == secret) {
            Some((_, observed)) => Some(Rc::clone(observed)),
            None => {
                let observed = Rc::new(Observed::of(secret, &self.group));
                *seen = Some((secret.clone(), Rc::clone(&observed)));
                Some(observed)
            }
        }
    }

    pub(super) fn inputs<'a>(&'a self, observed: Option<&'a Observed>) -> Inputs<'a> {
        Inputs {
            group: &self.group,
            certificate: &self.certificate,
            secret: observed,
            owner: self.owner.as_deref(),
            issuer: self.signer().standing(),
            fallback: (!self.fallbacks.is_empty()).then(|| {
                let holder = fallback::holder(&self.certificate, observed, &self.group);
                Fallback {
                    turn: &self.turn,
                    holder: &self.names[holder],
                    holder_state: self.at_place(holder).standing(),
                }
            }),
            old_leaves: self.old_leaves,
            heard: &self.heard,
            settings: &self.settings,
        }
    }

    /// Gathers, plans, acts and writes the status, as the shell does.
    pub(super) fn reconcile(&mut self, now: Timestamp) -> Step {
        self.take_turns(now);
        let assessment = self.assess(now);
        let mut plan = self.look(|inputs| decide(now, inputs, &assessment));
        if plan == Plan::Restore
            && let Err(stays) = self.may_return(now, &assessment)
        {
            self.heard.stays = Some(stays);
            plan = self.look(|inputs| decide(now, inputs, &assessment));
        }
        let outcome = self.act(now, &assessment, &plan);
        if plan == Plan::Leave {
            return Step {
                plan,
                next: Timestamp::MAX,
            };
        }
        if matches!(outcome, Outcome::Done(_)) {
            self.heard.order = HeldOrder::Ended;
        }
        if self.look(|inputs| inputs.previous(now).is_none()) {
            self.kept = None;
        }
        let (after, new, turn_ends) = self.look(|inputs| {
            let (assessment, after) = if matches!(outcome, Outcome::Done(_)) {
                let assessment = assess(now, inputs);
                let after = decide(now, inputs, &assessment);
                (assessment, after)
            } else {
                (assessment, plan.clone())
            };
            let new = status::status(now, inputs, &assessment, &after, &outcome);
            let turn_ends = status::turn_ends(inputs, &new);
            (after, new, turn_ends)
        });
        let next = match &after {
            Plan::Keep { look_again } => *look_again,
            Plan::Hold { until, .. } | Plan::HoldRepair { until, .. } => *until,
            Plan::Issue { .. } | Plan::Repair { .. } | Plan::Restore => new
                .last_failure
                .as_ref()
                .map_or(now, |failure| failure.next_try.0),
            Plan::Continue { not_before, .. } => not_before.unwrap_or(now),
            Plan::Abandon { .. } => now,
            Plan::Blocked { .. } => later(now, MAX_LOOK_AGAIN),
            Plan::Leave => Timestamp::MAX,
        };
        if !status::unchanged(self.certificate.status.as_ref(), &new) && !self.loses_status {
            self.status_writes += 1;
            self.certificate.status = Some(new);
        }
        self.loses_status = false;
        self.heard.order = HeldOrder::AsTold;
        self.heard.stays = None;
        let turn_ends = turn_ends.filter(|_| !self.turn.overdue);
        let next = turn_ends.map_or(next, |end| end.min(next));
        let next = next.max(later(now, SignedDuration::from_secs(1)));
        Step { plan, next }
    }

    /// Reconciles whenever the shell would by itself, up to and including `until`.
    pub(super) fn run(&mut self, from: Timestamp, until: Timestamp) {
        let mut now = from;
        for _ in 0..100_000 {
            if now > until {
                return;
            }
            now = self.reconcile(now).next;
        }
        panic!("it never comes to rest");
    }

    fn act(&mut self, now: Timestamp, assessment: &Assessment, plan: &Plan) -> Outcome {
        match plan {
            Plan::Issue { .. } if self.is_outside() => {
                self.tries += 1;
                if let Some(failure) = &self.cant_begin {
                    return Outcome::Failed(failure.clone());
                }
                Outcome::UnderWay(OrderStatus {
                    attempted: assessment.attempted.clone(),
                    url: Some("https://ca.example/order".to_owned()),
                    started_at: Time(now),
                    challenges: Vec::new(),
                    look_again: None,
                    waits_for: None,
                })
            }
            Plan::Continue {
                not_before: Some(_),
                ..
            } => Outcome::Nothing,
            Plan::Continue { why, undoes, .. } => {
                if let Some(failure) = &self.fails {
                    return Outcome::Failed(failure.clone());
                }
                if let Some(order) = &self.goes_on {
                    return Outcome::UnderWay(order.clone());
                }
                self.issue(now, assessment);
                self.issued.push((now, why.clone()));
                Outcome::Done(undoes.clone())
            }
            Plan::Abandon { .. } => Outcome::Abandoned,
            Plan::Issue { why, undoes } => {
                self.tries += 1;
                if let Some(message) = self.refuses {
                    return Outcome::Failed(Failure::new("SigningRefused", format!("{message}.")));
                }
                self.issue(now, assessment);
                self.issued.push((now, why.clone()));
                Outcome::Done(undoes.clone())
            }
            Plan::Repair { undoes, .. } => {
                self.repair(now, assessment);
                self.repaired.push(now);
                Outcome::Done(Undoes::clone(undoes))
            }
            Plan::Restore => {
                self.restore(now, assessment);
                Outcome::Done(Undoes::Nothing)
            }
            _ => Outcome::Nothing,
        }
    }

    /// Whether what is kept may take the place of what is held.
    pub(super) fn may_return(&self, now: Timestamp, assessment: &Assessment) -> Result<(), Stays> {
        let kept = self.kept.as_ref().ok_or(Stays::NothingKept)?;
        let (observed, stored) = Observed::with_contents(kept, &self.group);
        let key = stored.key.as_ref().ok_or(Stays::NothingKept)?;
        let issuer = observed.issuer(&self.group);
        let kept = Kept {
            key: key.public(),
            chain: &stored.chain,
            issuer: issuer.as_ref(),
        };
        self.look(|inputs| {
            if !held_back::is_the_one_before(now, inputs, &kept.chain[0]) {
                return Err(Stays::NothingKept);
            }
            may_return(now, inputs, assessment, kept)
        })
    }

    fn restore(&mut self, now: Timestamp, assessment: &Assessment) {
        let (observed, stored) = Observed::with_contents(self.kept.as_ref().unwrap(), &self.group);
        let leaf = stored.chain[0].clone();
        let marks =
            self.look(|inputs| held_back::marks(now, inputs, assessment, (&observed, &leaf)));
        let contents = contents::unchanged(stored).unwrap();
        self.write(now, &leaf, &marks.unwrap(), &contents);
    }

    /// Keeps what is about to be replaced, where it may have to come back.
    fn keep(&mut self, now: Timestamp, assessment: &Assessment) -> Option<PreviousStatus> {
        let wanted = self.certificate.spec.rolls_back();
        let worth = self.look(|inputs| worth_keeping(now, inputs, assessment));
        let worth = worth.filter(|_| wanted)?;
        let held = self.secret.as_ref()?;
        self.kept = Some(previous::keeping(&self.group, &self.certificate, held));
        Some(worth)
    }

    fn is_outside(&self) -> bool {
        matches!(self.signer(), Issuer::Ready(issuer) if matches!(issuer.signer, Signer::Outside))
    }

    fn issue(&mut self, now: Timestamp, assessment: &Assessment) {
        let previous = self.keep(now, assessment);
        let profile = &assessment.request.as_ref().unwrap().profile;
        let stored = self
            .secret
            .as_ref()
            .map(|secret| Observed::with_contents(secret, &self.group));
        let (held, stored) = stored.unzip();
        let (kept, older) = stored.map_or((None, Vec::new()), |stored| (stored.key, stored.ca));
        let reuses = self.certificate.spec.rotation_policy() == RotationPolicy::Never;
        let key = kept
            .filter(|key| reuses && key.spec() == profile.key)
            .unwrap_or_else(|| PrivateKey::generate(profile.key).unwrap());
        let Issuer::Ready(issuer) = self.signer() else {
            panic!("nobody to ask")
        };
        let places = Locations::default();
        let (chain, top) = match &issuer.signer {
            Signer::SelfSigned => {
                let leaf = sign::self_signed(profile, &places, &key, now).unwrap();
                (vec![leaf.clone()], Some(leaf))
            }
            Signer::Authority(ca) => {
                let leaf = sign::by_authority(profile, &places, key.public(), ca, now).unwrap();
                let above = ca.intermediates().iter().map(|facts| facts.der.clone());
                let chain = std::iter::once(leaf).chain(above).collect();
                (chain, Some(ca.top().der.clone()))
            }
            // Whoever it is: all that we are told is the certificate.
            Signer::Outside => (
                vec![sign::self_signed(profile, &places, &key, now).unwrap()],
                None,
            ),
        };
        let read: Vec<Facts> = chain.iter().map(|der| Facts::read(der).unwrap()).collect();
        chain::check_pair(profile, key.public(), &read, now).unwrap();
        let marks = held.map(|held| held.marks).unwrap_or_default();
        let status = self.certificate.status.as_ref();
        let revision = marks
            .revision
            .max(status.and_then(|status| status.revision));
        let marks = Marks {
            certificate_name: self.certificate.metadata.name.clone(),
            request: Some(assessment.hash.clone()),
            issued_at: Some(now),
            revision: Some(revision.unwrap_or_default().saturating_add(1)),
            renew_request: assessment.asked.clone().or(marks.renew_request),
            ca_replaced_at: assessment
                .marks
                .ca_replaced_at
                .filter(|_| contents::keeps_older_roots(assessment)),
            outside: matches!(issuer.signer, Signer::Outside),
            account: None,
            suggested: assessment.reason == Some(IssueReason::Suggested),
            held_back: None,
            previous,
            signer: (self.turn.place > 0).then(|| self.turn.issuer.clone()),
        };
        let ca = contents::ca_after_issuing(assessment, top, &older);
        self.write(now, &read[0], &marks, &Contents { key, chain, ca });
    }

    fn repair(&mut self, now: Timestamp, assessment: &Assessment) {
        let held = self.secret.as_ref().unwrap();
        let (observed, stored) = Observed::with_contents(held, &self.group);
        let leaf = stored.chain[0].clone();
        let contents =
            contents::repaired(&self.inputs(Some(&observed)), assessment, stored).unwrap();
        self.write(now, &leaf, &assessment.marks, &contents);
    }

    fn write(&mut self, now: Timestamp, leaf: &Facts, marks: &Marks, contents: &Contents) {
        let metadata = Metadata::of(&self.group, &self.certificate, leaf, marks);
        let was = self.secret.as_ref();
        self.secret = Some(secret::apply(
            was,
            &self.certificate,
            &self.group,
            &metadata,
            contents,
            now,
        ));
    }

    pub(super) fn status(&self) -> &CertificateStatus {
        self.certificate.status.as_ref().unwrap()
    }

    /// The condition of this type.
    pub(super) fn condition(&self, type_: &str) -> Option<&Condition> {
        condition::find(&self.status().conditions, type_)
    }

    /// The certificate that is held.
    pub(super) fn leaf(&self) -> Facts {
        self.stored("tls.crt")[0].clone()
    }

    /// Certificates of one key of the data.
    pub(super) fn stored(&self, key: &str) -> Vec<Facts> {
        chain::read_pem(&self.secret.as_ref().unwrap().data.as_ref().unwrap()[key].0).unwrap()
    }
}
