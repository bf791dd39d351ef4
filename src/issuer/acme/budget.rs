//! What may still be asked of a CA: one budget for all that share an account, one hold for all that want an account.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certwright_core::acme::limits::{self, Event, HoldUntil, Limits, Wish};
use certwright_core::acme::wire::Identifier;
use certwright_core::acme::{Meaning, Scope};
use jiff::Timestamp;

use crate::acme::AcmeError;
use crate::cluster::secrets::IssuerKey;

/// What may still be asked of a CA by an account, shared by all Certificates that order with it.
///
/// Nothing of it is stored: what statuses tell of the past is counted when an issuer first orders, and after that what
/// happens.
pub struct Budget(Mutex<Counted>);

struct Counted {
    limits: Limits,
    /// The issuers whose Certificates' past is in it.
    remembered: HashSet<IssuerKey>,
}

impl Counted {
    fn new() -> Self {
        Self {
            limits: Limits::new(limits::Budget::default()),
            remembered: HashSet::new(),
        }
    }
}

impl Budget {
    fn new() -> Self {
        Self(Mutex::new(Counted::new()))
    }

    /// Counts what the statuses of an issuer's Certificates tell, unless that was done before.
    pub fn remember(&self, issuer: &IssuerKey, past: impl FnOnce() -> Vec<(Timestamp, Event)>) {
        let mut counted = lock(&self.0);
        if !counted.remembered.insert(issuer.clone()) {
            return;
        }
        let mut past = past();
        past.sort_by_key(|(at, _)| *at);
        for (at, event) in past {
            counted.limits.record(at, event);
        }
    }

    /// Whether an order may be made now.
    ///
    /// # Errors
    /// When it has to wait, and until when.
    pub(super) fn may_order(&self, now: Timestamp, wish: &Wish<'_>) -> Result<(), HoldUntil> {
        lock(&self.0).limits.may_order(now, wish)
    }

    /// Counts an order that was made. CAs don't count those that say what they replace, or tell.
    pub(super) fn ordered(&self, now: Timestamp, replaces: bool) {
        if !replaces {
            lock(&self.0).limits.record(now, Event::Ordered);
        }
    }

    /// Counts what a CA's answer says of its limits, whatever was asked for these names; `replaces` where it was an order
    /// that says what it replaces.
    pub(super) fn heard(
        &self,
        now: Timestamp,
        identifiers: &BTreeSet<Identifier>,
        error: &AcmeError,
        replaces: bool,
    ) {
        if let Some(meaning) = meaning(now, error) {
            self.limited(now, identifiers, meaning, replaces);
        }
    }

    /// Counts names that were not shown.
    pub(super) fn failed(
        &self,
        now: Timestamp,
        identifiers: &BTreeSet<Identifier>,
        meaning: &Meaning,
    ) {
        match meaning {
            // It was the CA, not the names.
            Meaning::Transient { .. } => {}
            Meaning::RateLimited { .. } => self.limited(now, identifiers, meaning.clone(), false),
            _ => {
                let mut counted = lock(&self.0);
                for identifier in identifiers {
                    counted
                        .limits
                        .record(now, Event::Failed(identifier.clone()));
                }
            }
        }
    }

    fn limited(
        &self,
        now: Timestamp,
        identifiers: &BTreeSet<Identifier>,
        meaning: Meaning,
        replaces: bool,
    ) {
        if let Meaning::RateLimited { scope, until } = meaning {
            let identifiers = identifiers.clone();
            let event = Event::Limited {
                identifiers,
                scope,
                until,
                replaces,
            };
            lock(&self.0).limits.record(now, event);
        }
    }
}

/// The budgets of all accounts, and which CAs make no more accounts for now.
#[derive(Default)]
pub(super) struct Budgets {
    /// By the CA's directory, as issuers name it, and the account's URL: a CA may claim that anybody's account is its own.
    by_account: Mutex<HashMap<(String, String), Arc<Budget>>>,
    by_directory: Mutex<HashMap<String, Limits>>,
}

impl Budgets {
    /// That of an account with the CA of this directory, by its URL. It outlives the account's being looked for again.
    pub(super) fn of(&self, directory: &str, account: &str) -> Arc<Budget> {
        let mut budgets = lock(&self.by_account);
        let budget = budgets
            .entry((directory.to_owned(), account.to_owned()))
            .or_insert_with(|| Arc::new(Budget::new()));
        Arc::clone(budget)
    }

    /// Whether a CA may be asked for another account.
    ///
    /// # Errors
    /// When that has to wait, and until when.
    pub(super) fn may_register(&self, now: Timestamp, directory: &str) -> Result<(), HoldUntil> {
        lock(&self.by_directory)
            .get(directory)
            .map_or(Ok(()), |limits| limits.may_register(now))
    }

    /// Counts what a CA that was asked for an account says of its limits.
    pub(super) fn heard(&self, now: Timestamp, directory: &str, error: &AcmeError) {
        let Some(Meaning::RateLimited {
            scope: scope @ Scope::NewAccounts,
            until,
        }) = meaning(now, error)
        else {
            return;
        };
        let mut holds = lock(&self.by_directory);
        holds.retain(|_, limits| limits.may_register(now).is_err());
        let limits = holds
            .entry(directory.to_owned())
            .or_insert_with(|| Limits::new(limits::Budget::default()));
        let identifiers = BTreeSet::new();
        let event = Event::Limited {
            identifiers,
            scope,
            until,
            replaces: false,
        };
        limits.record(now, event);
    }

    /// Forgets all that was counted: another replica may have ordered meanwhile, and statuses tell of that.
    pub(super) fn begin_anew(&self) {
        for budget in lock(&self.by_account).values() {
            *lock(&budget.0) = Counted::new();
        }
    }

    /// Forgets the budgets of accounts that nobody uses.
    pub(super) fn forget_unused(&self) {
        lock(&self.by_account).retain(|_, budget| Arc::strong_count(budget) > 1);
    }
}

fn meaning(now: Timestamp, error: &AcmeError) -> Option<Meaning> {
    let AcmeError::Problem {
        status,
        problem,
        retry_after,
    } = error
    else {
        return None;
    };
    Some(Meaning::of_answer(
        now,
        *status,
        problem,
        retry_after.as_deref(),
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
