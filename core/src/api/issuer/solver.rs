//! How names are proven to an ACME CA.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::DurationText;

/// One way to prove names to the CA: exactly one of `http01` and `dns01`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Solver {
    /// For which names and Certificates this is meant; for all if left out.
    ///
    /// Of several solvers that fit a name, the one with the name itself in `dnsNames` is taken; then the one with the longest fitting entry of `dnsZones`; then the one with the most `matchLabels`; then the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// How long to wait before the CA is told to look, such as `30s`, instead of looking ourselves first; `0s` tells it at once.
    ///
    /// For names that can't be reached from inside the cluster. Without it, the answer is looked for through the front door until it is there, for two minutes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_instead_of_self_check: Option<DurationText>,
    /// The CA fetches an answer from port 80 of each name or address. Not for wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http01: Option<Http01>,
    /// Not served yet: refused with a message that names another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns01: Option<AnyObject>,
}

/// For which names and Certificates a solver is meant: whatever is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels that the Certificate must carry, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Names as the Certificate has them, such as `example.com` or `*.example.com`: exactly these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// Domains, such as `example.com`: each stands for itself and all names below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_zones: Vec<String>,
}

/// The CA fetches an answer over HTTP (RFC 8555 section 8.3): exactly one of `ingress` and `gatewayHTTPRoute`.
///
/// The operator answers by itself: no Pods are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http01 {
    /// Where the Ingress or HTTPRoute for the answer is made: `Certificate` (default), in the Certificate's namespace with a Service that leads to the operator; or `Operator`, beside the operator's own Service, for controllers that can't lead to addresses outside of a namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The answer is led to by an Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Http01Ingress>,
    /// The answer is led to by an HTTPRoute of the Gateway API.
    #[serde(
        default,
        rename = "gatewayHTTPRoute",
        skip_serializing_if = "Option::is_none"
    )]
    pub gateway_http_route: Option<Http01GatewayHttpRoute>,
}

/// Where the Ingress or HTTPRoute for an answer is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Placement {
    /// In the Certificate's namespace.
    #[default]
    Certificate,
    /// In the operator's.
    Operator,
}

/// An Ingress that leads to the answer. At most one of `ingressClassName`, `class` and `name`; without any, the cluster's default class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http01Ingress {
    /// Accepted so that manifests carry over, and without effect: the Service is of no type that has ports on nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// The Ingress's `spec.ingressClassName`, such as `traefik`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// The Ingress's annotation `kubernetes.io/ingress.class`, for controllers that know no IngressClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// An Ingress in the Certificate's namespace that is edited instead of making one: for controllers that give each Ingress its own address. What was added is taken out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Accepted so that manifests carry over, and without effect: there is no Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<AnyObject>,
    /// Labels and annotations for the Ingress that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_template: Option<IngressTemplate>,
}

/// Labels and annotations for the Ingress that is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTemplate {
    /// Both, as in an object's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// An HTTPRoute that leads to the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http01GatewayHttpRoute {
    /// Accepted so that manifests carry over, and without effect: the Service is of no type that has ports on nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Labels for the HTTPRoute, such as those that a Gateway's listener selects routes by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The Gateways that the HTTPRoute is for, at least one; each must have a listener on port 80.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    /// Accepted so that manifests carry over, and without effect: there is no Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<AnyObject>,
}

/// A Gateway, or whatever else an HTTPRoute can be for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its API group. Defaults to `gateway.networking.k8s.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its kind. Defaults to `Gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its namespace. Defaults to that of the HTTPRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The listener, by its name. Defaults to all that take the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// The listener, by its port. Defaults to all that take the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// The type of a Service; without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Not said.
    #[serde(rename = "")]
    Default,
    /// With ports on nodes.
    NodePort,
    /// Inside the cluster only.
    ClusterIP,
}

/// An object of which only its presence counts: nothing of it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnyObject;

impl Solver {
    /// Fields that are given and without effect; as paths for the user to read.
    pub(super) fn ignored_fields(&self) -> Vec<&'static str> {
        let mut fields = Vec::new();
        // An empty type says nothing.
        let said =
            |kind: Option<ServiceType>| kind.is_some_and(|kind| kind != ServiceType::Default);
        let http01 = self.http01.as_ref();
        if let Some(ingress) = http01.and_then(|http01| http01.ingress.as_ref()) {
            if said(ingress.service_type) {
                fields.push("spec.acme.solvers[].http01.ingress.serviceType");
            }
            if ingress.pod_template.is_some() {
                fields.push("spec.acme.solvers[].http01.ingress.podTemplate");
            }
        }
        if let Some(route) = http01.and_then(|http01| http01.gateway_http_route.as_ref()) {
            if said(route.service_type) {
                fields.push("spec.acme.solvers[].http01.gatewayHTTPRoute.serviceType");
            }
            if route.pod_template.is_some() {
                fields.push("spec.acme.solvers[].http01.gatewayHTTPRoute.podTemplate");
            }
        }
        fields
    }
}

impl Http01 {
    /// Where the Ingress or HTTPRoute is made: `Certificate` if the spec doesn't say.
    pub fn placement(&self) -> Placement {
        self.placement.unwrap_or_default()
    }
}

impl Serialize for AnyObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::<(), ()>::new().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for AnyObject {
    fn schema_name() -> Cow<'static, str> {
        "AnyObject".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}
