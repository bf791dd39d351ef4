use super::*;

fn secret(name: &str) -> SourceName {
    Source::secret(name).within("shop")
}

fn ingress(name: &str, rest: Value) -> Ingress {
    let mut object =
        json!({ "metadata": { "name": name, "namespace": "shop", "labels": { "not": "kept" } } });
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

#[test]
fn an_ingress_is_reduced_to_hosts_and_addresses() {
    let web = ingress(
        "web",
        json!({
            "spec": {
                "tls": [
                    { "hosts": ["a.example.com", "b.example.com"], "secretName": "web-tls" },
                    { "secretName": "all-tls" },
                    { "hosts": ["c.example.com"] },
                ],
                "rules": [{ "host": "d.example.com" }, {}],
            },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }, { "hostname": "lb.example.com" }, {}] } },
        }),
    );
    let hosts = |secret: &str| {
        web.hosts[secret]
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    assert_eq!(web.hosts.len(), 2);
    assert_eq!(hosts("web-tls"), ["a.example.com", "b.example.com"]);
    assert_eq!(hosts("all-tls"), ["d.example.com"]);
    assert_eq!(web.addresses, ["192.0.2.7", "lb.example.com"]);
    assert_eq!(web.metadata.labels, None);
}

#[test]
fn where_its_hosts_serve_is_said_by_an_annotation() {
    let ports = |said: Option<&str>| {
        let annotations =
            said.map(|text| json!({ "certwright.dev/rollout-probe": text, "not": "kept" }));
        let metadata = json!({ "name": "web", "namespace": "shop", "annotations": annotations });
        let ports = ingress("web", json!({ "metadata": metadata })).ports(&group());
        ports.map(|ports| serde_json::to_value(ports).unwrap())
    };
    assert_eq!(ports(None).unwrap(), json!([{ "port": 443 }]));
    assert_eq!(ports(Some("8443")).unwrap(), json!([{ "port": 8443 }]));
    assert_eq!(ports(Some("Disabled")).unwrap(), json!([]));
    let problem = ports(Some("0")).unwrap_err().to_string();
    assert!(
        problem.starts_with("annotation certwright.dev/rollout-probe: "),
        "{problem}"
    );
}

#[test]
fn one_that_makes_no_sense_hurts_only_itself() {
    let broken = ingress("web", json!({ "spec": { "tls": "all" } }));
    assert_eq!(broken.metadata.name.as_deref(), Some("web"));
    assert_eq!(broken.hosts.len(), 0);
}

#[test]
fn changes_touch_the_secrets_that_are_or_were_named() {
    let naming = |name: &str, secret: &str| {
        ingress(
            name,
            json!({ "spec": { "tls": [{ "hosts": ["a"], "secretName": secret }] } }),
        )
    };
    let mut ingresses = Ingresses::default();
    assert_eq!(
        ingresses.applied(&naming("web", "one")),
        [secret("one")].into()
    );
    let moved = ingresses.applied(&naming("web", "two"));
    assert_eq!(moved, [secret("one"), secret("two")].into());
    ingresses.applied(&naming("api", "two"));
    let of = |ingresses: &Ingresses, name: &str| {
        ingresses.of(&secret(name)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(&ingresses, "one"), Vec::<String>::new());
    assert_eq!(of(&ingresses, "two"), ["api", "web"]);
    ingresses.list_begins();
    ingresses.applied(&naming("api", "two"));
    assert_eq!(ingresses.list_ends(), [secret("two")].into());
    assert_eq!(of(&ingresses, "two"), ["api"]);
    assert_eq!(
        ingresses.deleted(&naming("api", "two")),
        [secret("two")].into()
    );
    assert_eq!(of(&ingresses, "two"), Vec::<String>::new());
}
