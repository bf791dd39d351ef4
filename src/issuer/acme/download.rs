//! Fetching a certificate, and choosing among its chains.

use certwright_core::acme::chains;
use certwright_core::pki::Facts;
use tracing::warn;

use super::order::{Asked, Progress};
use super::{AcmeIssuer, StepFailure};
use crate::acme::AcmeError;
use crate::issuer::Issued;

impl AcmeIssuer {
    /// Fetches the certificate.
    pub(super) async fn fetch(
        &self,
        asked: &Asked<'_>,
        url: &str,
    ) -> Result<Progress, StepFailure> {
        match self.download(url).await {
            Ok(chain) if chains::is_cut_off(&chain, self.account.roots()) => {
                Err(StepFailure::of_cut_off_chain())
            }
            Ok(chain) => Ok(Progress::Issued(Issued {
                chain: chain.into_iter().map(|facts| facts.der).collect(),
                ca: None,
            })),
            Err(error) => Err(self.failed(asked, &error)),
        }
    }

    async fn download(&self, url: &str) -> Result<Vec<Facts>, AcmeError> {
        let account = &self.account;
        let first = account
            .client
            .chain(&account.key, &account.url, url)
            .await?;
        let nonsense = |why: String| AcmeError::Nonsense {
            host: url.to_owned(),
            why,
        };
        let read = |pem: &[u8]| {
            chains::read(pem)
                .map_err(|problem| nonsense(format!("a certificate that can't be read: {problem}")))
        };
        let preferred = self.settings.preferred_chain();
        let mut found = vec![read(&first.pem)?];
        if chains::needs_alternates(&found[0], preferred) {
            for url in first.alternates.iter().take(chains::MAX_CHAINS - 1) {
                let client = &account.client;
                let other = client.chain(&account.key, &account.url, url).await;
                match other.and_then(|other| read(&other.pem)) {
                    Ok(chain) => {
                        let preferred = !chains::needs_alternates(&chain, preferred);
                        found.push(chain);
                        if preferred {
                            break;
                        }
                    }
                    // The first is a good one too.
                    Err(problem) => warn!(%problem, "One of the CA's chains can't be had"),
                }
            }
        }
        chains::choose(found, preferred).ok_or_else(|| nonsense("no certificate".to_owned()))
    }
}
