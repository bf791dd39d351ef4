//! ServedChecks.

use serde_json::json;

use super::{Case, case};

const TARGET: &str = "write host and port in ASCII, such as www.example.com:443 or [2001:db8::7]:443, without scheme or path";
const PORT: &str = "write a port from 1 to 65535";
const NAME: &str =
    "write a name or an address in ASCII, such as www.example.com, without scheme, port or path";
const BUNDLE: &str = "write PEM certificates in base64, as base64 -w0 ca.crt gives them";
const ONE_PLACE: &str = "CAs stand in one place: write caBundle or caBundleSecretRef";
const SECRET: &str = "write the name of the Secret with the CAs, such as corp-ca: lower-case letters, digits, - and ., at most 253 characters";
const ENTRY: &str =
    "write the name of an entry of a Secret: letters, digits, -, _ and ., at most 253 characters";
const DURATION: &str = "write hours, minutes and seconds in this order, such as 2160h or 1h30m: days are not a unit, 90 days are 2160h";
const INTERVAL: &str = "write 1m to 24h";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (refused, says, passes) in [
        ("www.example.com", TARGET, "www.example.com:443"),
        (
            "https://www.example.com:443",
            TARGET,
            "WWW.example.com.:443",
        ),
        ("www.example.com:443/", TARGET, "192.0.2.7:443"),
        ("2001:db8::7:443", TARGET, "[2001:db8::7]:443"),
        ("[2001:db8::7::]:443", TARGET, "[fe80::1]:443"),
        (":443", TARGET, "a:443"),
        ("www.example.com:https", TARGET, "_a.example.com:1"),
        ("bücher.example:443", TARGET, "xn--bcher-kva.example:443"),
        ("www.example.com:0", PORT, "www.example.com:1"),
        ("www.example.com:65536", PORT, "www.example.com:65535"),
        ("[2001:db8::7]:99999", PORT, "[2001:db8::7]:9999"),
    ] {
        let (refused, passes) = (json!({ "target": refused }), json!({ "target": passes }));
        cases.push(case(refused, "spec.target", says, passes));
    }
    for (refused, passes) in [
        ("www.example.com:443", "www.example.com"),
        ("https://www.example.com", ""),
        ("*.example.com", "2001:db8::7"),
        ("2001:db8::7::", "192.0.2.7"),
    ] {
        let named = |name| json!({ "serverName": name });
        cases.push(case(named(refused), "spec.serverName", NAME, named(passes)));
    }
    let reference =
        |name: &str, key: &str| json!({ "caBundleSecretRef": { "name": name, "key": key } });
    cases.extend([
        case(
            json!({ "caBundle": "-----BEGIN" }),
            "spec.caBundle",
            BUNDLE,
            json!({ "caBundle": "LS0tLS1CRUdJTg==" }),
        ),
        case(
            json!({ "caBundle": "LS0t", "caBundleSecretRef": { "name": "ca" } }),
            "spec.caBundleSecretRef",
            ONE_PLACE,
            json!({ "caBundle": "", "caBundleSecretRef": { "name": "ca" } }),
        ),
        case(
            reference("Corp", "ca.crt"),
            "spec.caBundleSecretRef.name",
            SECRET,
            reference("corp", ""),
        ),
        case(
            reference("corp", "a/b"),
            "spec.caBundleSecretRef.key",
            ENTRY,
            reference("corp", "a_b"),
        ),
        case(
            json!({ "interval": "1d" }),
            "spec.interval",
            DURATION,
            json!({ "interval": "1h30m" }),
        ),
        case(
            json!({ "interval": "59s" }),
            "spec.interval",
            INTERVAL,
            json!({ "interval": "1m" }),
        ),
        case(
            json!({ "interval": "24h1s" }),
            "spec.interval",
            INTERVAL,
            json!({ "interval": "24h" }),
        ),
        case(
            json!({ "warnBefore": "14d" }),
            "spec.warnBefore",
            DURATION,
            json!({ "warnBefore": "0s" }),
        ),
    ]);
    cases
}
