//! Asking the CA to revoke a certificate.

use certwright_core::acme::{AccountKey, Meaning};
use certwright_core::pki::{Facts, PrivateKey};
use certwright_core::plan::revocation::{Answer, RevocationReason};
use jiff::Timestamp;

use super::failure::UNREACHABLE;
use super::{AcmeIssuer, StepFailure};
use crate::acme::AcmeError;

impl AcmeIssuer {
    /// Asks the CA to revoke a certificate: as the account, and if that is not the one that may, as whoever holds the
    /// certificate's `key`.
    pub async fn revoke(
        &self,
        now: Timestamp,
        certificate: &Facts,
        key: Option<PrivateKey>,
        reason: RevocationReason,
    ) -> Answer {
        let account = &self.account;
        let der = certificate.der.as_ref();
        let by_account = account
            .client
            .revoke(&account.key, Some(&account.url), der, reason.code())
            .await;
        let refused = match by_account {
            Err(error) if is_unauthorized(&error) => error,
            answer => return told(now, answer),
        };
        match key.map(AccountKey::new) {
            Some(Ok(key)) => told(
                now,
                account.client.revoke(&key, None, der, reason.code()).await,
            ),
            // What the CA said to the account is what there is to tell.
            Some(Err(_)) | None => told(now, Err(refused)),
        }
    }
}

fn is_unauthorized(error: &AcmeError) -> bool {
    matches!(
        error,
        AcmeError::Problem { status, problem, .. }
            if *status == 403 || problem.kind.ends_with(":unauthorized")
    )
}

fn told(now: Timestamp, answer: Result<(), AcmeError>) -> Answer {
    let Err(error) = answer else {
        return Answer::Revoked;
    };
    let meaning = StepFailure::meaning(now, &error);
    let failure = StepFailure::of_call(now, &error);
    match meaning {
        Some(Meaning::AlreadyRevoked) => Answer::Revoked,
        Some(meaning) if failure.keeps_order => Answer::Failed(failure.message, meaning.until()),
        // Whoever says no in no words of ACME is not the CA.
        _ if failure.keeps_order || failure.reason == UNREACHABLE => {
            Answer::Failed(failure.message, None)
        }
        _ => Answer::Refused(failure.message),
    }
}
