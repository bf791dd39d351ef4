//! Issuer reference, subject and names.

use serde_json::json;

use super::{Case, case};

const ISSUER_NAME: &str = "write the name of an Issuer or ClusterIssuer, such as internal-ca: lower-case letters, digits, - and ., at most 253 characters";
const OTHER_GROUP: &str =
    "issuers of other groups are not served: leave group out, or write certwright.dev";
const LITERAL_AND_COMMON_NAME: &str = "literalSubject is the whole subject: write the common name into it as CN=..., and leave commonName out";
const LITERAL_AND_SUBJECT: &str =
    "literalSubject is the whole subject: write these attributes into it, and leave subject out";
const NAMELESS: &str = "a certificate needs a name: write at least one of dnsNames, ipAddresses, uris, emailAddresses, otherNames, commonName and literalSubject";
const ALONE: &str = "write the name alone, such as example.com, without scheme, port or path";
const WILDCARD: &str = "* stands for the whole first label only: write it as in *.example.com";
const DNS_NAME: &str = "write a DNS name such as example.com or *.example.com: labels of at most 63 letters, digits, - (not at their ends) and _, with one dot between them";
const IP_ADDRESS: &str = "write a single IP address, such as 192.0.2.1 or 2001:db8::1";
const URI: &str = "write an absolute URI in ASCII, such as spiffe://example.org/ns/shop/sa/web: hosts as xn--..., other characters as %XX";
const ESCAPE: &str = "two hexadecimal digits follow each %: write %25 for the sign itself";
const EMAIL_ADDRESS: &str = "write a bare e-mail address, such as ops@example.com";
const OBJECT_IDENTIFIER: &str = "write an object identifier, such as 1.3.6.1.4.1.311.20.2.3";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = issuer_reference();
    cases.extend(subject());
    cases.extend(dns_names());
    cases.extend(other_kinds());
    cases
}

fn issuer_reference() -> Vec<Case> {
    let with_group = |group: &str| json!({ "issuerRef": { "name": "ca", "group": group } });
    let with_kind = |kind: &str| json!({ "issuerRef": { "name": "ca", "kind": kind } });
    let named = |name: &str| json!({ "issuerRef": { "name": name } });
    vec![
        case(
            named(""),
            "spec.issuerRef.name",
            ISSUER_NAME,
            named("internal.ca-1"),
        ),
        case(
            named("Internal CA"),
            "spec.issuerRef.name",
            ISSUER_NAME,
            named("internal-ca"),
        ),
        case(
            with_kind("issuer"),
            "spec.issuerRef.kind",
            "write Issuer or ClusterIssuer",
            with_kind("ClusterIssuer"),
        ),
        case(
            with_kind("AWSPCAIssuer"),
            "spec.issuerRef.kind",
            "write Issuer or ClusterIssuer",
            with_kind(""),
        ),
        case(
            with_group("awspca.cert-manager.io"),
            "spec.issuerRef.group",
            OTHER_GROUP,
            with_group("certwright.dev"),
        ),
        case(
            with_group("cert-manager.io"),
            "spec.issuerRef.group",
            OTHER_GROUP,
            with_group(""),
        ),
    ]
}

fn subject() -> Vec<Case> {
    let organization = json!({ "organizations": ["Example"] });
    vec![
        case(
            json!({ "commonName": "ü".repeat(65) }),
            "spec.commonName",
            "a common name has at most 64 characters: write longer names under dnsNames",
            json!({ "commonName": "ü".repeat(64) }),
        ),
        case(
            json!({ "literalSubject": "CN=web,O=Example", "commonName": "web" }),
            "spec.commonName",
            LITERAL_AND_COMMON_NAME,
            json!({ "literalSubject": "CN=web,O=Example", "commonName": "" }),
        ),
        case(
            json!({ "literalSubject": "CN=web,O=Example", "subject": organization }),
            "spec.subject",
            LITERAL_AND_SUBJECT,
            json!({ "literalSubject": "CN=web,O=Example", "subject": { "organizations": [], "serialNumber": "" } }),
        ),
        case(
            json!({ "literalSubject": "CN=web", "subject": { "serialNumber": "7" } }),
            "spec.subject",
            LITERAL_AND_SUBJECT,
            json!({ "literalSubject": "", "subject": { "serialNumber": "7" } }),
        ),
        case(
            json!({ "dnsNames": null }),
            "spec",
            NAMELESS,
            json!({ "dnsNames": null, "commonName": "web" }),
        ),
        case(
            json!({ "dnsNames": [] }),
            "spec",
            NAMELESS,
            json!({ "dnsNames": [], "ipAddresses": ["192.0.2.1"] }),
        ),
        case(
            json!({ "dnsNames": null, "commonName": "" }),
            "spec",
            NAMELESS,
            json!({ "dnsNames": null, "literalSubject": "CN=web" }),
        ),
        case(
            json!({ "dnsNames": null, "subject": organization }),
            "spec",
            NAMELESS,
            json!({ "dnsNames": null, "uris": ["urn:a:b"] }),
        ),
        case(
            json!({ "dnsNames": null, "literalSubject": "" }),
            "spec",
            NAMELESS,
            json!({ "dnsNames": null, "emailAddresses": ["a@example.com"] }),
        ),
        case(
            json!({ "dnsNames": null, "otherNames": [] }),
            "spec",
            NAMELESS,
            json!({ "dnsNames": null, "otherNames": [{ "oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "web@example.org" }] }),
        ),
        case(
            json!({ "isCA": true }),
            "spec.isCA",
            "a CA is known by its subject: write a commonName",
            json!({ "isCA": true, "commonName": "Example CA" }),
        ),
        case(
            json!({ "isCA": true, "commonName": "", "subject": { "organizations": [] } }),
            "spec.isCA",
            "a CA is known by its subject: write a commonName",
            json!({ "isCA": true, "subject": organization }),
        ),
    ]
}

fn dns_names() -> Vec<Case> {
    let dns = |name: &str| json!({ "dnsNames": ["first.example.com", name] });
    let at = "spec.dnsNames[1]";
    let label = "a".repeat(63);
    vec![
        case(
            dns("192.0.2.1"),
            at,
            "this is an IP address: write it under ipAddresses",
            dns("192.0.2.1.example.com"),
        ),
        case(
            dns("2001:db8::1"),
            at,
            "this is an IP address: write it under ipAddresses",
            dns("db8.example.com"),
        ),
        case(
            dns("https://example.com"),
            at,
            ALONE,
            dns("https.example.com"),
        ),
        case(dns("example.com:443"), at, ALONE, dns("example.com443")),
        case(dns("example.com/path"), at, ALONE, dns("localhost")),
        case(dns("ops@example.com"), at, ALONE, dns("ops.example.com")),
        case(dns("*"), at, WILDCARD, dns("*.example.com")),
        case(dns("a*.example.com"), at, WILDCARD, dns("*.a.example.com")),
        case(dns("a.*.example.com"), at, WILDCARD, dns("*.com")),
        case(
            dns("*.*.example.com"),
            at,
            WILDCARD,
            dns("*.BÜCHER.example"),
        ),
        case(
            dns("example.com."),
            at,
            "leave out the final dot",
            dns("example.com"),
        ),
        case(dns(""), at, DNS_NAME, dns("a")),
        case(dns("exa mple.com"), at, DNS_NAME, dns("exa-mple.com")),
        case(dns("a..example.com"), at, DNS_NAME, dns("a.b.example.com")),
        case(
            dns(".example.com"),
            at,
            DNS_NAME,
            dns("_acme-challenge.example.com"),
        ),
        case(
            dns("-a.example.com"),
            at,
            DNS_NAME,
            dns("r3---sn-abc.example.com"),
        ),
        case(
            dns("*.a-.example.com"),
            at,
            DNS_NAME,
            dns("*.a_.example.com"),
        ),
        case(dns("exämple,com"), at, DNS_NAME, dns("例え.テスト")),
        case(dns("a\nb"), at, DNS_NAME, dns("xn--bcher-kva.example")),
        case(
            dns(&format!("a{label}.example.com")),
            at,
            DNS_NAME,
            dns(&format!("{label}.example.com")),
        ),
    ]
}

fn other_kinds() -> Vec<Case> {
    let ip = |address: &str| json!({ "ipAddresses": [address] });
    let uri = |uri: &str| json!({ "uris": [uri] });
    let email = |address: &str| json!({ "emailAddresses": [address] });
    let other = |oid: &str| json!({ "otherNames": [{ "oid": oid, "utf8Value": "x" }] });
    let at_other = "spec.otherNames[0].oid";
    vec![
        case(
            ip("192.0.2.0/24"),
            "spec.ipAddresses[0]",
            IP_ADDRESS,
            ip("192.0.2.0"),
        ),
        case(
            ip("example.com"),
            "spec.ipAddresses[0]",
            IP_ADDRESS,
            ip("2001:DB8::1"),
        ),
        case(
            ip("fe80::1%eth0"),
            "spec.ipAddresses[0]",
            IP_ADDRESS,
            ip("fe80::1"),
        ),
        case(ip(""), "spec.ipAddresses[0]", IP_ADDRESS, ip("::")),
        case(
            uri("example.com/path"),
            "spec.uris[0]",
            URI,
            uri("https://example.com/path?q=1#f"),
        ),
        case(
            uri("https://bücher.example/"),
            "spec.uris[0]",
            URI,
            uri("https://xn--bcher-kva.example/"),
        ),
        case(
            uri("https://example.com/a b"),
            "spec.uris[0]",
            URI,
            uri("https://[2001:db8::1]:443/a%20b"),
        ),
        case(
            uri("https:"),
            "spec.uris[0]",
            URI,
            uri("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        ),
        case(
            uri("https://example.com/{id}"),
            "spec.uris[0]",
            URI,
            uri("spiffe://cluster.local/ns/team/sa/web"),
        ),
        case(
            uri("https://example.com/100%"),
            "spec.uris[0]",
            ESCAPE,
            uri("https://example.com/100%25"),
        ),
        case(
            uri("https://example.com/%zz"),
            "spec.uris[0]",
            ESCAPE,
            uri("https://example.com/%C3%A9"),
        ),
        case(
            email("Ops <ops@example.com>"),
            "spec.emailAddresses[0]",
            EMAIL_ADDRESS,
            email("Ops.Team+tls@example.com"),
        ),
        case(
            email("ops"),
            "spec.emailAddresses[0]",
            EMAIL_ADDRESS,
            email("ops@bücher.example"),
        ),
        case(
            email("a..b@example.com"),
            "spec.emailAddresses[0]",
            EMAIL_ADDRESS,
            email(r#""a @ b\"c"@example.com"#),
        ),
        case(
            email("ops@*.example.com"),
            "spec.emailAddresses[0]",
            EMAIL_ADDRESS,
            email("o'brien@example.com"),
        ),
        case(
            email("bücher@example.com"),
            "spec.emailAddresses[0]",
            EMAIL_ADDRESS,
            email("{a}~b@localhost"),
        ),
        case(
            other("UPN"),
            at_other,
            OBJECT_IDENTIFIER,
            other("1.3.6.1.4.1.311.20.2.3"),
        ),
        case(
            other("3.1.2"),
            at_other,
            OBJECT_IDENTIFIER,
            other("2.999.1"),
        ),
        case(
            other("1.40.1"),
            at_other,
            OBJECT_IDENTIFIER,
            other("1.39.1"),
        ),
        case(other("1.3.06"), at_other, OBJECT_IDENTIFIER, other("1.3.6")),
    ]
}
