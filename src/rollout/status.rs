//! Tells a Certificate how far it has been carried.

use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::Certificate;
use certwright_core::rollout::{SecretName, carried, status_body};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::Surroundings;
use super::context::Context;
use super::error::Error;
use crate::cluster::apply;

/// How long changes are gathered before they are told: several dependents that move together cost one write.
pub(super) const GATHER: Duration = Duration::from_secs(1);

/// How soon to look again while not all workloads were listed.
const UNLISTED: Duration = Duration::from_secs(1);

/// Writes `status.rollout` and the condition `RolledOut`, if what they say has changed.
///
/// # Errors
/// When the API server refuses, in particular with a conflict when the Certificate has changed meanwhile.
pub(super) async fn reconcile<S: Surroundings>(
    certificate: Arc<Certificate>,
    context: &Context<S>,
) -> Result<Action, Error> {
    let namespace = certificate.namespace().unwrap_or_default();
    let name = certificate.name_any();
    // What the rest of us wrote since counts: on anything older, this write would be a conflict.
    let newest = context.surroundings.certificate(&namespace, &name);
    let certificate = &*newest.unwrap_or(certificate);
    if certificate.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if !context.index().is_complete() {
        return Ok(Action::requeue(UNLISTED));
    }
    let secret = SecretName {
        namespace: namespace.clone(),
        name: certificate.spec.secret_name.clone(),
    };
    let held = context.surroundings.held(&secret);
    let Some(held) = held.filter(|held| held.certificate == name) else {
        return Ok(Action::await_change());
    };
    let dependents = context.dependents(&secret);
    let dependents = dependents.iter().map(|workload| &**workload);
    let now = context.surroundings.now();
    let carried = carried(now, &context.group, certificate, &held, dependents);
    let Some(body) = status_body(&context.group, certificate, carried.as_ref()) else {
        return Ok(Action::await_change());
    };
    if !context.surroundings.may_write() {
        // It is looked at again once this replica leads.
        return Ok(Action::await_change());
    }
    let certificates: Api<Certificate> =
        Api::namespaced_with(context.client.clone(), &namespace, &context.group);
    let written = apply::rollout_status(&certificates, &context.group, &name, &body)
        .await
        .map_err(|source| Error::WriteStatus {
            name: format!("{namespace}/{name}"),
            source,
        })?;
    context.surroundings.wrote(written);
    Ok(Action::await_change())
}
