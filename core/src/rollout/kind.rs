//! The kinds of workload that are rolled.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

/// How many other kinds there may be.
const MOST: usize = 16;
/// The longest name that Kubernetes takes for a group (RFC 1123 subdomain).
const LONGEST_GROUP: usize = 253;
/// The longest name that Kubernetes takes for a version, a kind or a plural (RFC 1123 label).
const LONGEST_LABEL: usize = 63;

/// A kind of workload that is rolled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// One that the operator was told of.
    Other(Arc<OtherKind>),
}

/// A kind of workload that the operator was told of, such as the Rollouts of Argo.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherKind {
    /// Its API group, such as `argoproj.io`.
    pub group: String,
    /// The version of the group that it is read and written by, such as `v1alpha1`.
    pub version: String,
    /// The kind as it stands in a manifest, such as `Rollout`.
    pub kind: String,
    /// What it is called in the API server's paths, such as `rollouts`; `None` if the API server is to be asked.
    pub plural: Option<String>,
    /// Where its Pod template is.
    pub template: TemplatePath,
}

/// Kinds of workload that the operator was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherKinds(Vec<WorkloadKind>);

/// Where the Pod template of a kind is: the names of the fields of its spec that lead to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplatePath(Vec<String>);

impl WorkloadKind {
    /// Those that are always rolled.
    pub const BUILT_IN: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The kind as it stands in a manifest.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Other(other) => &other.kind,
        }
    }

    /// Its API group.
    pub fn group(&self) -> &str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::Other(other) => &other.group,
        }
    }

    /// The version of its group that it is read and written by.
    pub fn version(&self) -> &str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "v1",
            Self::Other(other) => &other.version,
        }
    }

    /// Group and version, as they stand in a manifest.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group(), self.version())
    }

    /// What it is called in the API server's paths, if that is known.
    pub fn plural(&self) -> Option<&str> {
        match self {
            Self::Deployment => Some("deployments"),
            Self::StatefulSet => Some("statefulsets"),
            Self::DaemonSet => Some("daemonsets"),
            Self::Other(other) => other.plural.as_deref(),
        }
    }

    /// The fields of its spec that lead to its Pod template.
    pub(super) fn template(&self) -> impl DoubleEndedIterator<Item = &str> {
        let (built_in, other) = match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => (Some("template"), None),
            Self::Other(other) => (None, Some(&other.template)),
        };
        let other = other.into_iter().flat_map(|path| &path.0);
        built_in.into_iter().chain(other.map(String::as_str))
    }

    /// Whether a user means it by `name`: its kind, or kind and group with a dot between them.
    pub fn is_called(&self, name: &str) -> bool {
        name.strip_prefix(self.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.') == Some(self.group()))
    }
}

impl TemplatePath {
    /// What is there in an object.
    pub(super) fn of<'o>(&self, object: &'o Value) -> Option<&'o Value> {
        let spec = object.get("spec")?;
        self.0
            .iter()
            .try_fold(spec, |inner, field| inner.get(field))
    }
}

/// As it stands in a manifest.
impl Display for WorkloadKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for TemplatePath {
    fn default() -> Self {
        Self(vec!["template".to_owned()])
    }
}

impl Display for TemplatePath {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(".spec")?;
        self.0.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

impl FromStr for TemplatePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields = text.strip_prefix(".spec.").unwrap_or_default().split('.');
        let fields: Option<Vec<String>> = fields
            .map(|field| is_field(field).then(|| field.to_owned()))
            .collect();
        fields.map(Self).ok_or_else(|| {
            format!("{text:?} is no path to a Pod template; write one below .spec, such as .spec.template")
        })
    }
}

/// `GROUP/VERSION/KIND`, if need be with the plural and the path of the Pod template: `GROUP/VERSION/KIND:PLURAL:PATH`.
impl FromStr for OtherKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let name: Vec<&str> = parts.next().unwrap_or_default().split('/').collect();
        let [group, version, kind] = name[..] else {
            return Err(format!(
                "{text:?} is no kind; write group, version and kind, such as argoproj.io/v1alpha1/Rollout"
            ));
        };
        if !is_group(group) {
            return Err(format!(
                "{group:?} is no group of other kinds, such as argoproj.io; Deployments, StatefulSets and DaemonSets are rolled anyway, and nothing else of Kubernetes' own can be"
            ));
        }
        if !is_label(version) {
            return Err(format!("{version:?} is no version, such as v1alpha1"));
        }
        if !is_kind(kind) {
            return Err(format!("{kind:?} is no kind, such as Rollout"));
        }
        let plural = parts.next().filter(|plural| !plural.is_empty());
        if let Some(plural) = plural.filter(|plural| !is_label(plural)) {
            return Err(format!("{plural:?} is no plural, such as rollouts"));
        }
        let template = parts.next().filter(|path| !path.is_empty());
        Ok(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.map(str::to_owned),
            template: template.map(str::parse).transpose()?.unwrap_or_default(),
        })
    }
}

impl OtherKinds {
    /// All kinds that are rolled.
    pub fn and_built_in(&self) -> impl Iterator<Item = WorkloadKind> {
        let built_in = WorkloadKind::BUILT_IN.into_iter();
        built_in.chain(self.0.iter().cloned())
    }
}

/// Each as [`OtherKind`] is written, with commas between them.
impl FromStr for OtherKinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut kinds: Vec<WorkloadKind> = Vec::new();
        let texts = text.split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            let kind = WorkloadKind::Other(Arc::new(text.parse()?));
            let is_same = |known: &WorkloadKind| {
                (known.group(), known.as_str()) == (kind.group(), kind.as_str())
            };
            if kinds.iter().any(is_same) {
                return Err(format!(
                    "{text:?} names a kind for the second time; name each kind once, in one version"
                ));
            }
            kinds.push(kind);
        }
        if kinds.len() > MOST {
            return Err(format!("name at most {MOST} kinds: each is watched"));
        }
        Ok(Self(kinds))
    }
}

fn is_group(text: &str) -> bool {
    text.len() <= LONGEST_GROUP && text.contains('.') && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_kind(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The name of a field, as all of Kubernetes' own are.
fn is_field(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
