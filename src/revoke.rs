//! `certwright revoke`: has an ACME CA revoke a certificate.
//!
//! What a Certificate holds, the operator revokes, asked by an annotation. For everything else the CA is asked here, with the
//! certificate's own key, which stays in memory.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use certwright_core::acme::{AccountKey, problem};
use certwright_core::api::Certificate;
use certwright_core::pki::{Facts, PrivateKey, chain};
use certwright_core::plan::marks::REVOKE;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::acme::{self, AcmeError, Transport, Verification};
use crate::cli::{self, Revocable, RevokeSettings};
use crate::inspect::{PATIENCE, bounded, connect, secret};
use crate::outside::{Allowed, Outside};

/// Revokes what `settings` name, or has it revoked.
///
/// # Errors
/// When it can't be read, or the API server or the CA refuses.
pub async fn run(settings: RevokeSettings) -> anyhow::Result<()> {
    if let Revocable::Certificate(name) = &settings.target {
        if settings.server.is_some() || settings.key.is_some() {
            bail!("a Certificate's issuer knows its CA and key: leave out --server and --key");
        }
        return by_annotation(&settings, name).await;
    }
    let Some(server) = settings.server.as_deref() else {
        bail!("which CA? Write --server with the URL of its directory");
    };
    let (certificate, key) = found(&settings).await?;
    let outside = Arc::new(Outside::new(&settings.outside)?);
    // Whom a person asks is that person's business.
    let transport = Transport::new(outside, Allowed::any(), &Verification::Roots(None))?;
    let client = acme::Client::new(transport, server);
    let serial = certificate.serial_hex();
    let code = settings.reason.code();
    match client.revoke(&key, None, &certificate.der, code).await {
        Ok(()) => cli::print(&format!("The CA has revoked the certificate {serial}.\n")),
        Err(AcmeError::Problem { problem, .. }) if problem.kind.ends_with(":alreadyRevoked") => {
            cli::print(&format!("The certificate {serial} was revoked before.\n"))
        }
        Err(AcmeError::Problem { problem, .. }) => bail!(
            "the CA does not revoke the certificate {serial}: {}",
            problem::plain(&problem.detail, problem::MAX_DETAIL)
        ),
        Err(problem) => Err(anyhow!("failed to ask the CA: {problem}")),
    }
}

/// Asks the operator to revoke what a Certificate holds now.
async fn by_annotation(settings: &RevokeSettings, name: &str) -> anyhow::Result<()> {
    let (client, default_namespace) = connect(settings.context.clone()).await?;
    let namespace = settings.namespace.clone().unwrap_or(default_namespace);
    let certificates = Api::namespaced_with(client, &namespace, &settings.group);
    let place = format!("Certificate {namespace}/{name}");
    let certificate = read_certificate(&certificates, &place, name).await?;
    let serial = certificate
        .status
        .and_then(|status| status.serial_number)
        .ok_or_else(|| anyhow!("{place} holds no certificate"))?;
    let annotation = settings.group.key(REVOKE);
    let value = format!("{serial}:{}", settings.reason);
    let patch = json!({ "metadata": {
        // Nothing that came meanwhile is meant.
        "resourceVersion": certificate.metadata.resource_version,
        "annotations": { (annotation.as_str()): value.as_str() },
    } });
    let parameters = PatchParams::default();
    let patch = Patch::Merge(&patch);
    let patched = certificates.patch(name, &parameters, &patch);
    tokio::time::timeout(PATIENCE, patched)
        .await
        .context("the API server did not answer in time")?
        .map_err(|error| anyhow!("failed to annotate {place}: {error}"))?;
    cli::print(&format!(
        "{place} is annotated with {annotation}={value}.\nThe operator revokes it and issues another; its status.revocation says \
         what came of it.\n"
    ))
}

/// A Certificate as it is now; `place` is what an error calls it.
pub(crate) async fn read_certificate(
    certificates: &Api<Certificate>,
    place: &str,
    name: &str,
) -> anyhow::Result<Certificate> {
    tokio::time::timeout(PATIENCE, certificates.get_opt(name))
        .await
        .context("the API server did not answer in time")?
        .map_err(|error| anyhow!("failed to read {place}: {error}"))?
        .ok_or_else(|| anyhow!("there is no {place}"))
}

/// The certificate and its key, which must fit.
async fn found(settings: &RevokeSettings) -> anyhow::Result<(Facts, AccountKey)> {
    let (place, certificates, mut key) = match &settings.target {
        Revocable::Secret(name) => {
            let (client, default_namespace) = connect(settings.context.clone()).await?;
            let namespace = settings.namespace.clone().unwrap_or(default_namespace);
            let mut data = secret(client, &namespace, name)
                .await?
                .data
                .unwrap_or_default();
            let mut entry = |key: &str| {
                let octets = data.remove(key).map(|octets| octets.0);
                octets.unwrap_or_default()
            };
            (
                format!("Secret {namespace}/{name}"),
                entry("tls.crt"),
                entry("tls.key").into(),
            )
        }
        Revocable::File(path) => {
            let octets = read(path)?;
            (path.display().to_string(), octets.to_vec(), octets)
        }
        Revocable::Certificate(_) => bail!("a Certificate is revoked by the operator"),
    };
    if let Some(path) = &settings.key {
        key = read(path)?;
    }
    let certificate = chain::read_pem(&certificates)
        .map_err(|problem| anyhow!("{place}: {problem}"))?
        .into_iter()
        .next()
        .ok_or_else(|| anyhow!("{place}: no certificate"))?;
    let key = PrivateKey::from_pem(&key).map_err(|problem| {
        anyhow!("{place}: {problem}; only who holds the private key may ask (--key FILE)")
    })?;
    if *key.public() != certificate.public_key {
        bail!("{place}: the private key does not belong to the first certificate");
    }
    let key = AccountKey::new(key).map_err(|problem| anyhow!("{place}: {problem}"))?;
    Ok((certificate, key))
}

fn read(path: &Path) -> anyhow::Result<zeroize::Zeroizing<Vec<u8>>> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("failed to open {name}"))?;
    bounded(file, &name)
}
