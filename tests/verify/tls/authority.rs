//! CAs and certificates as others make them.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CrlDistributionPoint, CustomExtension,
    DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};

/// The name that servers are asked for.
pub(crate) const NAME: &str = "www.example.com";

pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

/// A certificate with its key, both as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A root of this name.
pub(crate) fn root(name: &str) -> Ca {
    CertifiedIssuer::self_signed(ca_of(name), KeyPair::generate().unwrap()).unwrap()
}

/// A CA below another.
pub(crate) fn below(above: &Ca, name: &str) -> Ca {
    CertifiedIssuer::signed_by(ca_of(name), KeyPair::generate().unwrap(), above).unwrap()
}

/// What a certificate for [`NAME`] says, from the beginning of one year to that of another.
pub(crate) fn leaf(from: i32, until: i32) -> CertificateParams {
    let mut parameters = CertificateParams::new([NAME.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(from, 1, 1);
    parameters.not_after = date_time_ymd(until, 1, 1);
    parameters
}

/// One that is valid now.
pub(crate) fn valid() -> CertificateParams {
    leaf(2020, 2200)
}

pub(crate) fn signed(parameters: CertificateParams, ca: &Ca) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, ca).unwrap();
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

pub(crate) fn self_signed(parameters: CertificateParams) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// Says where a responder of the CA's is.
pub(crate) fn answered_at(url: &str) -> CertificateParams {
    let mut parameters = valid();
    let element = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80);
        [&[tag, length], content].concat()
    };
    // AuthorityInfoAccess: id-ad-ocsp, and a URI (RFC 5280 section 4.2.2.1).
    let id = element(0x06, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]);
    let description = element(0x30, &[id, element(0x86, url.as_bytes())].concat());
    let access = CustomExtension::from_oid_content(
        &[1, 3, 6, 1, 5, 5, 7, 1, 1],
        element(0x30, &description),
    );
    parameters.custom_extensions = vec![access];
    parameters
}

/// Says where the CA's revocation list is.
pub(crate) fn listed_at(url: String) -> CertificateParams {
    let mut parameters = valid();
    parameters.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![url] }];
    parameters
}

/// A CA below another, for names below this domain only.
pub(crate) fn constrained(above: &Ca, domain: &str) -> Ca {
    let mut parameters = ca_of("Constrained");
    parameters.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
        excluded_subtrees: Vec::new(),
    });
    CertifiedIssuer::signed_by(parameters, KeyPair::generate().unwrap(), above).unwrap()
}

fn ca_of(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}
