//! What the API server refuses, in CEL, and the words it says.
//!
//! A rule must come to an answer for any value that the rest of the schema lets through: `duration()` and the like are
//! only reached behind a check of the text, as an error in a rule would be shown in place of its message.
//!
//! Defaults count as what is written. An empty text counts as absent where it does in `cert-manager.io/v1`.

use serde_json::{Value, json};

use super::structural::at;

mod acme;
mod certificate;
mod issuer;
mod rollout;
mod served_check;
mod syntax;

pub use certificate::certificate_rules;
pub use issuer::{cluster_issuer_rules, issuer_rules};
pub use served_check::served_check_rules;

/// A rule in CEL on a field of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The field the rule is written on, such as `dnsNames[]` for each DNS name; empty for the spec itself.
    pub at: &'static str,
    /// The field the message is shown at, if it is one inside, such as `.renewBefore`.
    pub field: Option<&'static str>,
    /// What has to hold, in CEL.
    pub rule: String,
    /// What is said if it doesn't hold: what to write instead.
    pub message: String,
}

impl Rule {
    fn new(at: &'static str, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at,
            field: None,
            rule: rule.into(),
            message: message.into(),
        }
    }

    fn shown_at(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }
}

pub(super) fn add(schema: &mut Value, rules: &[Rule]) {
    for Rule {
        at: path,
        field,
        rule,
        message,
    } in rules
    {
        let mut validation = json!({ "rule": rule, "message": message });
        if let Some(field) = field {
            validation["fieldPath"] = json!(field);
        }
        at(schema, path)
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .expect("it is inserted as an array only, here")
            .push(validation);
    }
}

/// Puts fields of `cert-manager.io/v1` that are not served yet into the schema, each refused by a rule, so that their
/// refusal says more than `unknown field`, and so that they aren't dropped silently for clients that don't ask for
/// strict checks.
pub(super) fn add_unserved(schema: &mut Value, fields: &[&str]) {
    for field in fields {
        schema["properties"][field] = json!({
            "type": "object",
            "description": "Not served yet: refused with a message that names another way.",
            "x-kubernetes-preserve-unknown-fields": true,
        });
    }
}
