//! How workloads get a new certificate.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::RenewalWindow;
use crate::api::DurationText;

/// How the workloads that read the Secret get a new certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// What is done to the Deployments, StatefulSets, DaemonSets and other workloads that read the Secret, unless their own annotation or a rule says otherwise: `Restart` replaces their Pods as `kubectl rollout restart` does, once for each new certificate; `Reload` leaves them alone, for software that reads its files again by itself; `Call` sends their Pods an HTTP request; `None` leaves them alone and doesn't count them.
    ///
    /// Defaults to what the operator is started with: `Restart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RolloutStrategy>,
    /// The request of strategy `Call`, for workloads that neither an annotation nor a rule gives another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<RolloutCall>,
    /// What is done to some of the workloads: the first that fits counts. What it leaves out is as the Certificate says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RolloutRule>,
    /// How many of the workloads may be restarted or called at once, from 1 to 1000. Defaults to what the operator is started with: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<i32>,
    /// How much time lies between the starts of two restarts or calls, at least, such as `30s`. Defaults to what the operator is started with: `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_gap: Option<DurationText>,
    /// How long a restart may take until all Pods are available, such as `10m`: after it, no other workload is taken up until this one is well again, or a newer certificate was issued. Defaults to what the operator is started with: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_timeout: Option<DurationText>,
    /// Restarts begin only while one of these is open. Strategies other than `Restart` don't wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<RenewalWindow>,
    /// Windows no longer hold a restart back when less than this is left of the certificate that the workload still runs with, such as `72h` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgent_before: Option<DurationText>,
    /// What happens if a workload can't do with a new certificate: `Disabled` (default) halts its rollout and leaves the certificate in the Secret; `Enabled` puts the one before back into it.
    ///
    /// A workload refuses a certificate if it was restarted for it, nothing else in its Pod template is new, and its processes end by themselves or don't get ready. A missing image, a full node and a change of its owner's are no refusals.
    /// With `Enabled`, the pair that a renewal replaces is kept in a Secret of its own until a fifth of its life is left; it comes back only if it says all names of the spec, is valid, of the same issuer, and not revoked. `status.heldBack` then says what is refused; a new one is issued when the spec changes, a renewal is asked for by hand, or a fifth of the restored one's life is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll_back: Option<RollBackPolicy>,
    /// How it is proven that workloads serve the certificate, for those that neither an annotation nor a rule says anything about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<RolloutProbe>,
}

impl Rollout {
    /// Whether the certificate before comes back if a workload can't do with the new one.
    pub fn rolls_back(&self) -> bool {
        self.roll_back.unwrap_or_default() == RollBackPolicy::Enabled
    }
}

/// What happens if a workload can't do with a new certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RollBackPolicy {
    /// Its rollout halts.
    #[default]
    Disabled,
    /// The one before comes back.
    Enabled,
}

/// What is done to workloads that read the Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutStrategy {
    /// Their Pods are replaced, as `kubectl rollout restart` does.
    #[default]
    Restart,
    /// Nothing: their Pods read the files again by themselves.
    Reload,
    /// Each of their Pods is sent an HTTP request.
    Call,
    /// Nothing, and they are not counted.
    None,
}

impl RolloutStrategy {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "Restart",
            Self::Reload => "Reload",
            Self::Call => "Call",
            Self::None => "None",
        }
    }
}

impl FromStr for RolloutStrategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Restart" => Ok(Self::Restart),
            "Reload" => Ok(Self::Reload),
            "Call" => Ok(Self::Call),
            "None" => Ok(Self::None),
            _ => Err(format!(
                "{text:?} is no strategy; write Restart, Reload, Call or None"
            )),
        }
    }
}

/// Some of the workloads that read the Secret, and what is done to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutRule {
    /// Those of this kind: `Deployment`, `StatefulSet`, `DaemonSet`, or one that the operator was told of, such as `Rollout`. Where two groups have a kind of that name, both are meant, and `Rollout.argoproj.io` is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The one of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those with such labels; the workload's own, not its Pods'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<WorkloadSelector>,
    /// What is done to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RolloutStrategy>,
    /// The request of strategy `Call`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<RolloutCall>,
    /// When they are taken up, from 0 (default) to 100: once all workloads of lower waves run with the certificate and are well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<i32>,
    /// How it is proven that they serve the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<RolloutProbe>,
}

/// Labels that a workload must carry: whatever is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSelector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// What must hold of labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// What must hold of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// `In` and `NotIn` compare its value with `values`; `Exists` and `DoesNotExist` only ask whether it is there.
    pub operator: LabelOperator,
    /// For `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// Its value is one of some.
    In,
    /// It is missing, or its value is none of some.
    NotIn,
    /// It is there.
    Exists,
    /// It is missing.
    DoesNotExist,
}

impl From<&WorkloadSelector> for LabelSelector {
    fn from(selector: &WorkloadSelector) -> Self {
        let requirement = |requirement: &LabelRequirement| LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: format!("{:?}", requirement.operator),
            values: Some(requirement.values.clone()),
        };
        Self {
            match_labels: Some(selector.match_labels.clone()),
            match_expressions: Some(selector.match_expressions.iter().map(requirement).collect()),
        }
    }
}

/// An HTTP request that makes software read its certificate again.
///
/// It is sent, without TLS and without a body, to each of the workload's own Pods at its own address. Each has to answer
/// with a status of 200 to 299 within ten seconds. Redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutCall {
    /// `POST` (default), `PUT` or `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<CallMethod>,
    /// The path, with a query if need be, such as `/-/reload`.
    pub path: String,
    /// The port's number, or the name of a port of the Pod's containers.
    pub port: CallPort,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// GET.
    Get,
}

impl CallMethod {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Get => "GET",
        }
    }
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CallPort {
    /// By number.
    Number(u16),
    /// By the name that a container gives it.
    Name(String),
}

impl Display for CallPort {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl JsonSchema for CallPort {
    fn schema_name() -> Cow<'static, str> {
        "CallPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true })
    }
}

/// How it is proven that a workload serves the certificate: by a TLS handshake with each of its ready Pods, at the Pod's own
/// address, and with the Services that lead to these Pods alone. Nothing is sent but the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutProbe {
    /// `Enabled` (default), or `Disabled`: then the workload is not connected to, and taken to serve what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ProbePolicy>,
    /// The ports that serve the certificate, at most 16: whatever else one of them shows is stale. If left out, all TCP ports that the Pods' containers name are tried, and what says nothing about the certificate's names is passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ProbePort>,
    /// The name that is asked for in the handshake (SNI), such as `db.example.com`. Defaults to the certificate's first DNS name; `*` stands for a label there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Whether workloads are connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProbePolicy {
    /// They are.
    #[default]
    Enabled,
    /// They are not.
    Disabled,
}

/// A port that serves the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbePort {
    /// The port's number, or the name of a port of the Pod's containers.
    pub port: CallPort,
    /// The protocol that leads to TLS, where the port does not begin with it: `smtp`, `imap`, `postgres`, `mysql` or `ldap`.
    #[serde(default, rename = "startTLS", skip_serializing_if = "Option::is_none")]
    pub start_tls: Option<StartTlsProtocol>,
}

/// A protocol that begins in the clear and leads to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartTlsProtocol {
    /// Mail between servers (RFC 3207).
    Smtp,
    /// Mailboxes (RFC 9051 section 6.2.1).
    Imap,
    /// PostgreSQL's SSLRequest.
    Postgres,
    /// MySQL's and MariaDB's SSLRequest.
    Mysql,
    /// Directories (RFC 4511 section 4.14).
    Ldap,
}

impl FromStr for StartTlsProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "smtp" => Ok(Self::Smtp),
            "imap" => Ok(Self::Imap),
            "postgres" => Ok(Self::Postgres),
            "mysql" => Ok(Self::Mysql),
            "ldap" => Ok(Self::Ldap),
            _ => Err(format!(
                "{text:?} does not lead to TLS; write smtp, imap, postgres, mysql or ldap"
            )),
        }
    }
}
