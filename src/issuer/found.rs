//! An issuer as its watch shows it.

use std::sync::Arc;

use certwright_core::api::{ClusterIssuer, Issuer, IssuerSpec};
use kube::api::ObjectMeta;

/// An issuer as its watch shows it.
pub(super) enum Found {
    /// One of a namespace.
    Own(Arc<Issuer>),
    /// One of all namespaces, or of those that it lists.
    ForMany(Arc<ClusterIssuer>),
}

impl Found {
    pub(super) fn spec(&self) -> &IssuerSpec {
        match self {
            Self::Own(issuer) => &issuer.spec,
            Self::ForMany(issuer) => &issuer.spec,
        }
    }

    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Own(issuer) => &issuer.metadata,
            Self::ForMany(issuer) => &issuer.metadata,
        }
    }

    /// Whether it may be used for Certificates of this namespace. That an Issuer is of this very one, whoever looked for it
    /// has seen to.
    pub(super) fn serves(&self, namespace: &str) -> bool {
        match self {
            Self::Own(_) => true,
            Self::ForMany(issuer) => issuer.spec.serves(namespace),
        }
    }
}
