//! Issuers that sign where the first can't.

use serde_json::{Value, json};

use super::{Case, case};

const NAME: &str = "write the name of an Issuer or ClusterIssuer, such as internal-ca: lower-case letters, digits, - and ., at most 253 characters";
const KIND: &str = "write Issuer or ClusterIssuer";
const GROUP: &str =
    "issuers of other groups are not served: leave group out, or write certwright.dev";
const ANOTHER: &str = "a fallback is another issuer than issuerRef: leave that one out";
const FORM: &str = "write hours, minutes and seconds in this order, such as 2160h or 1h30m: days are not a unit, 90 days are 2160h";
const SHORT: &str = "an issuer gets some time: write at least 1m";

pub(super) fn cases() -> Vec<Case> {
    let to = |reference: Value| json!({ "fallbackIssuerRefs": [reference] });
    let after =
        |text: &str| json!({ "fallbackIssuerRefs": [{ "name": "other" }], "fallbackAfter": text });
    vec![
        case(
            to(json!({ "name": "Other CA" })),
            "spec.fallbackIssuerRefs[0].name",
            NAME,
            to(json!({ "name": "other-ca" })),
        ),
        case(
            to(json!({ "name": "other", "kind": "CA" })),
            "spec.fallbackIssuerRefs[0].kind",
            KIND,
            to(json!({ "name": "other", "kind": "" })),
        ),
        case(
            to(json!({ "name": "other", "group": "cert-manager.io" })),
            "spec.fallbackIssuerRefs[0].group",
            GROUP,
            to(json!({ "name": "other", "group": "certwright.dev" })),
        ),
        // `ca` is the issuer of the plainest Certificate.
        case(
            to(json!({ "name": "ca", "kind": "Issuer" })),
            "spec.fallbackIssuerRefs",
            ANOTHER,
            to(json!({ "name": "ca", "kind": "ClusterIssuer" })),
        ),
        case(after("1d"), "spec.fallbackAfter", FORM, after("24h")),
        case(after("30s"), "spec.fallbackAfter", SHORT, after("1m")),
    ]
}
