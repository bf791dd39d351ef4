//! The API group: what users write and read.

pub mod certificate;
pub mod condition;
pub mod duration;
pub mod group;
pub mod issuer;
pub mod names;
mod object;
pub mod schema;
pub mod served_check;

pub use certificate::{Certificate, CertificateSpec, CertificateStatus};
pub use condition::{Condition, ConditionStatus};
pub use duration::DurationText;
pub use group::Group;
pub use issuer::{ClusterIssuer, Issuer, IssuerSpec, IssuerStatus};
pub use served_check::{ServedCheck, ServedCheckSpec, ServedCheckStatus};
