//! What a key may be used for.

use std::collections::BTreeSet;

use crate::api::certificate::Usage;
use crate::pki::KeySpec;
use crate::pki::profile::KeyUsage;

/// The key usages and the object identifiers of the extended key usages.
pub(super) fn usages(
    usages: &[Usage],
    key: KeySpec,
    is_ca: bool,
) -> (BTreeSet<KeyUsage>, BTreeSet<String>) {
    let mut key_usages = BTreeSet::new();
    let mut extended = BTreeSet::new();
    if is_ca {
        key_usages.insert(KeyUsage::KeyCertSign);
    }
    if usages.is_empty() {
        key_usages.insert(KeyUsage::DigitalSignature);
        if matches!(key, KeySpec::Rsa(_)) {
            key_usages.insert(KeyUsage::KeyEncipherment);
        }
    }
    for usage in usages {
        match kind(*usage) {
            Kind::Bit(usage) => {
                key_usages.insert(usage);
            }
            Kind::Extended(oid) => {
                extended.insert(oid.to_owned());
            }
        }
    }
    (key_usages, extended)
}

/// RFC 5280 knows two extensions of usages: bits (section 4.2.1.3) and object identifiers (section 4.2.1.12).
enum Kind {
    Bit(KeyUsage),
    Extended(&'static str),
}

fn kind(usage: Usage) -> Kind {
    match usage {
        // Kubernetes' word for it; the two are one bit.
        Usage::Signing | Usage::DigitalSignature => Kind::Bit(KeyUsage::DigitalSignature),
        Usage::ContentCommitment => Kind::Bit(KeyUsage::ContentCommitment),
        Usage::KeyEncipherment => Kind::Bit(KeyUsage::KeyEncipherment),
        Usage::KeyAgreement => Kind::Bit(KeyUsage::KeyAgreement),
        Usage::DataEncipherment => Kind::Bit(KeyUsage::DataEncipherment),
        Usage::CertSign => Kind::Bit(KeyUsage::KeyCertSign),
        Usage::CrlSign => Kind::Bit(KeyUsage::CrlSign),
        Usage::EncipherOnly => Kind::Bit(KeyUsage::EncipherOnly),
        Usage::DecipherOnly => Kind::Bit(KeyUsage::DecipherOnly),
        Usage::Any => Kind::Extended("2.5.29.37.0"),
        Usage::ServerAuth => Kind::Extended("1.3.6.1.5.5.7.3.1"),
        Usage::ClientAuth => Kind::Extended("1.3.6.1.5.5.7.3.2"),
        Usage::CodeSigning => Kind::Extended("1.3.6.1.5.5.7.3.3"),
        Usage::EmailProtection | Usage::SMime => Kind::Extended("1.3.6.1.5.5.7.3.4"),
        Usage::IpsecEndSystem => Kind::Extended("1.3.6.1.5.5.7.3.5"),
        Usage::IpsecTunnel => Kind::Extended("1.3.6.1.5.5.7.3.6"),
        Usage::IpsecUser => Kind::Extended("1.3.6.1.5.5.7.3.7"),
        Usage::Timestamping => Kind::Extended("1.3.6.1.5.5.7.3.8"),
        Usage::OcspSigning => Kind::Extended("1.3.6.1.5.5.7.3.9"),
        Usage::MicrosoftSgc => Kind::Extended("1.3.6.1.4.1.311.10.3.3"),
        Usage::NetscapeSgc => Kind::Extended("2.16.840.1.113730.4.1"),
    }
}
