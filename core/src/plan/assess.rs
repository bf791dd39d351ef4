//! What is there, held against what is asked for.

mod replacement;
mod suggestion;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use self::replacement::was_issued_by;
pub use self::replacement::{CaState, older_until};
use super::drift::{differences, differences_outside};
use super::fallback;
use super::held_back;
use super::inputs::{Inputs, IssuerState, ReadyIssuer, Signer};
use super::intent::{Flaw, Metadata, key_encoding, output_formats};
use super::marks::Marks;
use super::observed::{Observed, Pair, PairFlaw, data};
use super::reason::IssueReason;
use super::renew::{Renewal, RenewalRule, spread};
use super::request::{self, InvalidSpec, Request};
use super::{CONTEST, MAX_LOOK_AGAIN};
use crate::api::certificate::OutputFormat;
use crate::pki::facts::Fingerprint;
use crate::pki::{Authority, Facts};

/// How far the clocks of issuer and operator may be apart.
pub const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What is there, held against what is asked for.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// What is asked for, under the defaults of this version.
    pub request: Option<Request>,
    /// Why nothing can be asked for.
    pub unsayable: Option<InvalidSpec>,
    /// The hash of `request`.
    pub hash: String,
    /// What was asked for, of whom: a hold-off ends when this changes.
    pub attempted: String,
    /// The certificate that is held, if it is a pair that can be read.
    pub held: Option<Facts>,
    /// Why the held certificate does not meet the spec; [`Assessment::reason`] then says the same, unless what the spec asks for
    /// is held back.
    pub unmet: Option<IssueReason>,
    /// Until when the held certificate stays, where workloads refuse what should replace it.
    pub stays_until: Option<Timestamp>,
    /// The first reason to issue now.
    pub reason: Option<IssueReason>,
    /// What else is off about the Secret; empty while there is a reason to issue.
    pub flaws: BTreeSet<Flaw>,
    /// Whether something of the flaws was written over by another field manager.
    pub taken_over: bool,
    /// The marks the Secret shall carry if nothing is issued.
    pub marks: Marks,
    /// When the held certificate is renewed; after its end if its CA can't give it any longer life.
    pub renewal: Option<Renewal>,
    /// Whether that is because the CA suggests it.
    pub suggested: bool,
    /// Whether the held certificate was revoked, as asked for by hand.
    pub revoked: bool,
    /// The CA's end, where it leaves too little for a renewal to be worth it.
    pub limited_by: Option<Timestamp>,
    /// How the held certificate stands to the issuer's key.
    pub ca: CaState,
    /// A renewal by hand that has not been answered: the annotation's value.
    pub asked: Option<String>,
    /// When it may be answered.
    pub asked_due: Option<Timestamp>,
}

/// Holds what is there against what is asked for.
pub fn assess(now: Timestamp, inputs: &Inputs<'_>) -> Assessment {
    let spec = &inputs.certificate.spec;
    let (request, rule) = match (Request::of(spec, request::VERSION), RenewalRule::of(spec)) {
        (Ok(request), Ok(rule)) => (request, rule),
        (Err(problem), _) | (_, Err(problem)) => return Assessment::unsayable(problem, inputs),
    };
    let hash = request.hash(request::VERSION);
    let identity = match inputs.issuer {
        IssuerState::Ready(ReadyIssuer { identity, .. }) => identity.as_str(),
        _ => "",
    };
    let mut assessment = Assessment {
        attempted: format!("{hash}/{identity}"),
        hash,
        ..Assessment::empty()
    };
    assessment.request = Some(request);
    assessment.read_secret(now, inputs, &rule);
    assessment.reason = assessment.first_reason(now);
    if assessment.reason.is_some() && inputs.holder_name() != inputs.asked_name() {
        // Another signs next: what it signs with has nothing to do with the CA of what is held.
        assessment.ca = CaState::Unknown;
    }
    if assessment.reason.is_some() {
        assessment.flaws.clear();
    }
    assessment
}

impl Assessment {
    fn empty() -> Self {
        Self {
            request: None,
            unsayable: None,
            hash: String::new(),
            attempted: String::new(),
            held: None,
            unmet: None,
            stays_until: None,
            reason: None,
            flaws: BTreeSet::new(),
            taken_over: false,
            marks: Marks::default(),
            renewal: None,
            suggested: false,
            revoked: false,
            limited_by: None,
            ca: CaState::Unknown,
            asked: None,
            asked_due: None,
        }
    }

    fn unsayable(problem: InvalidSpec, inputs: &Inputs<'_>) -> Self {
        let pair = inputs.secret.and_then(|secret| secret.pair.as_ref().ok());
        Self {
            unsayable: Some(problem),
            held: pair.and_then(Pair::facts),
            ..Self::empty()
        }
    }

    fn read_secret(&mut self, now: Timestamp, inputs: &Inputs<'_>, rule: &RenewalRule) {
        self.read_asked(now, inputs);
        let Some(secret) = inputs.secret else {
            self.unmet = Some(IssueReason::Missing);
            return;
        };
        let (pair, held) = match secret.pair.as_ref().map(|pair| (pair, pair.facts())) {
            Ok((pair, Some(held))) => (pair, held),
            Ok((_, None)) => {
                self.unmet = Some(IssueReason::Broken(PairFlaw::Missing(data::CERTIFICATE)));
                return;
            }
            Err(PairFlaw::KeyDoesNotFit) => {
                self.unmet = Some(IssueReason::KeyDoesNotFit);
                return;
            }
            Err(flaw) => {
                self.unmet = Some(IssueReason::Broken(flaw.clone()));
                return;
            }
        };
        self.unmet = self.unmet_by(inputs, secret, &held);
        self.marks = self.marks_to_carry(inputs, secret);
        let request_alone = matches!(
            self.unmet,
            Some(IssueReason::RequestChanged(_) | IssueReason::Drift(_))
        );
        if self.unmet.is_none() || request_alone && was_issued_by(inputs, secret) {
            self.compare_issuer(now, inputs, secret, pair, &held);
        }
        let spread = spread(inputs.namespace(), inputs.name(), &held.serial);
        let mut renewal = rule.renewal(held.not_before, held.not_after, spread);
        if let Some(at) = suggestion::renewal(inputs, secret, &held, rule, spread, &renewal) {
            renewal = at;
            self.suggested = true;
        }
        self.revoked = suggestion::is_revoked(inputs, &held);
        self.limited_by = self.limited(now, inputs, &held, &renewal);
        if let Some(end) = self.limited_by {
            renewal.at = renewal.at.map(|at| last_chance(at, &held, end));
        }
        self.stays_until = held_back::stays_until(now, inputs, self, &held);
        if let Some(until) = self.stays_until {
            renewal.at = renewal.at.map(|at| at.max(until));
        }
        self.renewal = Some(renewal);
        self.compare_surroundings(inputs, secret, &held);
        self.held = Some(held);
    }

    /// Why the held certificate does not meet the spec.
    fn unmet_by(
        &self,
        inputs: &Inputs<'_>,
        secret: &Observed,
        held: &Facts,
    ) -> Option<IssueReason> {
        let spec = &inputs.certificate.spec;
        let recorded = secret.marks.request.as_deref();
        let version = recorded.and_then(Request::version_of);
        // Under the defaults it was issued with: a changed default re-issues nothing. Hashes of a newer operator can't
        // be compared, the certificate itself can.
        let comparable = version.filter(|version| *version <= request::VERSION);
        let request = Request::of(spec, comparable.unwrap_or(request::VERSION)).ok()?;
        let found = if inputs.is_from_outside() {
            differences_outside(&request.profile, held)
        } else {
            differences(&request.profile, held)
        };
        if let (Some(recorded), Some(version)) = (recorded, comparable)
            && recorded != request.hash(version)
        {
            return Some(IssueReason::RequestChanged(found));
        }
        if !found.is_empty() {
            return Some(IssueReason::Drift(found));
        }
        if let Some(signer) = fallback::dropped(inputs.certificate, secret, inputs.group) {
            let words = format!("{signer} signed it, which the spec does not name any more");
            return Some(IssueReason::Drift(vec![words]));
        }
        let foreign = match inputs.holder() {
            IssuerState::Ready(ReadyIssuer {
                signer: Signer::SelfSigned,
                ..
            }) => !held.is_self_signed(),
            // Without a record, a certificate of another signer was never asked of this issuer.
            IssuerState::Ready(ReadyIssuer {
                signer: Signer::Authority(authority),
                ..
            }) => version.is_none() && !held.is_signed_by(authority.certificate()),
            _ => false,
        };
        foreign.then(|| IssueReason::Drift(vec!["it was signed by another issuer".to_owned()]))
    }

    fn marks_to_carry(&self, inputs: &Inputs<'_>, secret: &Observed) -> Marks {
        let mut marks = secret.marks.clone();
        marks.certificate_name = Some(inputs.name().to_owned());
        marks.request.get_or_insert_with(|| self.hash.clone());
        let holder = inputs.fallback.map(|fallback| fallback.holder.clone());
        marks.signer = holder.filter(|_| inputs.is_held_by_a_fallback());
        marks
    }

    fn compare_contents(
        &mut self,
        secret: &Observed,
        pair: &Pair,
        above: &[Fingerprint],
        ca: &[Fingerprint],
        more: bool,
    ) {
        if pair.above != above {
            self.flaws.insert(Flaw::Chain);
            self.taken_over |= !secret.applied.data.contains(data::CERTIFICATE);
        }
        let right = match &secret.ca {
            Some(held) if more => ca.iter().all(|wanted| held.contains(wanted)),
            Some(held) => held == ca,
            None => false,
        };
        if !right {
            self.flaws.insert(Flaw::Ca);
            self.taken_over |= !secret.applied.data.contains(data::CA);
        }
    }

    /// Compares labels, annotations, owner, encoding and formats.
    fn compare_surroundings(&mut self, inputs: &Inputs<'_>, secret: &Observed, held: &Facts) {
        let metadata = Metadata::of(inputs.group, inputs.certificate, held, &self.marks);
        let (flaws, taken_over) = metadata.flaws(secret);
        // A replacement just found adds a mark of ours; that it isn't there yet is nobody's doing.
        self.taken_over |= taken_over && !self.flaws.contains(&Flaw::NewRoot);
        self.flaws.extend(flaws);
        if let Some((kind, encoding)) = secret.key
            && encoding != key_encoding(inputs.certificate, kind)
        {
            self.flaws.insert(Flaw::Encoding);
            self.taken_over |= !secret.applied.data.contains(data::KEY);
        }
        let wanted = output_formats(inputs.certificate);
        for (format, key) in [
            (OutputFormat::Der, data::KEY_DER),
            (OutputFormat::CombinedPem, data::COMBINED),
        ] {
            let applied = secret.applied.data.contains(key);
            let held = secret.formats.get(&format).copied();
            let off = if wanted.contains(&format) {
                held != Some(true)
            } else {
                applied
            };
            if off {
                self.flaws.insert(Flaw::Formats);
                self.taken_over |= !applied;
            }
        }
    }

    /// Whatever is issued answers the renewal by hand, so it is read even where there is nothing to renew.
    fn read_asked(&mut self, now: Timestamp, inputs: &Inputs<'_>) {
        let answered = |value: &&String| {
            let told = inputs
                .status()
                .and_then(|status| status.last_renew_request.as_ref());
            let marked = inputs
                .secret
                .and_then(|secret| secret.marks.renew_request.as_ref());
            told == Some(value) || marked == Some(value)
        };
        self.asked = inputs
            .renew_request()
            .filter(|value| !answered(value))
            .cloned();
        // The throttle counts from the last renewal by hand: one that nobody asked for does not make the user wait. A
        // moment ahead of us is left from a clock that was set back: it holds nobody off.
        if self.asked.is_some() {
            self.asked_due = inputs
                .secret
                .filter(|secret| secret.marks.renew_request.is_some())
                .and_then(Observed::issued_at)
                .filter(|at| *at <= now)
                .map(|at| later(at, inputs.settings.renew_throttle));
        }
    }

    /// The CA's end, if it leaves a renewal that is due too little: less than a tenth of the lifetime asked for. Before
    /// it is due there is nothing to say, for the CA may well be renewed by then.
    fn limited(
        &self,
        now: Timestamp,
        inputs: &Inputs<'_>,
        held: &Facts,
        renewal: &Renewal,
    ) -> Option<Timestamp> {
        let authority: &Authority = inputs.authority()?;
        let lifetime = SignedDuration::from_secs(self.request.as_ref()?.profile.lifetime_seconds);
        let end = authority.certificate().not_after;
        renewal.at.filter(|at| *at <= now)?;
        // A renewal that gains little for another reason, such as a long renewBefore, is none of the CA's doing.
        let cut = end < later(now, lifetime);
        (cut && end.duration_since(held.not_after) < lifetime / 10).then_some(end)
    }

    /// The first reason to issue now, in the order of [`IssueReason`].
    fn first_reason(&self, now: Timestamp) -> Option<IssueReason> {
        if let Some(unmet) = &self.unmet
            && !self.is_held_back(unmet)
        {
            return Some(unmet.clone());
        }
        if matches!(self.ca, CaState::Following { due } if due <= now) {
            return Some(IssueReason::CaReplaced);
        }
        let held = self.held.as_ref()?;
        let renewed_at = self.renewal.as_ref().and_then(|renewal| renewal.at);
        if renewed_at.is_some() && held.not_after < now {
            return Some(IssueReason::Expired(held.not_after));
        }
        if self.revoked {
            return Some(IssueReason::Revoked);
        }
        if matches!(self.ca, CaState::Replaced | CaState::Following { .. }) {
            // Clients get the time to read the new root; what follows is the renewal too.
            return None;
        }
        if renewed_at.is_some_and(|at| at <= now) {
            return Some(if self.suggested {
                IssueReason::Suggested
            } else {
                IssueReason::Due
            });
        }
        let asked = self
            .asked
            .clone()
            .filter(|_| self.asked_due.is_none_or(|due| due <= now))?;
        Some(IssueReason::AskedByHand(asked))
    }

    /// Whether what would be issued for this reason is what workloads refuse.
    fn is_held_back(&self, why: &IssueReason) -> bool {
        self.stays_until.is_some() && matches!(why, IssueReason::RequestChanged(_))
    }

    /// When to look again, if nothing happens before.
    pub(super) fn look_again(&self, now: Timestamp, inputs: &Inputs<'_>) -> Timestamp {
        let ca = match self.ca {
            CaState::Following { due } => Some(due),
            CaState::Retaining { until } => Some(until),
            _ => None,
        };
        let renewal = self.renewal.as_ref().and_then(|renewal| renewal.at);
        let contest = inputs
            .status()
            .and_then(|status| status.last_restored.as_ref())
            .map(|at| later(at.0, CONTEST));
        // The certificate is valid for the whole of its last second.
        let expiry = self
            .held
            .as_ref()
            .map(|held| later(held.not_after, SignedDuration::from_secs(1)));
        let begin = self.held.as_ref().map(|held| held.not_before);
        [
            ca,
            renewal,
            contest,
            expiry,
            begin,
            self.asked_due,
            self.stays_until,
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .fold(later(now, MAX_LOOK_AGAIN), Timestamp::min)
    }
}

/// When to renew under a CA that has little to give: once, in the last tenth of the life, where the CA outlasts the
/// certificate at all. It can't be for long, but expiring while the CA still signs would be worse. Where it does not,
/// there is nothing to gain before the certificate has expired.
fn last_chance(at: Timestamp, held: &Facts, end: Timestamp) -> Timestamp {
    if end <= held.not_after {
        return later(held.not_after, SignedDuration::from_secs(1));
    }
    let life = held.not_after.duration_since(held.not_before);
    at.max(later(held.not_after, -(life / 10)))
}

/// `at` plus `by`, at the end of time at the latest. In whole seconds, as the API server keeps times: a moment that was
/// told must read the same when it is read back, or it would be told again at each look. Rounded up, so that nobody
/// looks before it has come.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let exact = at.checked_add(by).unwrap_or(Timestamp::MAX);
    let second = exact.as_second() + i64::from(exact.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_whole_seconds_up_to_the_end_of_time() {
        let now: Timestamp = "2026-11-02T10:00:00Z".parse().unwrap();
        let moment = later(now, SignedDuration::from_millis(90_999));
        assert_eq!(moment.to_string(), "2026-11-02T10:01:31Z");
        assert_eq!(later(now, SignedDuration::MAX), Timestamp::MAX);
    }
}
