//! Whose turn it is to ask an issuer's CA about its account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certwright_core::plan::request::IssuerName;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::cluster::secrets::IssuerKey;
use crate::error::{Error, Object};

/// How long to wait while somebody else asks a CA.
const TURN: Duration = Duration::from_secs(10);

/// What is held while an issuer's CA is asked, so that many Certificates ask it once.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<IssuerKey, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for the turn to ask an issuer's CA, which is over when the answer is dropped.
    ///
    /// # Errors
    /// When somebody else asks for so long that it is better to come back.
    pub(super) async fn take(&self, issuer: &IssuerKey) -> Result<OwnedMutexGuard<()>, Error> {
        let turn = Arc::clone(self.lock().entry(issuer.clone()).or_default());
        let (IssuerName { name, .. }, namespace) = issuer;
        timeout(TURN, turn.lock_owned())
            .await
            .map_err(|_| Error::NotInTurn(Object::new("issuer", namespace, name)))
    }

    /// Forgets issuers that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&IssuerKey) -> bool) {
        self.lock().retain(|issuer, _| exists(issuer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IssuerKey, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    fn issuer(name: &str) -> IssuerKey {
        let name = IssuerName {
            cluster: false,
            name: name.to_owned(),
        };
        (name, "shop".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_a_slow_ca_is_asked_comes_back_soon_and_nothing_has_failed() {
        let turns = Turns::default();
        let held = turns.take(&issuer("slow")).await.unwrap();
        let waits = turns.take(&issuer("slow")).await.unwrap_err();
        assert_eq!(waits.retry(), Retry::Soon);
        assert_eq!(
            waits.to_string(),
            "the CA of issuer shop/slow is being asked by somebody else"
        );
        // Nobody waits for another's CA.
        turns.take(&issuer("other")).await.unwrap();

        drop(held);
        turns.take(&issuer("slow")).await.unwrap();
        turns.retain(|_| false);
        assert!(turns.lock().is_empty());
    }
}
