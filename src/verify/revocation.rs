//! What a CA says of revocation.

use anyhow::Context as _;
use certwright_core::pki::Facts;
use certwright_core::pki::faults::{Fault, Shown, Undecided, by_crl, by_ocsp, ocsp_request};

use super::fetch::{ask, fetch};
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

/// Asks for the certificate's revocation list, then its responders; the first word that can be believed counts.
pub(super) async fn standing(outside: &Outside, shown: &Shown<'_>, leaf: &Facts) -> Standing {
    let mut problems = Vec::new();
    let lists = leaf.crl_distribution_points.iter().take(MAX_PLACES);
    let responders = leaf.ocsp_servers.iter().take(MAX_PLACES);
    let places = lists
        .map(|url| (url, true))
        .chain(responders.map(|url| (url, false)));
    for (url, is_list) in places {
        let said = if is_list {
            by_list(outside, shown, url).await
        } else {
            by_responder(outside, shown, url).await
        };
        match said {
            Ok(Ok(None)) => return Standing::Good(url.clone()),
            Ok(Ok(Some(fault))) => return Standing::Revoked(fault),
            Ok(Err(problem)) => problems.push(format!("{url}: {problem}")),
            Err(problem) => problems.push(format!("{url}: {problem:#}")),
        }
    }
    if problems.is_empty() {
        return Standing::Unnamed;
    }
    Standing::Unknown(problems.join("; "))
}

type Said = anyhow::Result<Result<Option<Fault>, Undecided>>;

async fn by_list(outside: &Outside, shown: &Shown<'_>, url: &str) -> Said {
    let list = fetch(outside, url).await?;
    Ok(by_crl(shown, &list))
}

async fn by_responder(outside: &Outside, shown: &Shown<'_>, url: &str) -> Said {
    let request = ocsp_request(shown).context("the CA that signed it is not known")?;
    let answer = ask(outside, url, request).await?;
    Ok(by_ocsp(shown, &answer))
}

/// Each of them takes its time.
const MAX_PLACES: usize = 3;
