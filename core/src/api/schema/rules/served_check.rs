//! What is refused of a ServedCheck.

use super::Rule;
use super::acme::{bundle, secret_entry};
use super::certificate::{DURATION_FORM, object_name};
use super::syntax::{is, is_duration};

/// What is refused of a ServedCheck's spec.
pub fn served_check_rules() -> Vec<Rule> {
    let is_target = is(
        "self",
        &format!("^({HOST}|\\[[0-9A-Fa-f:.]+\\]):[0-9]{{1,5}}$"),
    );
    let address = "self.substring(1, self.lastIndexOf(']'))";
    let port = "int(self.substring(self.lastIndexOf(':') + 1))";
    let readable = is_duration("self");
    let mut rules = vec![
        Rule::new(
            "target",
            format!("{is_target} && (!self.startsWith('[') || isIP({address}))"),
            "write host and port in ASCII, such as www.example.com:443 or [2001:db8::7]:443, without scheme or path",
        ),
        Rule::new(
            "target",
            format!("!{is_target} || {port} >= 1 && {port} <= 65535"),
            "write a port from 1 to 65535",
        ),
        Rule::new(
            "serverName",
            format!(
                "self == '' || {} || isIP(self)",
                is("self", &format!("^{HOST}$"))
            ),
            "write a name or an address in ASCII, such as www.example.com, without scheme, port or path",
        ),
        bundle("caBundle"),
        Rule::new(
            "",
            "!has(self.caBundle) || self.caBundle == '' || !has(self.caBundleSecretRef)",
            "CAs stand in one place: write caBundle or caBundleSecretRef",
        )
        .shown_at(".caBundleSecretRef"),
        object_name(
            "caBundleSecretRef.name",
            "the name of the Secret with the CAs, such as corp-ca",
        ),
        secret_entry("caBundleSecretRef.key"),
    ];
    for field in ["interval", "warnBefore"] {
        rules.push(Rule::new(field, &readable, DURATION_FORM));
    }
    rules.push(Rule::new(
        "interval",
        format!(
            "!{readable} || duration(self) >= duration('1m') && duration(self) <= duration('24h')"
        ),
        "write 1m to 24h",
    ));
    rules
}

/// A name or an IPv4 address.
const HOST: &str = "[0-9A-Za-z_]([0-9A-Za-z_.-]{0,251}[0-9A-Za-z_.])?";
