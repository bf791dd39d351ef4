//! What is done to an Ingress of the users, and undone.
//!
//! Its rules are one list to the API server: whoever writes them writes them all. So they are read, changed and written
//! back under the resourceVersion they were read with.

use serde_json::{Value, json};

use super::objects::ingress_path;
use super::record::Edit;

/// The rules with the path in them; `None` if it is there already.
///
/// A rule of its own for a host takes all of that host's other paths from a rule that covers the host by a wildcard, or
/// has none. So the path goes where the host's questions go now: into the rule for the host, else into that for the
/// wildcard above it, else into that for all hosts; only if there is none of them, into a new one.
pub fn added(rules: &[Value], edit: &Edit) -> Option<Vec<Value>> {
    let paths = |rule: &Value| rule["http"]["paths"].as_array().cloned();
    if rules
        .iter()
        .filter_map(paths)
        .flatten()
        .any(|path| is_ours(&path, edit))
    {
        return None;
    }
    let mut rules = rules.to_vec();
    let path = ingress_path(&edit.path, edit.service.clone());
    let covering = covering(edit.host.as_deref());
    let led = covering.iter().find_map(|host| {
        rules
            .iter()
            .position(|rule| host_of(rule) == host.as_deref() && paths(rule).is_some())
    });
    match led {
        Some(position) => {
            if let Some(paths) = rules[position]["http"]["paths"].as_array_mut() {
                paths.push(path);
            }
        }
        None => {
            let mut rule = json!({ "http": { "paths": [path] } });
            if let Some(host) = &edit.host {
                rule["host"] = host.clone().into();
            }
            rules.push(rule);
        }
    }
    Some(rules)
}

/// The rules without the path; `None` if it is not there. A rule that had nothing else goes with it.
pub fn removed(rules: &[Value], edit: &Edit) -> Option<Vec<Value>> {
    let mut found = false;
    let mut left = Vec::new();
    for rule in rules {
        let mut rule = rule.clone();
        // By a pointer: indexing would make what it looks for.
        if let Some(paths) = rule
            .pointer_mut("/http/paths")
            .and_then(Value::as_array_mut)
        {
            let before = paths.len();
            paths.retain(|path| !is_ours(path, edit));
            if paths.len() < before {
                found = true;
                if paths.is_empty() {
                    continue;
                }
            }
        }
        left.push(rule);
    }
    found.then_some(left)
}

fn is_ours(path: &Value, edit: &Edit) -> bool {
    path["path"] == *edit.path && path["backend"]["service"]["name"] == *edit.service
}

fn host_of(rule: &Value) -> Option<&str> {
    rule["host"].as_str().filter(|host| !host.is_empty())
}

/// Whose rule a host's questions go to: the first of these that is there. Source: Kubernetes, Ingress, "Hostname
/// wildcards": `*` stands for one label.
fn covering(host: Option<&str>) -> Vec<Option<String>> {
    let above = host.and_then(|host| host.split_once('.'));
    let wildcard = above.map(|(_, parent)| format!("*.{parent}"));
    let mut hosts = Vec::new();
    hosts.extend(host.map(|host| Some(host.to_owned())));
    hosts.extend(wildcard.map(Some));
    hosts.push(None);
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(host: Option<&str>) -> Edit {
        Edit {
            namespace: "shop".to_owned(),
            ingress: "web".to_owned(),
            host: host.map(str::to_owned),
            path: "/.well-known/acme-challenge/abc".to_owned(),
            service: "http01-a".to_owned(),
        }
    }

    fn users(host: Option<&str>) -> Value {
        let mut rule = json!({ "http": { "paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "web", "port": { "number": 8080 } } },
        }] } });
        if let Some(host) = host {
            rule["host"] = host.into();
        }
        rule
    }

    /// In which rule the path ends up.
    fn place(rules: &[Value], host: Option<&str>) -> usize {
        let with = added(rules, &edit(host)).unwrap();
        assert_eq!(added(&with, &edit(host)), None, "once is enough");
        assert_eq!(
            removed(&with, &edit(host)).as_deref(),
            Some(rules),
            "exactly as before"
        );
        with.iter()
            .position(|rule| {
                let paths = rule["http"]["paths"].as_array();
                paths.is_some_and(|paths| paths.iter().any(|path| is_ours(path, &edit(host))))
            })
            .unwrap()
    }

    #[test]
    fn the_path_goes_where_the_hosts_questions_go_and_comes_out_exactly() {
        let all = [
            users(None),
            users(Some("*.example")),
            users(Some("shop.example")),
            json!({ "host": "bare.example" }),
        ];
        assert_eq!(place(&all, Some("shop.example")), 2);
        assert_eq!(place(&all, Some("other.example")), 1);
        // A rule without paths leads to the Ingress's default, and stays as it is.
        assert_eq!(place(&all[3..], Some("bare.example")), 1);
        // One label, no more.
        assert_eq!(place(&all, Some("a.b.example")), 0);
        assert_eq!(place(&all, None), 0);
        assert_eq!(place(&all[1..], None), 3);
        assert_eq!(place(&[], Some("shop.example")), 0);
    }

    #[test]
    fn what_others_added_meanwhile_stays() {
        let with = added(&[users(Some("shop.example"))], &edit(Some("shop.example"))).unwrap();
        let mut more = with;
        more.push(users(Some("new.example")));
        more[0]["http"]["paths"][0]["path"] = "/changed".into();
        let left = removed(&more, &edit(Some("shop.example"))).unwrap();
        assert_eq!(left.len(), 2);
        assert_eq!(left[0]["http"]["paths"].as_array().unwrap().len(), 1);
        assert_eq!(left[0]["http"]["paths"][0]["path"], "/changed");
    }

    #[test]
    fn a_path_of_others_is_not_taken_out() {
        let mut other = users(Some("shop.example"));
        other["http"]["paths"][0]["path"] = edit(None).path.into();
        assert_eq!(removed(&[other], &edit(Some("shop.example"))), None);
        assert_eq!(
            removed(&[json!({ "host": "bare.example" })], &edit(None)),
            None
        );
    }
}
