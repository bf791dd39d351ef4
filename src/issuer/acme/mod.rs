//! An ACME CA: one step of an order at each call (RFC 8555 section 7.1.6).
//!
//! What an order needs next, [`certwright_core::acme`] says; how it is asked, [`crate::acme`] knows; which ways lead to the
//! answers, [`crate::http01`] sees to. Nothing here waits.

mod account;
mod budget;
mod download;
mod failure;
mod keys;
mod look;
mod order;
mod patience;
mod precheck;
mod registration;
pub mod renewal;
mod revoke;
pub mod rollover;
mod stored;
mod turns;
mod ways_in;

pub use account::{Account, Accounts};
pub use budget::Budget;
pub use failure::StepFailure;
pub use order::{Asked, Progress, Ways};
pub use renewal::RenewalPolls;

use std::sync::Arc;

use certwright_core::api::issuer::Acme;

use crate::cluster::secrets::Named;

/// An account with an ACME CA, and what the issuer says of how to use it.
#[derive(Clone)]
pub struct AcmeIssuer {
    pub(super) account: Arc<Account>,
    pub(super) settings: Arc<Acme>,
    /// Whether the cluster's own people wrote the solvers: in a ClusterIssuer, or in the operator's namespace.
    pub(super) trusted: bool,
}

impl AcmeIssuer {
    /// An issuer that orders with this account.
    pub fn new(account: Arc<Account>, settings: Acme, trusted: bool) -> Self {
        Self {
            account,
            settings: Arc::new(settings),
            trusted,
        }
    }

    /// The Secret with the account's key, in the namespace of the issuer's Secrets.
    pub fn key_secret(&self, namespace: &str) -> Named {
        Named::new(namespace, &self.settings.private_key_secret_ref.name)
    }

    /// Whether no other key may be made for the account.
    pub fn keeps_its_key(&self) -> bool {
        self.settings
            .disable_account_key_generation
            .unwrap_or(false)
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }
}
