//! A CA whose key is in a Secret.

use std::sync::Arc;

use certwright_core::pki::Authority;
use certwright_core::pki::sign::{self, Locations};

use super::{IssueError, Issued, Issuer, Request};

/// Signs with a CA.
pub struct CaIssuer {
    pub(super) authority: Arc<Authority>,
    pub(super) locations: Locations,
}

impl Issuer for CaIssuer {
    async fn advance(&self, request: Request<'_>) -> Result<Issued, IssueError> {
        let refused = |message: String| IssueError {
            reason: "SigningRefused",
            message,
        };
        let public_key = request
            .csr
            .verified_public_key()
            .map_err(|problem| refused(problem.to_string()))?;
        let leaf = sign::by_authority(
            request.profile,
            &self.locations,
            &public_key,
            &self.authority,
            request.now,
        )
        .map_err(|problem| refused(problem.to_string()))?;
        let above = self
            .authority
            .intermediates()
            .iter()
            .map(|facts| facts.der.clone());
        Ok(Issued {
            chain: std::iter::once(leaf).chain(above).collect(),
            ca: Some(self.authority.top().der.clone()),
        })
    }
}
