//! Bounds of lists, maps, texts and numbers.
//!
//! Everything has one: the API server counts the cost of rules at the largest object it can imagine. Where a bound has a
//! reason a user should read, a rule says it and the bound here is wider.

use serde_json::{Value, json};

use super::structural::at;

/// The bounds of the field at a path.
pub(super) type Bounds = (&'static str, Bound);

#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// At most so many entries, of a list or a map.
    Entries(u32),
    /// At most so many characters.
    Characters(u32),
    /// At least one, at most so many characters.
    SomeCharacters(u32),
    /// No less than this.
    AtLeast(i64),
    /// No less than the first, no more than the second.
    Between(i64, i64),
}

use Bound::{AtLeast, Between, Characters, Entries, SomeCharacters};

/// A DNS name as written.
const NAME: Bound = Characters(253);
/// The longest name of an object.
const OBJECT_NAME: Bound = Characters(253);
/// All durations fit: see `super::super::duration`.
const DURATION: Bound = Characters(64);
const URL: Bound = Characters(2048);
/// A value of the subject; RFC 5280 appendix A.1 has 64 or 128 for most, which many CAs don't mind.
const SUBJECT: Bound = SomeCharacters(256);
const SUBJECTS: Bound = Entries(32);
const NAMES: Bound = Entries(500);

pub(super) const CERTIFICATE_SPEC: &[Bounds] = &[
    ("secretName", Characters(1024)),
    ("issuerRef.name", Characters(1024)),
    ("issuerRef.kind", Characters(253)),
    ("issuerRef.group", Characters(253)),
    // The API server's own words say how many; each may have to be tried within a day.
    ("fallbackIssuerRefs", Entries(4)),
    ("fallbackIssuerRefs[].name", Characters(1024)),
    ("fallbackIssuerRefs[].kind", Characters(253)),
    ("fallbackIssuerRefs[].group", Characters(253)),
    ("fallbackAfter", DURATION),
    ("commonName", Characters(1024)),
    ("subject.organizations", SUBJECTS),
    ("subject.organizations[]", SUBJECT),
    ("subject.countries", SUBJECTS),
    ("subject.countries[]", SUBJECT),
    ("subject.organizationalUnits", SUBJECTS),
    ("subject.organizationalUnits[]", SUBJECT),
    ("subject.localities", SUBJECTS),
    ("subject.localities[]", SUBJECT),
    ("subject.provinces", SUBJECTS),
    ("subject.provinces[]", SUBJECT),
    ("subject.streetAddresses", SUBJECTS),
    ("subject.streetAddresses[]", SUBJECT),
    ("subject.postalCodes", SUBJECTS),
    ("subject.postalCodes[]", SUBJECT),
    ("subject.serialNumber", Characters(256)),
    ("literalSubject", Characters(4096)),
    ("dnsNames", Entries(1000)),
    ("dnsNames[]", NAME),
    ("ipAddresses", NAMES),
    ("ipAddresses[]", Characters(64)),
    ("uris", NAMES),
    ("uris[]", URL),
    ("emailAddresses", NAMES),
    ("emailAddresses[]", Characters(320)),
    ("otherNames", Entries(100)),
    ("otherNames[].oid", Characters(128)),
    ("otherNames[].utf8Value", SomeCharacters(1024)),
    ("duration", DURATION),
    ("renewBefore", DURATION),
    ("renewBeforePercentage", Between(1, 99)),
    ("renewal.windows", Entries(32)),
    ("renewal.windows[].cron", Characters(256)),
    ("renewal.windows[].windowDuration", DURATION),
    ("renewal.windows[].timezone", Characters(64)),
    ("usages", Entries(64)),
    ("nameConstraints.permitted.dnsDomains", NAMES),
    ("nameConstraints.permitted.dnsDomains[]", NAME),
    ("nameConstraints.permitted.ipRanges", NAMES),
    ("nameConstraints.permitted.ipRanges[]", Characters(64)),
    ("nameConstraints.permitted.emailAddresses", NAMES),
    (
        "nameConstraints.permitted.emailAddresses[]",
        Characters(320),
    ),
    ("nameConstraints.permitted.uriDomains", NAMES),
    ("nameConstraints.permitted.uriDomains[]", NAME),
    ("nameConstraints.excluded.dnsDomains", NAMES),
    ("nameConstraints.excluded.dnsDomains[]", NAME),
    ("nameConstraints.excluded.ipRanges", NAMES),
    ("nameConstraints.excluded.ipRanges[]", Characters(64)),
    ("nameConstraints.excluded.emailAddresses", NAMES),
    ("nameConstraints.excluded.emailAddresses[]", Characters(320)),
    ("nameConstraints.excluded.uriDomains", NAMES),
    ("nameConstraints.excluded.uriDomains[]", NAME),
    ("secretTemplate.annotations", Entries(64)),
    ("secretTemplate.annotations{}", Characters(16_384)),
    ("secretTemplate.labels", Entries(64)),
    ("secretTemplate.labels{}", Characters(253)),
    ("additionalOutputFormats", Entries(8)),
    ("rollout.call.path", Characters(1024)),
    ("rollout.call.port", SomeCharacters(15)),
    ("rollout.rules", Entries(20)),
    ("rollout.rules[].kind", SomeCharacters(317)),
    ("rollout.rules[].name", OBJECT_NAME),
    ("rollout.rules[].selector.matchLabels", Entries(32)),
    ("rollout.rules[].selector.matchLabels{}", Characters(63)),
    ("rollout.rules[].selector.matchExpressions", Entries(32)),
    (
        "rollout.rules[].selector.matchExpressions[].key",
        Characters(317),
    ),
    (
        "rollout.rules[].selector.matchExpressions[].values",
        Entries(32),
    ),
    (
        "rollout.rules[].selector.matchExpressions[].values[]",
        Characters(63),
    ),
    ("rollout.rules[].call.path", Characters(1024)),
    ("rollout.rules[].call.port", SomeCharacters(15)),
    ("rollout.rules[].wave", Between(0, 100)),
    ("rollout.maxConcurrent", Between(1, 1000)),
    ("rollout.minGap", DURATION),
    ("rollout.healthTimeout", DURATION),
    ("rollout.windows", Entries(32)),
    ("rollout.windows[].cron", Characters(256)),
    ("rollout.windows[].windowDuration", DURATION),
    ("rollout.windows[].timezone", Characters(64)),
    ("rollout.urgentBefore", DURATION),
    ("rollout.probe.ports", Entries(16)),
    ("rollout.probe.ports[].port", SomeCharacters(15)),
    ("rollout.probe.serverName", NAME),
    ("rollout.rules[].probe.ports", Entries(16)),
    ("rollout.rules[].probe.ports[].port", SomeCharacters(15)),
    ("rollout.rules[].probe.serverName", NAME),
    ("revisionHistoryLimit", AtLeast(1)),
];

pub(super) const CERTIFICATE_STATUS: &[Bounds] = &[
    ("conditions", Entries(16)),
    ("conditions[].type", SomeCharacters(316)),
    ("conditions[].reason", Characters(1024)),
    ("conditions[].message", Characters(32_768)),
    ("serialNumber", Characters(64)),
    ("fingerprint", Characters(128)),
    ("lastFailure.reason", Characters(1024)),
    ("lastFailure.message", Characters(32_768)),
    ("lastFailure.attempted", Characters(1024)),
    ("lastFailure.renewRequest", RENEW_REQUEST),
    ("lastRenewRequest", RENEW_REQUEST),
    ("order.attempted", Characters(1024)),
    ("order.url", URL),
    ("order.waitsFor", Characters(4096)),
    ("order.challenges", Entries(100)),
    ("order.challenges[].kind", Characters(64)),
    ("order.challenges[].identifier", NAME),
    ("order.challenges[].token", Characters(128)),
    ("order.challenges[].authorizationUrl", URL),
    ("signedBy.kind", Characters(64)),
    ("signedBy.name", Characters(1024)),
    ("signedBy.why", Characters(8192)),
    ("fallback.kind", Characters(64)),
    ("fallback.name", Characters(1024)),
    ("fallback.request", Characters(1024)),
    ("fallback.why", Characters(8192)),
    ("renewalWindow.explanationURL", URL),
    ("revocation.request", Characters(1024)),
    ("revocation.serialNumber", Characters(64)),
    ("revocation.message", Characters(32_768)),
    ("heldBack.fingerprint", Characters(64)),
    ("heldBack.serialNumber", Characters(64)),
    ("heldBack.restored", Characters(64)),
    ("heldBack.request", Characters(256)),
    ("heldBack.message", Characters(1024)),
    ("previous.fingerprint", Characters(64)),
    ("previous.serialNumber", Characters(64)),
    ("rollout.fingerprint", Characters(128)),
    ("rollout.refused.fingerprint", Characters(64)),
    ("rollout.refused.kind", Characters(64)),
    ("rollout.refused.name", OBJECT_NAME),
    ("rollout.refused.message", Characters(1024)),
    ("rollout.workloads", Entries(20)),
    ("rollout.workloads[].kind", Characters(64)),
    ("rollout.workloads[].name", OBJECT_NAME),
    ("rollout.workloads[].reason", Characters(1024)),
    ("rollout.workloads[].message", Characters(1024)),
    ("rollout.hosts", Entries(20)),
    ("rollout.hosts[].host", NAME),
    ("rollout.hosts[].ingress", OBJECT_NAME),
    ("rollout.hosts[].message", Characters(1024)),
];

/// All annotations of an object together hold 256 KiB, so that whatever is asked for can be written down.
const RENEW_REQUEST: Bound = Characters(262_144);

pub(super) const ISSUER_SPEC: &[Bounds] = &[
    ("selfSigned.crlDistributionPoints", Entries(16)),
    ("selfSigned.crlDistributionPoints[]", URL),
    ("allowedNamespaces", NAMES),
    ("allowedNamespaces[]", NAME),
    ("ca.secretName", Characters(1024)),
    ("ca.crlDistributionPoints", Entries(16)),
    ("ca.crlDistributionPoints[]", URL),
    ("ca.ocspServers", Entries(16)),
    ("ca.ocspServers[]", URL),
    ("ca.issuingCertificateURLs", Entries(16)),
    ("ca.issuingCertificateURLs[]", URL),
    ("acme.server", URL),
    ("acme.email", Characters(320)),
    ("acme.privateKeySecretRef.name", Characters(1024)),
    ("acme.privateKeySecretRef.key", Characters(1024)),
    ("acme.externalAccountBinding.keyID", Characters(1024)),
    (
        "acme.externalAccountBinding.keySecretRef.name",
        Characters(1024),
    ),
    (
        "acme.externalAccountBinding.keySecretRef.key",
        Characters(1024),
    ),
    ("acme.preferredChain", Characters(64)),
    ("acme.profile", Characters(64)),
    ("acme.caBundle", Characters(262_144)),
    ("acme.solvers", Entries(64)),
    ("acme.solvers[].selector.matchLabels", Entries(32)),
    ("acme.solvers[].selector.matchLabels{}", Characters(63)),
    ("acme.solvers[].selector.dnsNames", SELECTED),
    ("acme.solvers[].selector.dnsNames[]", NAME),
    ("acme.solvers[].selector.dnsZones", SELECTED),
    ("acme.solvers[].selector.dnsZones[]", NAME),
    ("acme.solvers[].waitInsteadOfSelfCheck", DURATION),
    (
        "acme.solvers[].http01.ingress.ingressClassName",
        Characters(1024),
    ),
    ("acme.solvers[].http01.ingress.class", Characters(1024)),
    ("acme.solvers[].http01.ingress.name", Characters(1024)),
    (
        "acme.solvers[].http01.ingress.ingressTemplate.metadata.annotations",
        Entries(32),
    ),
    (
        "acme.solvers[].http01.ingress.ingressTemplate.metadata.annotations{}",
        Characters(4096),
    ),
    (
        "acme.solvers[].http01.ingress.ingressTemplate.metadata.labels",
        Entries(32),
    ),
    (
        "acme.solvers[].http01.ingress.ingressTemplate.metadata.labels{}",
        Characters(253),
    ),
    ("acme.solvers[].http01.gatewayHTTPRoute.labels", Entries(32)),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.labels{}",
        Characters(253),
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs",
        Entries(16),
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].group",
        NAME,
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].kind",
        Characters(63),
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].namespace",
        Characters(63),
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].name",
        OBJECT_NAME,
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].sectionName",
        NAME,
    ),
    (
        "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].port",
        Between(1, 65_535),
    ),
];

/// As many as the cost of rules allows for in each of so many solvers.
const SELECTED: Bound = Entries(100);

pub(super) const ISSUER_STATUS: &[Bounds] = &[
    ("conditions", Entries(16)),
    ("conditions[].type", SomeCharacters(316)),
    ("conditions[].reason", Characters(1024)),
    ("conditions[].message", Characters(32_768)),
    ("acme.uri", URL),
    ("acme.lastRegisteredEmail", Characters(320)),
    ("acme.lastPrivateKeyHash", Characters(128)),
    ("acme.lastRollRequest", Characters(256)),
    ("acme.termsOfService", URL),
    ("acme.caaIdentities", Entries(32)),
    ("acme.caaIdentities[]", NAME),
    ("acme.profiles", Entries(64)),
    ("acme.profiles[]", Characters(64)),
];

pub(super) const SERVED_CHECK_SPEC: &[Bounds] = &[
    ("target", Characters(1024)),
    ("serverName", Characters(1024)),
    ("caBundle", Characters(262_144)),
    ("caBundleSecretRef.name", Characters(1024)),
    ("caBundleSecretRef.key", Characters(1024)),
    ("interval", DURATION),
    ("warnBefore", DURATION),
];

pub(super) const SERVED_CHECK_STATUS: &[Bounds] = &[
    ("conditions", Entries(16)),
    ("conditions[].type", SomeCharacters(316)),
    ("conditions[].reason", Characters(1024)),
    ("conditions[].message", Characters(32_768)),
    ("presented.subject", FOREIGN),
    ("presented.issuer", FOREIGN),
    ("presented.serialNumber", Characters(64)),
    ("presented.fingerprint", Characters(128)),
    ("presented.names", Entries(20)),
    ("presented.names[]", FOREIGN),
    ("faults", Entries(16)),
    ("faults[].code", Characters(64)),
    ("faults[].cause", FOREIGN),
    ("faults[].remedy", FOREIGN),
];

/// What somebody else wrote is cut to this.
const FOREIGN: Bound = Characters(1024);

pub(super) fn add(schema: &mut Value, bounds: &[Bounds]) {
    for (path, bound) in bounds {
        let field = at(schema, path);
        let entries = if field.contains_key("additionalProperties") {
            "maxProperties"
        } else {
            "maxItems"
        };
        let keywords: &[(&str, i64)] = match *bound {
            Entries(most) => &[(entries, most.into())],
            Characters(most) => &[("maxLength", most.into())],
            SomeCharacters(most) => &[("minLength", 1), ("maxLength", most.into())],
            AtLeast(least) => &[("minimum", least)],
            Between(least, most) => &[("minimum", least), ("maximum", most)],
        };
        for (keyword, value) in keywords {
            field.insert((*keyword).to_owned(), json!(value));
        }
    }
}
