//! Certificates that are signed by their own key.

use certwright_core::pki::sign::{self, Locations};

use super::{IssueError, Issued, Issuer, Request};

/// Signs each certificate with its own key.
pub struct SelfSignedIssuer {
    pub(super) locations: Locations,
}

impl Issuer for SelfSignedIssuer {
    async fn advance(&self, request: Request<'_>) -> Result<Issued, IssueError> {
        let certificate =
            sign::self_signed(request.profile, &self.locations, request.key, request.now).map_err(
                |problem| IssueError {
                    reason: "SigningRefused",
                    message: problem.to_string(),
                },
            )?;
        Ok(Issued {
            chain: vec![certificate.clone()],
            ca: Some(certificate),
        })
    }
}
