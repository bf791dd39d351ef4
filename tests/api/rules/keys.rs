//! Keys, signatures and CAs.

use serde_json::{Value, json};

use super::{Case, case};

const RSA: &str = "RSA keys have 2048, 3072, 4096 or 8192 bits: write one of these";
const ECDSA: &str = "ECDSA keys have 256, 384 or 521 bits: write one of these, or algorithm: RSA and 2048, 3072, 4096 or 8192";
const SIGNATURE: &str = "keys of this privateKey.algorithm don't sign so: RSA keys sign SHA...WithRSA, ECDSA keys ECDSAWithSHA..., Ed25519 keys PureEd25519";
const NOT_A_CA: &str = "name constraints bind a CA: write isCA: true, or leave nameConstraints out";
const NOTHING_CONSTRAINED: &str =
    "write at least one name under permitted or excluded, or leave nameConstraints out";
const DOMAIN: &str = "write a domain, such as example.com, which covers all names below it too: no *, scheme or port, and addresses under ipRanges";
const RANGE: &str =
    "write a range of IP addresses, such as 10.0.0.0/8, 192.0.2.1/32 or 2001:db8::/32";
const MAILBOX: &str = "write a mailbox such as ops@example.com, a host such as example.com, or .example.com for all hosts below it";
const URI_HOST: &str =
    "write only the host of URIs, such as example.com, or .example.com for all hosts below it";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = sizes();
    cases.extend(signatures());
    cases.extend(constraints());
    cases
}

fn sizes() -> Vec<Case> {
    let key = |algorithm: &str, size: i32| json!({ "privateKey": { "algorithm": algorithm, "size": size } });
    let size = |size: i32| json!({ "privateKey": { "size": size } });
    let signed = |signature: &str, size: i32| json!({ "signatureAlgorithm": signature, "privateKey": { "size": size } });
    let at = "spec.privateKey.size";
    vec![
        case(key("RSA", 1024), at, RSA, key("RSA", 2048)),
        case(key("RSA", 2056), at, RSA, key("RSA", 3072)),
        case(key("RSA", 16384), at, RSA, key("RSA", 8192)),
        case(key("RSA", 256), at, RSA, key("RSA", 0)),
        case(key("ECDSA", 2048), at, ECDSA, key("ECDSA", 256)),
        case(key("ECDSA", 512), at, ECDSA, key("ECDSA", 521)),
        case(key("ECDSA", -1), at, ECDSA, key("ECDSA", 0)),
        // The algorithm that follows from the rest counts.
        case(size(1024), at, ECDSA, size(384)),
        case(size(5000), at, RSA, size(4096)),
        case(
            signed("SHA256WithRSA", 384),
            at,
            RSA,
            signed("SHA256WithRSA", 4096),
        ),
        case(
            signed("ECDSAWithSHA384", 4096),
            at,
            ECDSA,
            signed("ECDSAWithSHA384", 384),
        ),
        // Ed25519 has one size, and cert-manager doesn't look.
        case(size(255), at, ECDSA, key("Ed25519", 255)),
        case(size(25_519), at, RSA, signed("PureEd25519", 25_519)),
    ]
}

fn signatures() -> Vec<Case> {
    let signed = |algorithm: &str, signature: &str| json!({ "privateKey": { "algorithm": algorithm }, "signatureAlgorithm": signature });
    let at = "spec.signatureAlgorithm";
    vec![
        case(
            signed("RSA", "ECDSAWithSHA256"),
            at,
            SIGNATURE,
            signed("RSA", "SHA512WithRSA"),
        ),
        case(
            signed("ECDSA", "SHA256WithRSA"),
            at,
            SIGNATURE,
            signed("ECDSA", "ECDSAWithSHA512"),
        ),
        case(
            signed("ECDSA", "PureEd25519"),
            at,
            SIGNATURE,
            json!({ "signatureAlgorithm": "PureEd25519" }),
        ),
        case(
            signed("Ed25519", "ECDSAWithSHA256"),
            at,
            SIGNATURE,
            signed("Ed25519", "PureEd25519"),
        ),
        case(
            signed("RSA", "PureEd25519"),
            at,
            SIGNATURE,
            json!({ "privateKey": {}, "signatureAlgorithm": "SHA384WithRSA" }),
        ),
    ]
}

fn constraints() -> Vec<Case> {
    let ca = |constraints: Value| json!({ "isCA": true, "commonName": "Example CA", "nameConstraints": constraints });
    let permitted = || json!({ "permitted": { "dnsDomains": ["example.com"] } });
    let mut cases = vec![
        case(
            json!({ "nameConstraints": permitted() }),
            "spec.nameConstraints",
            NOT_A_CA,
            ca(permitted()),
        ),
        case(
            json!({ "isCA": false, "nameConstraints": permitted() }),
            "spec.nameConstraints",
            NOT_A_CA,
            ca(permitted()),
        ),
        case(
            ca(json!({ "critical": true })),
            "spec.nameConstraints",
            NOTHING_CONSTRAINED,
            ca(json!({ "critical": true, "excluded": { "uriDomains": [".example.com"] } })),
        ),
        case(
            ca(json!({ "permitted": {}, "excluded": { "ipRanges": [] } })),
            "spec.nameConstraints",
            NOTHING_CONSTRAINED,
            ca(json!({ "permitted": {}, "excluded": { "ipRanges": ["10.0.0.0/8"] } })),
        ),
    ];
    for (part, at) in [
        (
            "permitted",
            [
                "spec.nameConstraints.permitted.dnsDomains[0]",
                "spec.nameConstraints.permitted.ipRanges[0]",
                "spec.nameConstraints.permitted.emailAddresses[0]",
                "spec.nameConstraints.permitted.uriDomains[0]",
            ],
        ),
        (
            "excluded",
            [
                "spec.nameConstraints.excluded.dnsDomains[0]",
                "spec.nameConstraints.excluded.ipRanges[0]",
                "spec.nameConstraints.excluded.emailAddresses[0]",
                "spec.nameConstraints.excluded.uriDomains[0]",
            ],
        ),
    ] {
        let item = |kind: &str, text: &str| ca(json!({ part: { kind: [text] } }));
        cases.extend([
            case(
                item("dnsDomains", "*.example.com"),
                at[0],
                DOMAIN,
                item("dnsDomains", ".example.com"),
            ),
            case(
                item("dnsDomains", "10.0.0.0"),
                at[0],
                DOMAIN,
                item("dnsDomains", "bücher.example"),
            ),
            case(
                item("dnsDomains", "https://example.com"),
                at[0],
                DOMAIN,
                item("dnsDomains", ""),
            ),
            case(
                item("ipRanges", "10.0.0.0"),
                at[1],
                RANGE,
                item("ipRanges", "10.0.0.0/8"),
            ),
            case(
                item("ipRanges", "10.0.0.0/33"),
                at[1],
                RANGE,
                item("ipRanges", "2001:db8::/32"),
            ),
            case(
                item("ipRanges", "10.0.0.0-10.0.0.9"),
                at[1],
                RANGE,
                item("ipRanges", "10.1.2.3/8"),
            ),
            case(
                item("emailAddresses", "@example.com"),
                at[2],
                MAILBOX,
                item("emailAddresses", "ops@example.com"),
            ),
            case(
                item("emailAddresses", "*@example.com."),
                at[2],
                MAILBOX,
                item("emailAddresses", ".example.com"),
            ),
            case(
                item("uriDomains", "https://example.com"),
                at[3],
                URI_HOST,
                item("uriDomains", "example.com"),
            ),
            case(
                item("uriDomains", "192.0.2.1"),
                at[3],
                URI_HOST,
                item("uriDomains", ".example.com"),
            ),
        ]);
    }
    cases
}
