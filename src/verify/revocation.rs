//! What a CA says of revocation.

use certwright_core::pki::Facts;
use certwright_core::pki::faults::{Fault, Shown, by_crl};

use super::fetch::fetch;
use crate::outside::Outside;

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The certificate names nobody who could be asked, as those that last for days.
    Unnamed,
    /// Not revoked, says who is found at this URL.
    Good(String),
    /// Revoked.
    Revoked(Fault),
    /// Nobody said anything that can be believed, for these reasons.
    Unknown(String),
}

/// Asks for the certificate's revocation list; the first word that can be believed counts.
pub(super) async fn ask(outside: &Outside, shown: &Shown<'_>, leaf: &Facts) -> Standing {
    let mut problems = Vec::new();
    for url in leaf.crl_distribution_points.iter().take(MAX_PLACES) {
        let said = match fetch(outside, url).await {
            Ok(list) => by_crl(shown, &list).map_err(|problem| problem.to_string()),
            Err(problem) => Err(format!("{problem:#}")),
        };
        match said {
            Ok(None) => return Standing::Good(url.clone()),
            Ok(Some(fault)) => return Standing::Revoked(fault),
            Err(problem) => problems.push(format!("{url}: {problem}")),
        }
    }
    if problems.is_empty() && leaf.ocsp_servers.is_empty() {
        return Standing::Unnamed;
    }
    if problems.is_empty() {
        problems.push("it names only an OCSP responder, and these are not asked".to_owned());
    }
    Standing::Unknown(problems.join("; "))
}

/// Each of them takes its time.
const MAX_PLACES: usize = 3;
