//! What is refused of a Certificate.

use super::syntax::{
    BROKEN_ESCAPE, CRON, LABEL_VALUE, LOCAL_PART, OBJECT_IDENTIFIER, OBJECT_NAME, QUALIFIED_NAME,
    TIME_ZONE, URI, host, is, is_duration,
};
use super::{Rule, rollout};
use crate::api::Group;

/// What is refused of a Certificate's spec.
pub fn certificate_rules(group: &Group) -> Vec<Rule> {
    let mut rules = vec![object_name(
        "secretName",
        "the name of a Secret, such as example-com-tls",
    )];
    rules.extend(issuer_references(group));
    rules.extend(subject());
    rules.extend(names());
    rules.extend(times());
    rules.extend(renewal());
    rules.extend(rollout::rules());
    rules.extend(authority());
    rules.extend(key());
    rules.extend(secret(group));
    rules
}

pub(super) fn object_name(field: &'static str, what: &str) -> Rule {
    let rule = format!("self.size() <= 253 && {}", is("self", OBJECT_NAME));
    Rule::new(
        field,
        rule,
        format!("write {what}: lower-case letters, digits, - and ., at most 253 characters"),
    )
}

fn issuer_references(group: &Group) -> Vec<Rule> {
    let group_name = group.name();
    let mut rules = Vec::new();
    for [name, kind, group] in [
        ["issuerRef.name", "issuerRef.kind", "issuerRef.group"],
        [
            "fallbackIssuerRefs[].name",
            "fallbackIssuerRefs[].kind",
            "fallbackIssuerRefs[].group",
        ],
    ] {
        rules.extend([
            object_name(
                name,
                "the name of an Issuer or ClusterIssuer, such as internal-ca",
            ),
            Rule::new(
                kind,
                "self in ['', 'Issuer', 'ClusterIssuer']",
                "write Issuer or ClusterIssuer",
            ),
            Rule::new(
                group,
                format!("self in ['', '{group_name}']"),
                format!(
                    "issuers of other groups are not served: leave group out, or write {group_name}"
                ),
            ),
        ]);
    }
    rules.extend(fallback());
    rules
}

fn fallback() -> Vec<Rule> {
    let readable = is_duration("self");
    let kind_of =
        |reference: &str| format!("(has({reference}.kind) && {reference}.kind == 'ClusterIssuer')");
    vec![
        Rule::new(
            "",
            format!(
                "!has(self.fallbackIssuerRefs) || self.fallbackIssuerRefs.all(other, other.name != self.issuerRef.name || {} != {})",
                kind_of("other"),
                kind_of("self.issuerRef"),
            ),
            "a fallback is another issuer than issuerRef: leave that one out",
        )
        .shown_at(".fallbackIssuerRefs"),
        Rule::new("fallbackAfter", &readable, DURATION_FORM),
        Rule::new(
            "fallbackAfter",
            format!("!{readable} || duration(self) >= duration('1m')"),
            "an issuer gets some time: write at least 1m",
        ),
    ]
}

fn subject() -> Vec<Rule> {
    let attributes = any_given(
        "self.subject",
        &[
            "organizations",
            "countries",
            "organizationalUnits",
            "localities",
            "provinces",
            "streetAddresses",
            "postalCodes",
            "serialNumber",
        ],
    );
    let any_of_subject = format!("has(self.subject) && ({attributes})");
    vec![
        Rule::new("commonName", "self.size() <= 64", "a common name has at most 64 characters: write longer names under dnsNames"),
        Rule::new(
            "",
            "!has(self.literalSubject) || self.literalSubject == '' || !has(self.commonName) || self.commonName == ''",
            "literalSubject is the whole subject: write the common name into it as CN=..., and leave commonName out",
        )
        .shown_at(".commonName"),
        Rule::new(
            "",
            format!("!has(self.literalSubject) || self.literalSubject == '' || !({any_of_subject})"),
            "literalSubject is the whole subject: write these attributes into it, and leave subject out",
        )
        .shown_at(".subject"),
        Rule::new(
            "",
            format!("{COMMON_NAME_OR_LITERAL} || {}", any_given("self", &["dnsNames", "ipAddresses", "uris", "emailAddresses", "otherNames"])),
            "a certificate needs a name: write at least one of dnsNames, ipAddresses, uris, emailAddresses, otherNames, commonName and literalSubject",
        ),
        Rule::new(
            "",
            format!("!has(self.isCA) || !self.isCA || {COMMON_NAME_OR_LITERAL} || {any_of_subject}"),
            "a CA is known by its subject: write a commonName",
        )
        .shown_at(".isCA"),
    ]
}

/// CEL: whether there is a subject in one of these fields. An empty text is none.
const COMMON_NAME_OR_LITERAL: &str = "has(self.commonName) && self.commonName != '' || has(self.literalSubject) && self.literalSubject != ''";

/// CEL: whether one of these lists or texts of `parent` is given and not empty.
fn any_given(parent: &str, fields: &[&str]) -> String {
    let given: Vec<_> = fields
        .iter()
        .map(|field| format!("has({parent}.{field}) && {parent}.{field}.size() > 0"))
        .collect();
    given.join(" || ")
}

fn names() -> Vec<Rule> {
    let host = host();
    vec![
        Rule::new(
            "dnsNames[]",
            "!isIP(self)",
            "this is an IP address: write it under ipAddresses",
        ),
        Rule::new(
            "dnsNames[]",
            "isIP(self) || !self.matches('[/:@]')",
            "write the name alone, such as example.com, without scheme, port or path",
        ),
        Rule::new(
            "dnsNames[]",
            "!self.matches('.[*]|[*]([^.]|$)')",
            "* stands for the whole first label only: write it as in *.example.com",
        ),
        Rule::new(
            "dnsNames[]",
            "!self.endsWith('.')",
            "leave out the final dot",
        ),
        Rule::new(
            "dnsNames[]",
            format!(
                "self.matches('[/:@]|[.]$|.[*]|[*]([^.]|$)') || {}",
                is("self", &format!("^([*][.])?{host}$"))
            ),
            "write a DNS name such as example.com or *.example.com: labels of at most 63 letters, digits, - (not at their ends) and _, with one dot between them",
        ),
        Rule::new(
            "ipAddresses[]",
            "isIP(self)",
            "write a single IP address, such as 192.0.2.1 or 2001:db8::1",
        ),
        Rule::new(
            "uris[]",
            is("self", URI),
            "write an absolute URI in ASCII, such as spiffe://example.org/ns/shop/sa/web: hosts as xn--..., other characters as %XX",
        ),
        Rule::new(
            "uris[]",
            format!("!{}", is("self", BROKEN_ESCAPE)),
            "two hexadecimal digits follow each %: write %25 for the sign itself",
        ),
        Rule::new(
            "emailAddresses[]",
            is("self", &format!("^{LOCAL_PART}@{host}$")),
            "write a bare e-mail address, such as ops@example.com",
        ),
        Rule::new(
            "otherNames[].oid",
            is("self", OBJECT_IDENTIFIER),
            "write an object identifier, such as 1.3.6.1.4.1.311.20.2.3",
        ),
    ]
}

pub(super) const DURATION_FORM: &str = "write hours, minutes and seconds in this order, such as 2160h or 1h30m: days are not a unit, 90 days are 2160h";

/// CEL: how long the certificate is valid, to be evaluated only where the text is readable.
const LIFETIME: &str = "(has(self.duration) ? duration(self.duration) : duration('2160h'))";

fn times() -> Vec<Rule> {
    let readable = is_duration("self");
    let lifetime_is_readable = format!("(!has(self.duration) || {})", is_duration("self.duration"));
    vec![
        Rule::new("duration", &readable, DURATION_FORM),
        Rule::new("duration", format!("!{readable} || duration(self) >= duration('1h')"), "a certificate is valid for at least 1h"),
        Rule::new("renewBefore", &readable, DURATION_FORM),
        Rule::new("renewBefore", format!("!{readable} || duration(self) >= duration('5m')"), "a renewal needs time: write at least 5m"),
        Rule::new(
            "",
            format!(
                "!has(self.renewBefore) || !{} || !{lifetime_is_readable} || duration(self.renewBefore) < {LIFETIME}",
                is_duration("self.renewBefore")
            ),
            "write less than duration, which is 2160h where it isn't given",
        )
        .shown_at(".renewBefore"),
        Rule::new("", "!has(self.renewBefore) || !has(self.renewBeforePercentage)", "write either renewBefore or renewBeforePercentage")
            .shown_at(".renewBeforePercentage"),
        Rule::new(
            "",
            format!(
                "!has(self.renewBeforePercentage) || !{lifetime_is_readable} || {LIFETIME}.getSeconds() * self.renewBeforePercentage >= 30000"
            ),
            "this part of duration is less than 5m: write a higher percentage or a longer duration",
        )
        .shown_at(".renewBeforePercentage"),
    ]
}

fn renewal() -> Vec<Rule> {
    let mut rules = vec![
        Rule::new(
            "renewal",
            "self.policy != 'Disabled' || !has(self.windows) || self.windows.size() == 0",
            "policy Disabled renews at no time: leave windows out, or write policy: RenewBefore",
        )
        .shown_at(".windows"),
    ];
    rules.extend(windows([
        "renewal.windows[].cron",
        "renewal.windows[].windowDuration",
        "renewal.windows[].timezone",
    ]));
    rules
}

/// What is refused of the parts of a window: cron line, length and time zone.
pub(super) fn windows([cron, length, zone]: [&'static str; 3]) -> Vec<Rule> {
    let readable = is_duration("self");
    vec![
        Rule::new(
            cron,
            is("self", CRON),
            "write the five fields of cron, minute, hour, day of month, month and day of week, such as 0 2 * * 6",
        ),
        Rule::new(length, &readable, DURATION_FORM),
        Rule::new(
            length,
            format!("!{readable} || duration(self) >= duration('1s')"),
            "a window stays open for some time: write it, such as 4h",
        ),
        Rule::new(
            zone,
            is("self", TIME_ZONE),
            "write the IANA name of a time zone, such as Europe/Berlin, or leave it out for UTC",
        ),
    ]
}

fn authority() -> Vec<Rule> {
    let host = host();
    let items = ["dnsDomains", "ipRanges", "emailAddresses", "uriDomains"];
    let any_items = ["permitted", "excluded"]
        .map(|part| {
            format!(
                "has(self.{part}) && ({})",
                any_given(&format!("self.{part}"), &items)
            )
        })
        .join(" || ");
    let mut rules = vec![
        Rule::new(
            "",
            "!has(self.nameConstraints) || has(self.isCA) && self.isCA",
            "name constraints bind a CA: write isCA: true, or leave nameConstraints out",
        )
        .shown_at(".nameConstraints"),
        Rule::new(
            "nameConstraints",
            any_items,
            "write at least one name under permitted or excluded, or leave nameConstraints out",
        ),
    ];
    let domain = format!("self == '' || {}", is("self", &format!("^[.]?{host}$")));
    let mailboxes = format!(
        "self == '' || {}",
        is("self", &format!("^({LOCAL_PART}@|[.])?{host}$"))
    );
    for [dns_domains, ip_ranges, email_addresses, uri_domains] in [
        [
            "nameConstraints.permitted.dnsDomains[]",
            "nameConstraints.permitted.ipRanges[]",
            "nameConstraints.permitted.emailAddresses[]",
            "nameConstraints.permitted.uriDomains[]",
        ],
        [
            "nameConstraints.excluded.dnsDomains[]",
            "nameConstraints.excluded.ipRanges[]",
            "nameConstraints.excluded.emailAddresses[]",
            "nameConstraints.excluded.uriDomains[]",
        ],
    ] {
        rules.extend([
            Rule::new(dns_domains, format!("!isIP(self) && ({domain})"), "write a domain, such as example.com, which covers all names below it too: no *, scheme or port, and addresses under ipRanges"),
            Rule::new(ip_ranges, "isCIDR(self)", "write a range of IP addresses, such as 10.0.0.0/8, 192.0.2.1/32 or 2001:db8::/32"),
            Rule::new(email_addresses, &mailboxes, "write a mailbox such as ops@example.com, a host such as example.com, or .example.com for all hosts below it"),
            Rule::new(uri_domains, format!("!isIP(self) && ({domain})"), "write only the host of URIs, such as example.com, or .example.com for all hosts below it"),
        ]);
    }
    rules
}

/// CEL: the kind of key that is asked for, from what is given.
const ALGORITHM: &str = "(has(self.privateKey.algorithm) ? self.privateKey.algorithm : has(self.signatureAlgorithm) ? \
    (self.signatureAlgorithm.endsWith('RSA') ? 'RSA' : self.signatureAlgorithm.startsWith('ECDSA') ? 'ECDSA' : 'Ed25519') : \
    has(self.privateKey.size) && self.privateKey.size >= 2048 ? 'RSA' : 'ECDSA')";

fn key() -> Vec<Rule> {
    let size_is_free =
        "!has(self.privateKey) || !has(self.privateKey.size) || self.privateKey.size == 0";
    vec![
        Rule::new(
            "",
            format!("{size_is_free} || {ALGORITHM} != 'RSA' || self.privateKey.size in [2048, 3072, 4096, 8192]"),
            "RSA keys have 2048, 3072, 4096 or 8192 bits: write one of these",
        )
        .shown_at(".privateKey.size"),
        Rule::new(
            "",
            format!("{size_is_free} || {ALGORITHM} != 'ECDSA' || self.privateKey.size in [256, 384, 521]"),
            "ECDSA keys have 256, 384 or 521 bits: write one of these, or algorithm: RSA and 2048, 3072, 4096 or 8192",
        )
        .shown_at(".privateKey.size"),
        Rule::new(
            "",
            "!has(self.signatureAlgorithm) || !has(self.privateKey) || !has(self.privateKey.algorithm) || (self.privateKey.algorithm == \
             'RSA' ? self.signatureAlgorithm.endsWith('RSA') : self.privateKey.algorithm == 'ECDSA' ? \
             self.signatureAlgorithm.startsWith('ECDSA') : self.signatureAlgorithm == 'PureEd25519')",
            "keys of this privateKey.algorithm don't sign so: RSA keys sign SHA...WithRSA, ECDSA keys ECDSAWithSHA..., Ed25519 keys PureEd25519",
        )
        .shown_at(".signatureAlgorithm"),
    ]
}

fn secret(group: &Group) -> Vec<Rule> {
    let prefix = group.prefix();
    let own = format!("!self.exists(key, key.startsWith('{prefix}'))");
    let own_message =
        format!("keys that begin with {prefix} are written by the operator: leave them out");
    vec![
        Rule::new("secretTemplate.labels", format!("self.all(key, {})", is("key", QUALIFIED_NAME)), LABEL_KEY),
        Rule::new("secretTemplate.labels{}", is("self", LABEL_VALUE), LABEL_VALUE_FORM),
        Rule::new("secretTemplate.labels", &own, &own_message),
        Rule::new("secretTemplate.annotations", format!("self.all(key, {})", is("key.lowerAscii()", QUALIFIED_NAME)), LABEL_KEY),
        Rule::new("secretTemplate.annotations", own, own_message),
        Rule::new(
            "additionalOutputFormats",
            "self.all(format, self.exists_one(other, other.type == format.type))",
            "each type is stored once: leave the repeated ones out",
        ),
        Rule::new(
            "",
            "!has(self.keystores)",
            "keystores are not served yet: make them from additionalOutputFormats CombinedPEM or from tls.key and tls.crt in an init container, and leave keystores out",
        )
        .shown_at(".keystores"),
    ]
}

pub(super) const LABEL_VALUE_FORM: &str =
    "write at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
pub(super) const LABEL_KEY: &str = "write keys such as app or example.com/app: an optional lower-case DNS name and /, then at most 63 letters, digits, -, _ and ., with a letter or digit at both ends";
