//! What is refused of how workloads get a new certificate.

use super::Rule;
use super::certificate::{DURATION_FORM, LABEL_KEY, LABEL_VALUE_FORM, object_name, windows};
use super::syntax::{
    LABEL_VALUE, OBJECT_NAME, QUALIFIED_NAME, REQUEST_PATH, WORKLOAD_KIND, is, is_duration,
};

const PORT: &str = "type(self) != int || self >= 1 && self <= 65535";
const PORT_FORM: &str =
    "write a port's number from 1 to 65535, or the name that a container gives it";

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = vec![
        Rule::new(
            "rollout",
            "!has(self.strategy) || self.strategy != 'Call' || has(self.call)",
            "Call needs a request: write call with path and port",
        )
        .shown_at(".call"),
        Rule::new(
            "rollout",
            "!has(self.rules) || has(self.call) || self.rules.all(rule, !has(rule.strategy) || rule.strategy != 'Call' || has(rule.call))",
            "Call needs a request: write call with path and port in the rule, or in rollout for all",
        )
        .shown_at(".rules"),
        Rule::new(
            "rollout.rules[]",
            "has(self.kind) || has(self.name) || has(self.selector)",
            "a rule is for some workloads: write at least one of kind, name and selector, and what is for all in rollout itself",
        ),
        Rule::new(
            "rollout.rules[].kind",
            is("self", WORKLOAD_KIND),
            "write the kind of a workload, such as Deployment, or Rollout.argoproj.io with its group",
        ),
        object_name("rollout.rules[].name", "the name of a workload, such as web"),
    ];
    rules.extend(selector());
    for [path, port] in [
        ["rollout.call.path", "rollout.call.port"],
        ["rollout.rules[].call.path", "rollout.rules[].call.port"],
    ] {
        rules.extend([
            Rule::new(
                path,
                is("self", REQUEST_PATH),
                "write the path on the Pod, such as /-/reload: it begins with a slash, and other characters than those of URLs are %XX",
            ),
            Rule::new(port, PORT, PORT_FORM),
        ]);
    }
    for [port, name] in [
        ["rollout.probe.ports[].port", "rollout.probe.serverName"],
        [
            "rollout.rules[].probe.ports[].port",
            "rollout.rules[].probe.serverName",
        ],
    ] {
        rules.extend([
            Rule::new(port, PORT, PORT_FORM),
            Rule::new(
                name,
                is("self", OBJECT_NAME),
                "write the name that is asked for in lower case, such as db.example.com",
            ),
        ]);
    }
    let readable = is_duration("self");
    for field in [
        "rollout.minGap",
        "rollout.healthTimeout",
        "rollout.urgentBefore",
    ] {
        rules.push(Rule::new(field, &readable, DURATION_FORM));
    }
    rules.push(Rule::new(
        "rollout.healthTimeout",
        format!("!{readable} || duration(self) >= duration('10s')"),
        "a restart takes some time: write at least 10s",
    ));
    rules.extend(windows([
        "rollout.windows[].cron",
        "rollout.windows[].windowDuration",
        "rollout.windows[].timezone",
    ]));
    rules
}

fn selector() -> Vec<Rule> {
    vec![
        Rule::new(
            "rollout.rules[].selector.matchLabels",
            format!("self.all(key, {})", is("key", QUALIFIED_NAME)),
            LABEL_KEY,
        ),
        Rule::new(
            "rollout.rules[].selector.matchLabels{}",
            is("self", LABEL_VALUE),
            LABEL_VALUE_FORM,
        ),
        Rule::new(
            "rollout.rules[].selector.matchExpressions[].key",
            is("self", QUALIFIED_NAME),
            LABEL_KEY,
        ),
        Rule::new(
            "rollout.rules[].selector.matchExpressions[].values[]",
            is("self", LABEL_VALUE),
            LABEL_VALUE_FORM,
        ),
        Rule::new(
            "rollout.rules[].selector.matchExpressions[]",
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            "In and NotIn compare with values: write at least one; Exists and DoesNotExist have none",
        )
        .shown_at(".values"),
    ]
}
