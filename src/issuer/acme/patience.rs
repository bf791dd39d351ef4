//! How long a CA may take.

use std::time::Duration;

use tokio::time::timeout;

use crate::acme::AcmeError;

/// How long a CA may take for all that is asked about an account, or to revoke. The steps of orders have a time of their own.
pub(super) const ASK: Duration = Duration::from_secs(60);

/// What a CA comes to in time. Whatever it did before that was over, it tells when it is asked again.
///
/// # Errors
/// Its own, and that it was too slow.
pub(super) async fn in_time<T>(
    server: &str,
    asked: impl Future<Output = Result<T, AcmeError>>,
) -> Result<T, AcmeError> {
    match timeout(ASK, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(too_slow(server, ASK)),
    }
}

/// That a CA was not done in this time.
pub(super) fn too_slow(server: &str, within: Duration) -> AcmeError {
    AcmeError::TooSlow {
        host: server.to_owned(),
        within,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_never_done_is_not_waited_for_for_ever() {
        let done = in_time("https://ca.example/", ready(Ok(7))).await;
        assert!(matches!(done, Ok(7)));
        let never = pending::<Result<(), AcmeError>>();
        let problem = in_time("https://ca.example/", never).await.unwrap_err();
        assert_eq!(
            problem.to_string(),
            "https://ca.example/ did not come to an end within 60s with what it was asked"
        );
    }
}
