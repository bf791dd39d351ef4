//! The API group as a value.

use std::sync::Arc;

/// The API group Certwright serves its types under, and every name that is derived from it.
///
/// It is the `DynamicType` of all our kinds, so that the same code serves the same types as another group
/// chosen at start. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Arc<Names>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Names {
    name: String,
    manager: String,
}

impl Group {
    /// The only version served so far.
    pub const VERSION: &'static str = "v1alpha1";

    /// A group of this name, such as `certwright.dev`; `manager` is the field manager of server-side apply.
    pub fn new(name: impl Into<String>, manager: impl Into<String>) -> Self {
        Self(Arc::new(Names {
            name: name.into(),
            manager: manager.into(),
        }))
    }

    /// The group's DNS name, such as `certwright.dev`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Group and version as they stand in a manifest, such as `certwright.dev/v1alpha1`.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.0.name, Self::VERSION)
    }

    /// The full name of one of our annotations or labels, such as `certwright.dev/renew`.
    pub fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.0.name)
    }

    /// What all our annotations and labels begin with, such as `certwright.dev/`.
    pub fn prefix(&self) -> String {
        format!("{}/", self.0.name)
    }

    /// The field manager that owns Secrets and status.
    pub fn manager(&self) -> &str {
        &self.0.manager
    }

    /// The field manager that owns `status.rollout`, its conditions, and the marks on workloads.
    pub fn rollout_manager(&self) -> String {
        format!("{}-rollout", self.0.manager)
    }
}

impl Default for Group {
    fn default() -> Self {
        Self::new("certwright.dev", "certwright")
    }
}
