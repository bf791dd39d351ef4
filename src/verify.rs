//! `certwright verify`: what a client would have against the certificates of a server, a Secret or a file, for people and
//! scripts.

mod fetch;
mod render;
mod revocation;

use anyhow::{Context as _, bail};
use certwright_core::pki::facts::Fingerprint;
use certwright_core::pki::faults::{self, Judgement, Shown, Standing};
use jiff::SignedDuration;

use crate::cli::{self, VerifySettings};
use crate::clock::{Clock, SystemClock};
use crate::inspect::{self, Found, Key, Trust};
use crate::outside::Outside;

pub(crate) use fetch::Way;
pub(crate) use revocation::{Asked, standing};

/// What came of it, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no fault.
    Fine,
    /// There are some.
    Faulty,
    /// It could not be found out.
    Undecided,
}

/// What there is to say.
#[derive(Debug)]
pub struct Report {
    /// Where the certificates are.
    pub source: String,
    /// Where a server was reached, and how.
    pub reached: Option<String>,
    /// The name they shall be for.
    pub name: Option<String>,
    /// SHA-256 of the leaf.
    pub fingerprint: Fingerprint,
    /// What is wrong.
    pub judgement: Judgement,
    /// What the CA says of revocation, if it was asked.
    pub standing: Option<Standing>,
}

impl Outcome {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Faulty => 1,
            Self::Undecided => 2,
        }
    }
}

impl Report {
    /// What it comes to. A fault that is known counts for more than what could not be found out.
    pub fn outcome(&self) -> Outcome {
        match (&self.standing, self.judgement.faults.is_empty()) {
            (_, false) => Outcome::Faulty,
            (Some(Standing::Unknown(_)), true) => Outcome::Undecided,
            (_, true) => Outcome::Fine,
        }
    }
}

/// Finds what `settings` name, judges it, and prints the faults.
///
/// # Errors
/// When it can't be reached or read.
pub async fn run(settings: VerifySettings) -> anyhow::Result<Outcome> {
    let outside = Outside::new(&settings.what.outside)?;
    let now = SystemClock.now();
    let found = inspect::find(&settings.what, &outside).await?;
    check_readable(&found)?;
    let service = found.service.as_ref();
    let name = service
        .map(|service| service.name.clone())
        .or_else(|| settings.what.server_name.clone());
    let server_name = name.as_deref().map(inspect::server_name).transpose()?;
    let trust = Trust::new(&settings.what, &outside, &found)?;
    let shown = Shown {
        least_left: SignedDuration::from_hours(24 * i64::from(settings.min_days)),
        ..trust.shown(server_name.as_ref(), now)
    };
    let mut judgement = inspect::judge(&found, &shown).context(NO_CERTIFICATE)?;
    let leaf = faults::leaf(shown.chain).context(NO_CERTIFICATE)?;
    let standing = if settings.revocation {
        let all = Asked {
            crl: true,
            ocsp: true,
        };
        Some(standing(Way::Any(&outside), all, &shown, leaf).await)
    } else {
        None
    };
    if let Some(Standing::Revoked(fault)) = &standing {
        judgement.faults.push(fault.clone());
        judgement.faults.sort();
    }
    let report = Report {
        reached: service.map(|service| service.reached.clone()),
        fingerprint: leaf.fingerprint,
        source: found.source,
        name,
        judgement,
        standing,
    };
    cli::print(&render::render(&report, now))?;
    Ok(report.outcome())
}

/// What can't be read can't be judged.
fn check_readable(found: &Found) -> anyhow::Result<()> {
    let mut problems = found.problems.clone();
    if let Some(Key::Unreadable(problem)) = &found.key {
        problems.push(problem.clone());
    }
    if !problems.is_empty() {
        bail!("{}: {}", found.source, problems.join("; "));
    }
    Ok(())
}

const NO_CERTIFICATE: &str = "there is no certificate in it";
