//! What is made so that a CA's questions reach the operator.

use std::collections::BTreeMap;
use std::fmt::Write;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Endpoints;
use super::host::Challenge;
use super::record::{Edit, Kind, Record, Reference};
use crate::api::Group;
use crate::api::issuer::{
    Http01, Http01GatewayHttpRoute, Http01Ingress, IngressTemplate, ParentRef, Placement,
};

/// The label on everything that is made for challenges; its value is the Certificate's uid.
pub const SOLVER: &str = "http01-solver";

/// The annotation that says in words which Certificate.
const CERTIFICATE: &str = "certificate";

/// The port that a CA asks at, and with it that of our Services.
const PORT: u16 = 80;
const PORT_NAME: &str = "http";

/// A Certificate that something is made for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
    /// Which of all that were ever called so.
    pub uid: String,
}

/// Where the operator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its namespace.
    pub namespace: String,
    /// Its own Service for HTTP-01, with port 80.
    pub service: String,
    /// The port that its replicas listen at.
    pub port: u16,
}

/// The way to the operator, for the challenges of one Certificate that one solver proves.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// The API group that names hang on.
    pub group: &'a Group,
    /// For whom.
    pub certificate: &'a Owner,
    /// How they are led in.
    pub solver: &'a Http01,
    /// Where to.
    pub operator: &'a Operator,
    /// Whether the cluster's own people wrote the solver: in a ClusterIssuer, or in an Issuer of the operator's namespace.
    pub trusted: bool,
}

/// An object as it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Which.
    pub reference: Reference,
    /// All that we own of it.
    pub body: Value,
}

/// Why a solver is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What tenants may make in their own namespace is the cluster's business; in ours it would escape that.
    #[error(
        "placement: Operator is for ClusterIssuers: an Issuer's Ingresses and HTTPRoutes are made in its own namespace"
    )]
    Placement,
    /// Neither an Ingress nor an HTTPRoute.
    #[error("the solver says neither ingress nor gatewayHTTPRoute")]
    Nothing,
}

impl Door<'_> {
    /// What must be there for `challenges`, and how it is written down first.
    ///
    /// # Errors
    /// For a solver that is not used as it stands.
    pub fn plan(
        &self,
        challenges: &[Challenge],
        endpoints: &Endpoints,
    ) -> Result<(Record, Vec<Object>), Refused> {
        let mut record = Record::of(self.certificate.clone());
        let mut objects = Vec::new();
        let beside_operator = self.solver.placement() == Placement::Operator;
        if beside_operator && !self.trusted {
            return Err(Refused::Placement);
        }
        if !beside_operator && !challenges.is_empty() {
            objects.push(self.service());
            let [ipv4, ipv6] =
                Self::slices(self.group, self.certificate, self.operator.port, endpoints);
            // Most clusters have addresses of one family only, and each slice costs two writes.
            if !endpoints.ipv4.is_empty() || endpoints.ipv6.is_empty() {
                objects.push(ipv4);
            }
            if !endpoints.ipv6.is_empty() {
                objects.push(ipv6);
            }
        }
        for challenge in challenges {
            match (&self.solver.ingress, &self.solver.gateway_http_route) {
                (
                    Some(Http01Ingress {
                        name: Some(name), ..
                    }),
                    None,
                ) if !name.is_empty() => {
                    record.edits.insert(self.edit(name, challenge));
                }
                (Some(ingress), None) => objects.push(self.ingress(ingress, challenge)),
                (None, Some(route)) => objects.push(self.route(route, challenge)),
                _ => return Err(Refused::Nothing),
            }
        }
        record.objects = objects
            .iter()
            .map(|object| object.reference.clone())
            .collect();
        Ok((record, objects))
    }

    /// The slices of a Certificate's Service, with the operator's addresses: IPv4, IPv6. One without any is for a slice
    /// whose addresses went.
    pub fn slices(
        group: &Group,
        certificate: &Owner,
        port: u16,
        endpoints: &Endpoints,
    ) -> [Object; 2] {
        let ipv4 = endpoints.ipv4.iter().map(ToString::to_string).collect();
        let ipv6 = endpoints.ipv6.iter().map(ToString::to_string).collect();
        [
            slice(group, certificate, port, ("IPv4", "ipv4"), ipv4),
            slice(group, certificate, port, ("IPv6", "ipv6"), ipv6),
        ]
    }

    fn service(&self) -> Object {
        let namespace = &self.certificate.namespace;
        let reference = Reference {
            kind: Kind::Service,
            namespace: namespace.clone(),
            name: service_name(self.certificate),
        };
        object(
            self.group,
            self.certificate,
            reference,
            json!({
                "type": "ClusterIP",
                "ipFamilyPolicy": "PreferDualStack",
                "ports": [{ "name": PORT_NAME, "protocol": "TCP", "port": PORT, "targetPort": self.operator.port }],
            }),
        )
    }

    fn ingress(&self, ingress: &Http01Ingress, challenge: &Challenge) -> Object {
        let path = ingress_path(&challenge.path(), self.backend());
        let mut rule = json!({ "http": { "paths": [path] } });
        if let Some(name) = challenge.host().name() {
            rule["host"] = name.into();
        }
        let mut spec = json!({ "rules": [rule] });
        if let Some(class) = given(&ingress.ingress_class_name) {
            spec["ingressClassName"] = class.into();
        }
        let mut made = object(
            self.group,
            self.certificate,
            self.led(Kind::Ingress, challenge),
            spec,
        );
        let template = ingress.ingress_template.as_ref();
        self.decorate(&mut made.body, template);
        if let Some(class) = given(&ingress.class) {
            made.body["metadata"]["annotations"]["kubernetes.io/ingress.class"] = class.into();
        }
        made
    }

    fn route(&self, route: &Http01GatewayHttpRoute, challenge: &Challenge) -> Object {
        let parents: Vec<Value> = route.parent_refs.iter().map(parent).collect();
        let mut spec = json!({
            "parentRefs": parents,
            "rules": [{
                "matches": [{ "path": { "type": "Exact", "value": challenge.path() } }],
                "backendRefs": [{ "name": self.backend(), "port": PORT }],
            }],
        });
        if let Some(name) = challenge.host().name() {
            spec["hostnames"] = json!([name]);
        }
        let mut made = object(
            self.group,
            self.certificate,
            self.led(Kind::HttpRoute, challenge),
            spec,
        );
        add(&mut made.body, "labels", &route.labels, self.group);
        made
    }

    fn edit(&self, ingress: &str, challenge: &Challenge) -> Edit {
        Edit {
            namespace: self.certificate.namespace.clone(),
            ingress: ingress.to_owned(),
            host: challenge.host().name().map(str::to_owned),
            path: challenge.path(),
            service: service_name(self.certificate),
        }
    }

    /// Adds what users want on an Ingress, never over what is ours.
    fn decorate(&self, body: &mut Value, template: Option<&IngressTemplate>) {
        if let Some(metadata) = template.and_then(|template| template.metadata.as_ref()) {
            add(body, "labels", &metadata.labels, self.group);
            add(body, "annotations", &metadata.annotations, self.group);
        }
    }

    /// The Service that is led to.
    fn backend(&self) -> String {
        match self.solver.placement() {
            Placement::Certificate => service_name(self.certificate),
            Placement::Operator => self.operator.service.clone(),
        }
    }

    fn led(&self, kind: Kind, challenge: &Challenge) -> Reference {
        let namespace = match self.solver.placement() {
            Placement::Certificate => &self.certificate.namespace,
            Placement::Operator => &self.operator.namespace,
        };
        Reference {
            kind,
            namespace: namespace.clone(),
            name: hashed(&[
                &self.certificate.uid,
                challenge.host().as_str(),
                challenge.token(),
            ]),
        }
    }
}

fn slice(
    group: &Group,
    certificate: &Owner,
    port: u16,
    (family, suffix): (&str, &str),
    addresses: Vec<String>,
) -> Object {
    let service = service_name(certificate);
    let reference = Reference {
        kind: Kind::EndpointSlice,
        namespace: certificate.namespace.clone(),
        name: format!("{service}-{suffix}"),
    };
    let endpoints: Vec<Value> = addresses
        .into_iter()
        .map(|address| json!({ "addresses": [address], "conditions": { "ready": true } }))
        .collect();
    let mut made = object(group, certificate, reference, Value::Null);
    let body = &mut made.body;
    body["addressType"] = family.into();
    body["endpoints"] = endpoints.into();
    body["ports"] = json!([{ "name": PORT_NAME, "protocol": "TCP", "port": port }]);
    // Source: Kubernetes, EndpointSlices, "Ownership" and "Management".
    body["metadata"]["labels"]["kubernetes.io/service-name"] = service.into();
    body["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = group.name().into();
    made
}

/// A path of an Ingress's rule.
pub(super) fn ingress_path(path: &str, service: String) -> Value {
    json!({
        "path": path,
        "pathType": "Exact",
        "backend": { "service": { "name": service, "port": { "number": PORT } } },
    })
}

fn service_name(certificate: &Owner) -> String {
    hashed(&[&certificate.uid])
}

/// A name that belongs to these texts alone: a DNS label, and short enough for a suffix.
fn hashed(texts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut name = String::from("http01-");
    for byte in context.finish().as_ref().iter().take(16) {
        write!(name, "{byte:02x}").expect("a String takes whatever is written");
    }
    name
}

fn object(group: &Group, certificate: &Owner, reference: Reference, spec: Value) -> Object {
    let resource = reference.kind.resource();
    let mut body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": reference.name,
            "namespace": reference.namespace,
            "labels": { group.key(SOLVER): certificate.uid },
            "annotations": {
                group.key(CERTIFICATE): format!("{}/{}", certificate.namespace, certificate.name),
            },
        },
    });
    if !spec.is_null() {
        body["spec"] = spec;
    }
    // An owner elsewhere would have it collected at once.
    if reference.namespace == certificate.namespace {
        body["metadata"]["ownerReferences"] = json!([{
            "apiVersion": group.api_version(),
            "kind": "Certificate",
            "name": certificate.name,
            "uid": certificate.uid,
        }]);
    }
    Object { reference, body }
}

/// Adds labels or annotations; those of our group stay ours.
fn add(body: &mut Value, field: &str, added: &BTreeMap<String, String>, group: &Group) {
    for (key, value) in added {
        if !key.starts_with(&group.prefix()) {
            body["metadata"][field][key.as_str()] = value.clone().into();
        }
    }
}

fn parent(parent: &ParentRef) -> Value {
    let mut fields = Map::new();
    let texts = [
        ("group", &parent.group),
        ("kind", &parent.kind),
        ("namespace", &parent.namespace),
        ("sectionName", &parent.section_name),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            fields.insert(field.to_owned(), text.clone().into());
        }
    }
    fields.insert("name".to_owned(), parent.name.clone().into());
    if let Some(port) = parent.port {
        fields.insert("port".to_owned(), port.into());
    }
    fields.into()
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
