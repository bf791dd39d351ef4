//! What workloads read.

use std::fmt::{self, Display};

use super::WorkloadName;

/// A kind of object whose content reaches containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// A Secret or ConfigMap, by its name: what a workload reads is of its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Which of the two.
    pub kind: SourceKind,
    /// Its name.
    pub name: String,
}

/// A Secret or ConfigMap, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName {
    /// Its namespace.
    pub namespace: String,
    /// What it is there.
    pub source: Source,
}

impl SourceKind {
    /// The kind as it stands in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// The resource as it stands in a URL.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
        }
    }
}

impl Source {
    /// The Secret of this name.
    pub fn secret(name: impl Into<String>) -> Self {
        Self {
            kind: SourceKind::Secret,
            name: name.into(),
        }
    }

    /// The ConfigMap of this name.
    pub fn config_map(name: impl Into<String>) -> Self {
        Self {
            kind: SourceKind::ConfigMap,
            name: name.into(),
        }
    }

    /// It, in a namespace.
    pub fn within(&self, namespace: impl Into<String>) -> SourceName {
        SourceName {
            namespace: namespace.into(),
            source: self.clone(),
        }
    }
}

/// Kind and name, as in `Secret web-tls`.
impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

impl WorkloadName {
    /// What it reads: it is of the same namespace.
    pub fn read(&self, source: &Source) -> SourceName {
        source.within(&self.namespace)
    }
}
