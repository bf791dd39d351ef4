//! Writes Secrets as this version leaves them: `cargo run -p certwright-core --example golden -- core/tests/golden/v0.1.0`.
//!
//! To be run once for each release, and for a new release only: tests hold each later version to what stands there.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use certwright_core::api::certificate::KeyEncoding;
use certwright_core::api::{Certificate, CertificateSpec, Group};
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{Authority, CertificateDer, Facts, PrivateKey, chain};
use certwright_core::plan::intent::{Contents, Metadata};
use certwright_core::plan::marks::Marks;
use certwright_core::plan::observed::data;
use certwright_core::plan::request::{self, Request};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// When everything is issued.
const NOW: &str = "2026-11-02T00:00:00Z";
/// The CAs live for thirty years.
const CA: &str =
    "{secretName: ca, issuerRef: {name: self-signed}, isCA: true, duration: 262800h, commonName: ";

/// Who signs.
enum Signer {
    Itself,
    Root,
    Intermediate,
}

/// The name of each Certificate, who signs it, and its spec. Ten years are 87600 hours.
const CERTIFICATES: [(&str, Signer, &str); 13] = [
    (
        "plain",
        Signer::Root,
        "{dnsNames: [www.example.com, example.com]}",
    ),
    (
        "kept-key",
        Signer::Root,
        "{dnsNames: [a.example], privateKey: {rotationPolicy: Never}}",
    ),
    (
        "rsa",
        Signer::Root,
        "{commonName: web, dnsNames: [web.example], usages: [server auth, client auth, key encipherment], \
         privateKey: {algorithm: RSA, size: 2048, encoding: PKCS1}}",
    ),
    (
        "rsa-defaults",
        Signer::Root,
        "{dnsNames: [web.example], privateKey: {size: 3072}}",
    ),
    (
        "ed25519",
        Signer::Root,
        "{dnsNames: [web.example], privateKey: {algorithm: Ed25519, encoding: PKCS1}}",
    ),
    (
        "p384",
        Signer::Root,
        "{dnsNames: [web.example], signatureAlgorithm: ECDSAWithSHA384, privateKey: {size: 384}}",
    ),
    (
        "root",
        Signer::Itself,
        "{isCA: true, commonName: Example Root, usages: [cert sign, crl sign], nameConstraints: {critical: true, \
         permitted: {dnsDomains: [example.com], ipRanges: [10.0.0.0/8]}, excluded: {uriDomains: [.example.org]}}}",
    ),
    (
        "issuing-ca",
        Signer::Root,
        "{isCA: true, commonName: Issuing, subject: {organizations: [bb, a, ccc], countries: [DE]}}",
    ),
    (
        "self-signed",
        Signer::Itself,
        "{dnsNames: [localhost], ipAddresses: [127.0.0.1, '::1']}",
    ),
    (
        "outputs",
        Signer::Intermediate,
        "{dnsNames: [web.example], additionalOutputFormats: [{type: DER}, {type: CombinedPEM}], \
         privateKey: {algorithm: ECDSA, size: 521, encoding: PKCS1}}",
    ),
    (
        "template",
        Signer::Intermediate,
        "{dnsNames: [web.example], secretDeletionPolicy: Delete, secretTemplate: {labels: {team: shop}, \
         annotations: {example.com/note: made for the shop, example.com/empty: ''}}}",
    ),
    (
        "literal-subject",
        Signer::Root,
        "{literalSubject: 'CN=web,OU=bb+OU=a+O=x\\, y,DC=example,DC=com', encodeUsagesInRequest: false}",
    ),
    (
        "every-name",
        Signer::Root,
        "{commonName: Jörg, subject: {organizations: [Beta, Al], countries: [DE], organizationalUnits: [Unit], \
         localities: [Berlin], provinces: [BE], streetAddresses: [Street 1], postalCodes: ['10115'], serialNumber: '42'}, \
         dnsNames: ['*.BÜCHER.example', _srv.example.com], ipAddresses: [192.0.2.1, '2001:db8::1', '::ffff:192.0.2.1'], \
         uris: ['spiffe://cluster.local/ns/a/sa/b'], emailAddresses: [Ops@Example.com], \
         otherNames: [{oid: 1.3.6.1.4.1.311.20.2.3, utf8Value: upn@example.com}], duration: 525600h}",
    ),
];

fn main() -> Result<()> {
    let folder = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("name the folder to write to")?,
    );
    std::fs::create_dir_all(&folder)?;
    let now: Timestamp = NOW.parse()?;
    let root = Ca::root(now)?;
    let intermediate = root.below(now)?;
    for (name, signer, spec) in &CERTIFICATES {
        let file = folder.join(name).with_extension("yaml");
        let ca = match signer {
            Signer::Itself => None,
            Signer::Root => Some(&root),
            Signer::Intermediate => Some(&intermediate),
        };
        let certificate = certificate(name, spec)?;
        let secret = issued(&certificate, ca, now)?;
        let mut documents = vec![
            document(&group(), &certificate)?,
            serde_yaml::to_string(&secret)?,
        ];
        if let Some(ca) = ca {
            documents.push(serde_yaml::to_string(&ca.secret())?);
        }
        // What a release left behind is never written over.
        let mut open = std::fs::File::create_new(&file)?;
        std::io::Write::write_all(&mut open, documents.join("---\n").as_bytes())?;
    }
    Ok(())
}

fn group() -> Group {
    Group::default()
}

fn certificate(name: &str, spec: &str) -> Result<Certificate> {
    let mut fields: Map<String, Value> = serde_yaml::from_str(spec)?;
    fields.insert("secretName".to_owned(), json!(name));
    fields.insert("issuerRef".to_owned(), json!({"name": "ca"}));
    fields.entry("duration").or_insert_with(|| json!("87600h"));
    let mut certificate = Certificate {
        spec: serde_json::from_value(fields.into())?,
        ..Certificate::default()
    };
    let metadata = &mut certificate.metadata;
    metadata.name = Some(name.to_owned());
    metadata.namespace = Some("golden".to_owned());
    metadata.uid = Some("5b4ff9c2-4f0a-4c7e-9f39-0a4f6a7c3c11".to_owned());
    metadata.generation = Some(1);
    Ok(certificate)
}

fn document(group: &Group, certificate: &Certificate) -> Result<String> {
    let mut value = serde_json::to_value(certificate)?;
    value["apiVersion"] = json!(group.api_version());
    value["kind"] = json!("Certificate");
    Ok(serde_yaml::to_string(&value)?)
}

/// A CA, as an Issuer reads it from a Secret.
struct Ca {
    key: PrivateKey,
    chain: Vec<CertificateDer>,
    authority: Arc<Authority>,
}

impl Ca {
    fn root(now: Timestamp) -> Result<Self> {
        let profile = profile("Golden Root")?;
        let key = PrivateKey::generate(profile.key)?;
        let certificate = sign::self_signed(&profile, &Locations::default(), &key, now)?;
        Self::of(key, vec![certificate])
    }

    fn below(&self, now: Timestamp) -> Result<Self> {
        let profile = profile("Golden Intermediate")?;
        let key = PrivateKey::generate(profile.key)?;
        let places = Locations::default();
        let certificate =
            sign::by_authority(&profile, &places, key.public(), &self.authority, now)?;
        let above = self.chain.iter().cloned();
        Self::of(key, std::iter::once(certificate).chain(above).collect())
    }

    fn of(key: PrivateKey, chain: Vec<CertificateDer>) -> Result<Self> {
        let pem = chain::to_pem(&chain);
        let key_pem = key.to_pem(KeyEncoding::Pkcs8);
        let authority = Authority::read(pem.as_bytes(), key_pem.as_bytes(), None)?;
        Ok(Self {
            key,
            chain,
            authority: Arc::new(authority),
        })
    }

    fn secret(&self) -> Secret {
        let key = self.key.to_pem(KeyEncoding::Pkcs8).as_bytes().to_vec();
        let data = [
            (
                data::CERTIFICATE.to_owned(),
                ByteString(chain::to_pem(&self.chain).into_bytes()),
            ),
            (data::KEY.to_owned(), ByteString(key)),
        ];
        let mut secret = Secret {
            data: Some(data.into()),
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        secret.metadata.name = Some("ca".to_owned());
        secret.metadata.namespace = Some("golden".to_owned());
        secret
    }
}

fn profile(name: &str) -> Result<certwright_core::pki::Profile> {
    let spec: CertificateSpec = serde_yaml::from_str(&format!("{CA}{name}}}"))?;
    Ok(Request::of(&spec, request::VERSION)?.profile)
}

/// The Secret that a first issuance writes.
fn issued(certificate: &Certificate, ca: Option<&Ca>, now: Timestamp) -> Result<Secret> {
    let request = Request::of(&certificate.spec, request::VERSION)?;
    let key = PrivateKey::generate(request.profile.key)?;
    let places = Locations::default();
    let (chain, top) = match ca {
        None => {
            let leaf = sign::self_signed(&request.profile, &places, &key, now)?;
            (vec![leaf.clone()], leaf)
        }
        Some(ca) => {
            let leaf =
                sign::by_authority(&request.profile, &places, key.public(), &ca.authority, now)?;
            let above = ca.authority.intermediates().iter();
            let above = above.map(|facts| facts.der.clone());
            let chain = std::iter::once(leaf).chain(above).collect();
            (chain, ca.authority.top().der.clone())
        }
    };
    let leaf = Facts::read(chain.first().ok_or("there is no certificate")?)?;
    let marks = Marks {
        certificate_name: certificate.metadata.name.clone(),
        request: Some(request.hash(request::VERSION)),
        issued_at: Some(now),
        revision: Some(1),
        ..Marks::default()
    };
    let metadata = Metadata::of(&group(), certificate, &leaf, &marks);
    let contents = Contents {
        key,
        chain,
        ca: vec![top],
    };
    Ok(written(certificate, metadata, &contents, now))
}

/// The Secret as the API server keeps it after our apply.
fn written(
    certificate: &Certificate,
    metadata: Metadata,
    contents: &Contents,
    now: Timestamp,
) -> Secret {
    let data = contents.data(certificate).into_iter();
    let data = data
        .map(|(key, value)| (key.to_owned(), ByteString(value.to_vec())))
        .collect::<std::collections::BTreeMap<_, _>>();
    let mut fields = json!({
        "f:metadata": {"f:annotations": names(metadata.annotations.keys()), "f:labels": names(metadata.labels.keys())},
        "f:data": names(data.keys()),
        "f:type": {},
    });
    if let Some(owner) = &metadata.owner {
        let owner = format!("k:{}", json!({"uid": owner.uid}));
        fields["f:metadata"]["f:ownerReferences"] = json!({owner: {}});
    }
    let mut secret = Secret {
        data: Some(data),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(certificate.spec.secret_name.clone());
    secret.metadata.namespace = certificate.metadata.namespace.clone();
    secret.metadata.uid = Some("0d7d6a0e-0c6b-4b3f-8a5c-3f4c8c1b7f20".to_owned());
    secret.metadata.resource_version = Some("42".to_owned());
    secret.metadata.labels = Some(metadata.labels);
    secret.metadata.annotations = Some(metadata.annotations);
    secret.metadata.owner_references = metadata.owner.map(|owner| vec![owner]);
    secret.metadata.managed_fields = Some(vec![ManagedFieldsEntry {
        manager: Some(group().manager().to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: Some("v1".to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        time: Some(Time(now)),
        subresource: None,
    }]);
    secret
}

fn names<'a>(keys: impl Iterator<Item = &'a String>) -> Value {
    keys.map(|key| (format!("f:{key}"), json!({})))
        .collect::<Map<_, _>>()
        .into()
}
