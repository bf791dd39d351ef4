//! What a client would have against what was found.

use anyhow::Context as _;
use certwright_core::pki::Facts;
use certwright_core::pki::faults::{self, Judgement, Shown};
use jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;

use super::{Found, Key};
use crate::cli::InspectSettings;
use crate::outside::Outside;

/// A chain, and whom to trust for it.
pub(crate) struct Trust {
    chain: Vec<Facts>,
    roots: RootCertStore,
    own_cas: bool,
}

impl Trust {
    /// The public CAs, those that the user adds, and those that stand beside the chain in a Secret.
    ///
    /// # Errors
    /// When one of the latter can't be trusted.
    pub(crate) fn new(
        settings: &InspectSettings,
        outside: &Outside,
        found: &Found,
    ) -> anyhow::Result<Self> {
        let mut roots = outside.roots().clone();
        let cas = found.cas();
        for ca in &cas {
            let added = roots.add(ca.der.clone());
            added.with_context(|| {
                format!("{}: a CA beside the chain can't be trusted", found.source)
            })?;
        }
        Ok(Self {
            chain: found.chain(),
            roots,
            own_cas: !cas.is_empty() || settings.outside.extra_ca_file.is_some(),
        })
    }

    /// The chain as it is judged for a name, if one is given.
    pub(crate) fn shown<'a>(
        &'a self,
        name: Option<&'a ServerName<'a>>,
        now: Timestamp,
    ) -> Shown<'a> {
        Shown {
            chain: &self.chain,
            name,
            holds_key: None,
            trusted: &self.roots.roots,
            own_cas: self.own_cas,
            least_left: SignedDuration::ZERO,
            now,
        }
    }
}

/// Judges what was found, its key too; `None` without a certificate.
pub(crate) fn judge(found: &Found, shown: &Shown<'_>) -> Option<Judgement> {
    let leaf = faults::leaf(shown.chain)?;
    let holds_key = match (&found.service, &found.key) {
        (Some(service), _) => service.holds_key,
        (None, Some(Key::Readable { public, .. })) => Some(*public == leaf.public_key),
        (None, _) => None,
    };
    faults::judge(&Shown {
        holds_key,
        ..*shown
    })
}

/// # Errors
/// When it is neither a DNS name nor an IP address.
pub(crate) fn server_name(name: &str) -> anyhow::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned())
        .with_context(|| format!("{name} is neither a DNS name nor an IP address"))
}
