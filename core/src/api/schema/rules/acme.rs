//! What is refused of an ACME issuer.

use super::Rule;
use super::certificate::object_name;
use super::issuer::url;
use super::syntax::{LABEL_VALUE, LOCAL_PART, SECRET_ENTRY, host, is, is_duration};

/// What is refused of `spec.acme`.
pub(super) fn acme_rules() -> Vec<Rule> {
    let mut rules = server();
    rules.extend(account());
    rules.extend(solver());
    rules.extend(selector());
    rules.extend(http01());
    rules
}

fn server() -> Vec<Rule> {
    vec![
        url(
            "acme.server",
            "['https']",
            "write the https URL of the CA's directory, such as https://acme-v02.api.letsencrypt.org/directory",
        ),
        bundle("acme.caBundle"),
        Rule::new(
            "acme",
            "!has(self.skipTLSVerify) || !self.skipTLSVerify || !has(self.caBundle) || self.caBundle == ''",
            "with skipTLSVerify nothing is verified: leave it out, or leave out caBundle",
        )
        .shown_at(".skipTLSVerify"),
    ]
}

fn account() -> Vec<Rule> {
    vec![
        Rule::new(
            "acme.email",
            format!(
                "self == '' || {}",
                is("self", &format!("^{LOCAL_PART}@{}$", host()))
            ),
            "write a bare e-mail address, such as ops@example.com",
        ),
        object_name(
            "acme.privateKeySecretRef.name",
            "the name of the Secret for the account's key, such as letsencrypt-account",
        ),
        secret_entry("acme.privateKeySecretRef.key"),
        Rule::new(
            "acme.externalAccountBinding.keyID",
            "self != ''",
            "write the key identifier that the CA gave you",
        ),
        object_name(
            "acme.externalAccountBinding.keySecretRef.name",
            "the name of the Secret with the MAC key that the CA gave you, such as ca-binding",
        ),
        Rule::new(
            "acme.externalAccountBinding.keySecretRef",
            "has(self.key) && self.key != ''",
            "write which entry of the Secret holds the MAC key, such as key: secret",
        )
        .shown_at(".key"),
        secret_entry("acme.externalAccountBinding.keySecretRef.key"),
    ]
}

pub(super) fn bundle(field: &'static str) -> Rule {
    Rule::new(
        field,
        format!(
            "{} && self.size() % 4 == 0",
            is("self", "^[0-9A-Za-z+/]*={0,2}$")
        ),
        "write PEM certificates in base64, as base64 -w0 ca.crt gives them",
    )
}

pub(super) fn secret_entry(field: &'static str) -> Rule {
    Rule::new(
        field,
        format!("self.size() <= 253 && {}", is("self", SECRET_ENTRY)),
        "write the name of an entry of a Secret: letters, digits, -, _ and ., at most 253 characters",
    )
}

fn solver() -> Vec<Rule> {
    vec![
        Rule::new(
            "acme.solvers[]",
            "has(self.http01) || has(self.dns01)",
            "a solver says how names are proven: write http01 with an ingress or a gatewayHTTPRoute",
        ),
        Rule::new(
            "acme.solvers[]",
            "!has(self.dns01)",
            "DNS-01 is not served yet: write http01, and leave certificates with wildcards to your present operator",
        )
        .shown_at(".dns01"),
        Rule::new(
            "acme.solvers[].waitInsteadOfSelfCheck",
            is_duration("self"),
            "write hours, minutes and seconds in this order, such as 30s or 1m30s; 0s does not wait",
        ),
    ]
}

// Each of so many names in each of so many solvers costs; so these are looked at only roughly.
fn selector() -> Vec<Rule> {
    vec![
        Rule::new(
            "acme.solvers[].selector.dnsNames[]",
            is("self", "^([*][.])?[^*/:@ .][^*/:@ ]*$"),
            "write a DNS name as Certificates have it, such as example.com or *.example.com, without scheme, port or path",
        ),
        Rule::new(
            "acme.solvers[].selector.dnsZones[]",
            is("self", "^[^*/:@ .][^*/:@ ]*$"),
            "write a domain, such as example.com, which stands for all names below it too: no *, scheme or port",
        ),
    ]
}

fn http01() -> Vec<Rule> {
    vec![
        Rule::new(
            "acme.solvers[].http01",
            "has(self.ingress) != has(self.gatewayHTTPRoute)",
            "the answer is led to in one way: write exactly one of ingress and gatewayHTTPRoute",
        ),
        Rule::new(
            "acme.solvers[].http01",
            "!has(self.placement) || self.placement != 'Operator' || !has(self.ingress) || !has(self.ingress.name) || self.ingress.name == ''",
            "an Ingress that is edited is one of the Certificate's namespace: leave out placement, or ingress.name",
        )
        .shown_at(".placement"),
        Rule::new(
            "acme.solvers[].http01.ingress",
            "[has(self.ingressClassName) && self.ingressClassName != '', has(self.class) && self.class != '', \
             has(self.name) && self.name != ''].filter(given, given).size() <= 1",
            "an Ingress is led by one controller: write at most one of ingressClassName, class and name",
        ),
        optional_object_name(
            "acme.solvers[].http01.ingress.ingressClassName",
            "the name of an IngressClass, such as traefik",
        ),
        optional_object_name(
            "acme.solvers[].http01.ingress.name",
            "the name of an Ingress in the Certificate's namespace, such as web",
        ),
        label_value("acme.solvers[].http01.ingress.ingressTemplate.metadata.labels{}"),
        Rule::new(
            "acme.solvers[].http01.gatewayHTTPRoute",
            "has(self.parentRefs) && self.parentRefs.size() > 0",
            "an HTTPRoute is for a Gateway: write at least one under parentRefs, such as name: web",
        )
        .shown_at(".parentRefs"),
        object_name(
            "acme.solvers[].http01.gatewayHTTPRoute.parentRefs[].name",
            "the name of a Gateway, such as web",
        ),
        label_value("acme.solvers[].http01.gatewayHTTPRoute.labels{}"),
    ]
}

fn optional_object_name(field: &'static str, what: &str) -> Rule {
    let Rule { rule, message, .. } = object_name(field, what);
    Rule::new(field, format!("self == '' || {rule}"), message)
}

fn label_value(field: &'static str) -> Rule {
    Rule::new(
        field,
        is("self", LABEL_VALUE),
        "write at most 63 letters, digits, -, _ and ., with a letter or digit at both ends",
    )
}
