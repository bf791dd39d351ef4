//! Cases: a spec, who signs, and what others must read.

use std::path::Path;
use std::sync::OnceLock;

use certwright_core::api::CertificateSpec;
use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::sign::{self, Locations};
use certwright_core::pki::{Authority, CertificateDer, PrivateKey, Profile, chain};
use certwright_core::plan::request::{Request, VERSION};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// When everything is issued and verified.
pub(crate) const NOW: &str = "2026-11-02T00:00:00Z";

/// One file of the folder `cases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(skip)]
    pub(crate) name: String,
    /// Who signs.
    pub(crate) signer: Signer,
    /// Where the issuer says that more is to be found.
    #[serde(default)]
    places: Places,
    /// Why Go doesn't accept it, where it need not.
    pub(crate) refused: Option<String>,
    /// The spec, less its Secret and issuer.
    spec: Map<String, Value>,
    /// What others read, beside what most certificates say.
    #[serde(default)]
    pub(crate) says: Map<String, Value>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Signer {
    Itself,
    Root,
    RsaRoot,
    Ed25519Root,
    /// A CA below the root.
    Intermediate,
    /// A CA below that.
    Last,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Places {
    crl_distribution_points: Vec<String>,
    ocsp_servers: Vec<String>,
    #[serde(rename = "issuingCertificateURLs")]
    issuing_certificate_urls: Vec<String>,
}

/// What a Secret would hold.
pub(crate) struct Issued {
    /// The certificate, then what a server sends after it.
    pub(crate) chain: Vec<CertificateDer>,
    /// What clients trust.
    pub(crate) top: CertificateDer,
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let read = |(name, text): (String, String)| {
        let case: Case =
            serde_yaml::from_str(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        Case { name, ..case }
    };
    files("tests/opinions/cases")
        .into_iter()
        .map(read)
        .collect()
}

/// Name and text of each YAML file of a folder.
pub(crate) fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

impl Case {
    /// Issues the certificate as an issuer does.
    pub(crate) fn issue(&self) -> Issued {
        let profile = profile(self.spec.clone());
        let key = PrivateKey::generate(profile.key).unwrap();
        let places = Locations {
            crl_distribution_points: self.places.crl_distribution_points.clone(),
            ocsp_servers: self.places.ocsp_servers.clone(),
            issuing_certificate_urls: self.places.issuing_certificate_urls.clone(),
        };
        let Some(authority) = self.signer.authority() else {
            let certificate = sign::self_signed(&profile, &places, &key, now()).unwrap();
            return Issued {
                chain: vec![certificate.clone()],
                top: certificate,
            };
        };
        let certificate = sign::by_authority(&profile, &places, key.public(), authority, now())
            .unwrap_or_else(|problem| panic!("{}: {problem}", self.name));
        let above = authority
            .intermediates()
            .iter()
            .map(|facts| facts.der.clone());
        Issued {
            chain: std::iter::once(certificate).chain(above).collect(),
            top: authority.top().der.clone(),
        }
    }
}

impl Signer {
    /// The names of the CAs above, the nearest first.
    pub(crate) fn above(self) -> &'static [&'static str] {
        match self {
            Self::Itself => &[],
            Self::Root => &["CN=Root"],
            Self::RsaRoot => &["CN=RSA Root"],
            Self::Ed25519Root => &["CN=Ed25519 Root"],
            Self::Intermediate => &["CN=Intermediate", "CN=Root"],
            Self::Last => &["CN=Last", "CN=Intermediate", "CN=Root"],
        }
    }

    fn authority(self) -> Option<&'static Authority> {
        static ROOT: OnceLock<Authority> = OnceLock::new();
        static RSA_ROOT: OnceLock<Authority> = OnceLock::new();
        static ED25519_ROOT: OnceLock<Authority> = OnceLock::new();
        static INTERMEDIATE: OnceLock<Authority> = OnceLock::new();
        static LAST: OnceLock<Authority> = OnceLock::new();
        let root = || ca("Root", "ECDSA", None);
        Some(match self {
            Self::Itself => return None,
            Self::Root => ROOT.get_or_init(root),
            Self::RsaRoot => RSA_ROOT.get_or_init(|| ca("RSA Root", "RSA", None)),
            Self::Ed25519Root => ED25519_ROOT.get_or_init(|| ca("Ed25519 Root", "Ed25519", None)),
            Self::Intermediate => {
                INTERMEDIATE.get_or_init(|| ca("Intermediate", "ECDSA", Self::Root.authority()))
            }
            Self::Last => LAST.get_or_init(|| ca("Last", "ECDSA", Self::Intermediate.authority())),
        })
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn profile(mut spec: Map<String, Value>) -> Profile {
    spec.insert("secretName".to_owned(), json!("a"));
    spec.insert("issuerRef".to_owned(), json!({"name": "ca"}));
    let spec: CertificateSpec = serde_json::from_value(spec.into()).unwrap();
    Request::of(&spec, VERSION).unwrap().profile
}

/// A CA for thirty years.
fn ca(name: &str, algorithm: &str, above: Option<&Authority>) -> Authority {
    let spec = json!({
        "isCA": true, "commonName": name, "duration": "262800h", "privateKey": {"algorithm": algorithm},
        "usages": ["cert sign", "crl sign"],
    });
    let profile = profile(spec.as_object().unwrap().clone());
    let key = PrivateKey::generate(profile.key).unwrap();
    let places = Locations::default();
    let certificate = match above {
        None => sign::self_signed(&profile, &places, &key, now()),
        Some(above) => sign::by_authority(&profile, &places, key.public(), above, now()),
    };
    let above = above
        .iter()
        .flat_map(|above| &above.chain)
        .map(|facts| facts.der.clone());
    let chain: Vec<_> = std::iter::once(certificate.unwrap()).chain(above).collect();
    let pem = chain::to_pem(&chain);
    Authority::read(
        pem.as_bytes(),
        key.to_pem(KeyEncoding::Pkcs8).as_bytes(),
        None,
    )
    .unwrap()
}
