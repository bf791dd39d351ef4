//! What is refused of an Issuer or ClusterIssuer.

use super::Rule;
use super::acme::acme_rules;
use super::certificate::object_name;
use super::syntax::{NAMESPACE, is};

/// What is refused of an Issuer's spec.
pub fn issuer_rules() -> Vec<Rule> {
    let mut rules = common_rules();
    rules.push(
        Rule::new(
            "",
            "!has(self.allowedNamespaces)",
            "an Issuer serves its own namespace only: leave this out, or write a ClusterIssuer",
        )
        .shown_at(".allowedNamespaces"),
    );
    rules
}

/// What is refused of a ClusterIssuer's spec.
pub fn cluster_issuer_rules() -> Vec<Rule> {
    let mut rules = common_rules();
    rules.extend([
        // Many clients leave out an empty list when they write an object again, and then it would serve all.
        Rule::new(
            "allowedNamespaces",
            "self.size() > 0",
            "write at least one namespace, or leave this out to serve all",
        ),
        Rule::new(
            "allowedNamespaces[]",
            format!("self.size() <= 63 && {}", is("self", NAMESPACE)),
            "write the name of a namespace, such as shop: lower-case letters, digits and -, at most 63 characters; patterns are not known here",
        ),
    ]);
    rules
}

fn common_rules() -> Vec<Rule> {
    let mut rules = vec![
        Rule::new(
            "",
            "[has(self.selfSigned), has(self.ca), has(self.acme), has(self.vault), has(self.venafi)].filter(given, given).size() == 1",
            "an issuer signs in one way: write exactly one of selfSigned, ca and acme",
        ),
        Rule::new("", "!has(self.vault)", "Vault is not served yet: write an intermediate CA's certificate and key into a Secret and use ca").shown_at(".vault"),
        Rule::new("", "!has(self.venafi)", "Venafi is not served yet: write an intermediate CA's certificate and key into a Secret and use ca").shown_at(".venafi"),
        object_name("ca.secretName", "the name of the Secret that holds the CA, such as internal-ca"),
    ];
    for field in [
        "selfSigned.crlDistributionPoints[]",
        "ca.crlDistributionPoints[]",
    ] {
        rules.push(url(
            field,
            "['http', 'https', 'ldap', 'ldaps']",
            "write an http, https or ldap URL in ASCII, such as http://pki.example.com/ca.crl",
        ));
    }
    rules.push(url(
        "ca.ocspServers[]",
        "['http', 'https']",
        "write an http or https URL in ASCII, such as http://ocsp.example.com",
    ));
    rules.push(url(
        "ca.issuingCertificateURLs[]",
        "['http', 'https']",
        "write an http or https URL in ASCII, such as http://pki.example.com/ca.crt",
    ));
    rules.extend(acme_rules());
    rules
}

pub(super) fn url(field: &'static str, schemes: &str, message: &str) -> Rule {
    let rule = format!(
        r"self.matches(r'^[\x21-\x7e]+$') && isURL(self) && url(self).getScheme() in {schemes} && (url(self).getHost() != '' || url(self).getScheme() in ['ldap', 'ldaps'])"
    );
    Rule::new(field, rule, message)
}
