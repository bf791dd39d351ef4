//! What a CA's limits leave of an account: one budget for all Certificates that share it.
//!
//! Nothing here is stored. It is rebuilt from what happened, as far as statuses tell, and fed with what happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::problem::{MAX_RETRY_AFTER, Scope};
use super::wire::Identifier;
use crate::plan::is_ahead;

mod bucket;
mod past;

use bucket::{Bucket, Rate};

pub use past::past;

/// How much may be asked of a CA. The defaults are those of Let's Encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// So many new orders of an account...
    pub orders: u32,
    /// ...in this time.
    pub order_span: SignedDuration,
    /// So many failed validations of a name...
    pub failures: u32,
    /// ...in this time.
    pub failure_span: SignedDuration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            orders: 300,
            order_span: SignedDuration::from_hours(3),
            failures: 5,
            failure_span: SignedDuration::from_hours(1),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An order was made.
    Ordered,
    /// A name could not be shown.
    Failed(Identifier),
    /// The CA was asked too often.
    Limited {
        /// For what it was asked.
        identifiers: BTreeSet<Identifier>,
        /// What it named.
        scope: Scope,
        /// Until when, if it said so.
        until: Option<Timestamp>,
        /// Whether it was an order that says what it replaces.
        replaces: bool,
    },
}

/// What an order is for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The names.
    pub identifiers: &'a BTreeSet<Identifier>,
    /// How much of the held certificate's life is left, from 0 to 1; `None` where none is held.
    pub life_left: Option<f64>,
    /// Whether the order says which certificate it replaces (RFC 9773 section 5).
    pub replaces: bool,
}

/// Until when an order has to wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; it is asked again after {until}")]
pub struct HoldUntil {
    /// The moment.
    pub until: Timestamp,
    /// Why, as a clause.
    pub why: String,
}

/// What is left of an account's limits.
#[derive(Clone, Debug)]
pub struct Limits {
    orders: Rate,
    failures: Rate,
    ordered: Bucket,
    /// By name, without `*.`: a name and its wildcard are shown by the same.
    failed: BTreeMap<String, Bucket>,
    holds: BTreeMap<Hold, Timestamp>,
    limited: VecDeque<Recent>,
}

/// What is held, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hold {
    what: Held,
    /// Also for orders that say what they replace: such a one was refused.
    replacing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    Names(BTreeSet<Identifier>),
    Domain(String),
    Name(String),
    Account,
    NewAccounts,
}

/// A 429 of the last minutes.
#[derive(Clone, Debug)]
struct Recent {
    at: Timestamp,
    domains: BTreeSet<String>,
    until: Timestamp,
    replaces: bool,
}

impl Limits {
    /// Of an account that was not used yet.
    pub fn new(budget: Budget) -> Self {
        Self {
            orders: Rate::new(budget.orders, budget.order_span),
            failures: Rate::new(budget.failures, budget.failure_span),
            ordered: Bucket::default(),
            failed: BTreeMap::new(),
            holds: BTreeMap::new(),
            limited: VecDeque::new(),
        }
    }

    /// Of an account with this past, in any order.
    pub fn rebuilt(budget: Budget, past: impl IntoIterator<Item = (Timestamp, Event)>) -> Self {
        let mut past: Vec<_> = past.into_iter().collect();
        past.sort_by_key(|(at, _)| *at);
        let mut limits = Self::new(budget);
        for (at, event) in past {
            limits.record(at, event);
        }
        limits
    }

    /// Counts what happened at this moment.
    pub fn record(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Ordered => self.ordered.take(&self.orders, at),
            Event::Failed(identifier) => {
                let name = base(&identifier);
                if self.failed.len() >= MAX_KEPT {
                    self.failed.retain(|_, bucket| !bucket.is_full(at));
                }
                if self.failed.len() < MAX_KEPT || self.failed.contains_key(&name) {
                    let bucket = self.failed.entry(name).or_default();
                    bucket.take(&self.failures, at);
                }
            }
            Event::Limited {
                identifiers,
                scope,
                until,
                replaces,
            } => self.limit(at, identifiers, (scope, until), replaces),
        }
    }

    /// Whether an order may be made now.
    ///
    /// Renewals go before first certificates, and those with the least of their life left before others: a part of
    /// the budget is kept back, and each may draw on it the deeper the less is left.
    ///
    /// Those that say what they replace go before all: CAs exempt them from what they count of orders and certificates,
    /// unless one of them said otherwise. What counts failures holds them as it does others.
    ///
    /// # Errors
    /// When it has to wait, and until when: the last of all moments that there is a reason for.
    pub fn may_order(&self, now: Timestamp, wish: &Wish<'_>) -> Result<(), HoldUntil> {
        let holds = self
            .holds
            .iter()
            .filter(|(hold, until)| is_ahead(now, **until, MAX_RETRY_AFTER) && hold.binds(wish))
            .map(|(hold, until)| HoldUntil {
                until: *until,
                why: hold.what.why(),
            });
        let failures = wish.identifiers.iter().filter_map(|identifier| {
            let name = base(identifier);
            let until = self.failed.get(&name)?.until(&self.failures, now, 0)?;
            Some(HoldUntil {
                until,
                why: format!("too many tries to show that {name} is yours have failed"),
            })
        });
        let kept_back = self.orders.count() / KEPT_BACK;
        // Whatever is said of its life, a share is between nothing and all.
        let share = wish.life_left.map_or(1.0, |share| share.clamp(0.0, 1.0));
        let untouched = (share * f64::from(kept_back)) as u32;
        let orders = self
            .ordered
            .until(&self.orders, now, untouched)
            .filter(|_| !wish.replaces)
            .map(|until| HoldUntil {
                until,
                why: "the account has made as many orders as its CA allows".to_owned(),
            });
        match holds
            .chain(failures)
            .chain(orders)
            .max_by_key(|hold| hold.until)
        {
            None => Ok(()),
            Some(hold) => Err(hold),
        }
    }

    /// Whether an account may be made now.
    ///
    /// # Errors
    /// When it has to wait, and until when.
    pub fn may_register(&self, now: Timestamp) -> Result<(), HoldUntil> {
        let about_accounts = |(hold, until): &(&Hold, &Timestamp)| {
            hold.what == Held::NewAccounts && is_ahead(now, **until, MAX_RETRY_AFTER)
        };
        match self.holds.iter().find(about_accounts) {
            Some((hold, until)) => Err(HoldUntil {
                until: *until,
                why: hold.what.why(),
            }),
            None => Ok(()),
        }
    }

    fn limit(
        &mut self,
        at: Timestamp,
        identifiers: BTreeSet<Identifier>,
        (scope, until): (Scope, Option<Timestamp>),
        replaces: bool,
    ) {
        let until = until.unwrap_or_else(|| later(at, UNSAID));
        let domains: BTreeSet<_> = identifiers.iter().map(domain).collect();
        let about_names = !matches!(scope, Scope::Account | Scope::NewAccounts);
        let what = match scope {
            Scope::Names => Held::Names(identifiers),
            Scope::Domain(domain) => Held::Domain(domain),
            Scope::Name(name) => Held::Name(name),
            Scope::Account => Held::Account,
            Scope::NewAccounts => Held::NewAccounts,
        };
        let replacing = replaces;
        self.hold(at, Hold { what, replacing }, until);
        if about_names {
            self.limited.retain(|recent| later(recent.at, RECENT) > at);
            if self.limited.len() == MAX_RECENT {
                self.limited.pop_front();
            }
            self.limited.push_back(Recent {
                at,
                domains,
                until,
                replaces,
            });
            self.suspect_the_account(at);
        }
    }

    /// Three that have nothing in common within minutes: it is not about the names.
    fn suspect_the_account(&mut self, at: Timestamp) {
        let mut unrelated: Vec<&Recent> = Vec::new();
        for recent in &self.limited {
            if unrelated
                .iter()
                .all(|other| other.domains.is_disjoint(&recent.domains))
            {
                unrelated.push(recent);
            }
        }
        if unrelated.len() < 3 {
            return;
        }
        let first = unrelated.iter().map(|recent| recent.until).min();
        let hold = Hold {
            what: Held::Account,
            replacing: unrelated.iter().all(|recent| recent.replaces),
        };
        let until = first.map_or(at, |until| until.min(later(at, MAX_UNSAID)));
        self.limited.clear();
        self.hold(at, hold, until);
    }

    /// The later of two moments for the same counts.
    fn hold(&mut self, at: Timestamp, hold: Hold, until: Timestamp) {
        if self.holds.len() >= MAX_KEPT {
            self.holds.retain(|_, until| *until > at);
        }
        if self.holds.len() < MAX_KEPT || self.holds.contains_key(&hold) {
            let present = self.holds.entry(hold).or_insert(until);
            *present = until.max(*present);
        }
    }
}

impl Hold {
    fn binds(&self, wish: &Wish<'_>) -> bool {
        let exempt = wish.replaces && !self.replacing && !matches!(self.what, Held::Name(_));
        !exempt && self.what.is_about(wish.identifiers)
    }
}

impl Held {
    fn is_about(&self, identifiers: &BTreeSet<Identifier>) -> bool {
        match self {
            Self::Names(names) => names == identifiers,
            Self::Domain(domain) => identifiers
                .iter()
                .any(|identifier| is_below(identifier, domain)),
            Self::Name(name) => identifiers
                .iter()
                .any(|identifier| base(identifier) == *name),
            Self::Account => true,
            Self::NewAccounts => false,
        }
    }

    fn why(&self) -> String {
        match self {
            Self::Names(_) => "the CA limits how often it is asked for these names".to_owned(),
            Self::Domain(domain) => {
                format!("the CA limits how many certificates it signs for {domain}")
            }
            Self::Name(name) => format!("the CA limits how often {name} fails"),
            Self::Account => "the CA limits what it is asked for by this account".to_owned(),
            Self::NewAccounts => "the CA limits how many accounts are made".to_owned(),
        }
    }
}

/// Without `*.`: limits count a name and its wildcard as one.
fn base(identifier: &Identifier) -> String {
    let name = identifier.to_string();
    name.strip_prefix("*.").map(str::to_owned).unwrap_or(name)
}

fn is_below(identifier: &Identifier, domain: &str) -> bool {
    base(identifier)
        .strip_suffix(domain)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The last two labels: close enough to tell unrelated names. Below a public suffix of several labels, unrelated ones
/// count as related, so that the account is held too late rather than too early.
fn domain(identifier: &Identifier) -> String {
    let base = base(identifier);
    match (identifier, base.rmatch_indices('.').nth(1)) {
        (Identifier::Dns(_), Some((dot, _))) => base[dot + 1..].to_owned(),
        _ => base,
    }
}

fn later(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// One part in so many of the orders is kept back for those that need it most.
const KEPT_BACK: u32 = 5;
/// How long a 429 holds that doesn't say: as long as a CA that is away is left alone.
const UNSAID: SignedDuration = SignedDuration::from_mins(5);
/// What no CA said holds no longer.
const MAX_UNSAID: SignedDuration = SignedDuration::from_hours(1);
/// How long a 429 counts among those for other domains.
const RECENT: SignedDuration = SignedDuration::from_mins(10);
/// So many of them are remembered.
const MAX_RECENT: usize = 100;
/// So many names and holds are remembered.
const MAX_KEPT: usize = 10_000;

#[cfg(test)]
mod tests;
