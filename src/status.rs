//! `certwright status`: how a Certificate stands, for a person to read.

mod render;

use std::pin::pin;

use anyhow::{Context as _, anyhow};
use certwright_core::api::{Certificate, ConditionStatus, condition};
use certwright_core::rollout::ROLLED_OUT;
use futures::StreamExt as _;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;

use crate::cli::{self, StatusSettings};
use crate::clock::{Clock, SystemClock};
use crate::inspect::connect;
use crate::revoke::read_certificate;

pub use render::render;

/// Prints how a Certificate stands, and if asked for goes on at each change while something is under way.
///
/// # Errors
/// When it can't be read, or is deleted meanwhile.
pub async fn run(settings: StatusSettings) -> anyhow::Result<()> {
    let (client, default_namespace) = connect(settings.context.clone()).await?;
    let namespace = settings.namespace.unwrap_or(default_namespace);
    let certificates: Api<Certificate> = Api::namespaced_with(client, &namespace, &settings.group);
    let place = format!("Certificate {namespace}/{}", settings.name);
    let mut certificate = read_certificate(&certificates, &place, &settings.name).await?;
    let page = |certificate: &Certificate| render(certificate, SystemClock.now());
    cli::print(&page(&certificate))?;
    if !settings.watch {
        return Ok(());
    }
    let named = format!("metadata.name={}", settings.name);
    let watch = watcher(certificates, watcher::Config::default().fields(&named));
    let mut events = pin!(watch.default_backoff());
    while is_under_way(&certificate) {
        let event = events.next().await.context("the watch has ended")?;
        match event {
            Ok(watcher::Event::Apply(seen) | watcher::Event::InitApply(seen)) => {
                if seen.status != certificate.status {
                    certificate = seen;
                    cli::print(&format!("\n{}", page(&certificate)))?;
                }
            }
            Ok(watcher::Event::Delete(_)) => return Err(anyhow!("{place} was deleted")),
            // It is begun again by itself.
            Err(problem) => eprintln!("The API server can't be asked now: {problem}"),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
        }
    }
    Ok(())
}

/// Whether an issuance, a rollout or the first look of the operator is to come to its end by itself.
fn is_under_way(certificate: &Certificate) -> bool {
    let Some(status) = &certificate.status else {
        return true;
    };
    let says = |type_: &str, wanted: ConditionStatus| {
        let found = condition::find(&status.conditions, type_);
        found.is_some_and(|condition| condition.status == wanted)
    };
    status.observed_generation != certificate.metadata.generation
        || says("Issuing", ConditionStatus::True)
        || says(ROLLED_OUT, ConditionStatus::False)
}
