//! What a CA says of revocation.

use anyhow::Context as _;
use certwright_core::pki::Facts;
use certwright_core::pki::faults::{
    Fault, Shown, Standing, Undecided, by_crl, by_ocsp, ocsp_request,
};

use super::fetch::{Way, ask, fetch};

/// Which of those are asked that a certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its revocation lists.
    pub(crate) crl: bool,
    /// Its OCSP responders.
    pub(crate) ocsp: bool,
}

/// Asks for the certificate's revocation list, then its responders; the first word that can be believed counts.
pub(crate) async fn standing(
    way: Way<'_>,
    asked: Asked,
    shown: &Shown<'_>,
    leaf: &Facts,
) -> Standing {
    let mut problems = Vec::new();
    let lists = leaf.crl_distribution_points.iter().take(MAX_PLACES);
    let responders = leaf.ocsp_servers.iter().take(MAX_PLACES);
    let places = lists
        .filter(|_| asked.crl)
        .map(|url| (url, true))
        .chain(responders.filter(|_| asked.ocsp).map(|url| (url, false)));
    for (url, is_list) in places {
        let said = if is_list {
            by_list(way, shown, url).await
        } else {
            by_responder(way, shown, url).await
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

async fn by_list(way: Way<'_>, shown: &Shown<'_>, url: &str) -> Said {
    let list = fetch(way, url).await?;
    Ok(by_crl(shown, &list))
}

async fn by_responder(way: Way<'_>, shown: &Shown<'_>, url: &str) -> Said {
    let request = ocsp_request(shown).context("the CA that signed it is not known")?;
    let answer = ask(way, url, request).await?;
    Ok(by_ocsp(shown, &answer))
}

/// Each of them takes its time.
const MAX_PLACES: usize = 3;
