use serde_json::json;

use super::*;

struct Fixture {
    group: Group,
    certificate: Owner,
    operator: Operator,
}

impl Fixture {
    fn new() -> Self {
        Self {
            group: Group::default(),
            certificate: Owner {
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
                uid: "6a8e1d6c-0000-4000-8000-000000000001".to_owned(),
            },
            operator: Operator {
                namespace: "certwright".to_owned(),
                service: "certwright-http01".to_owned(),
                port: 8089,
            },
        }
    }

    fn plan(
        &self,
        solver: &Value,
        trusted: bool,
        identifiers: &[&str],
    ) -> Result<(Record, Vec<Object>), Refused> {
        let solver: Http01 = serde_json::from_value(solver.clone()).unwrap();
        let challenges: Vec<Challenge> = identifiers
            .iter()
            .map(|identifier| Challenge::new(identifier, "tok_en-1").unwrap())
            .collect();
        let endpoints = Endpoints {
            ipv4: ["10.0.0.7".parse().unwrap()].into(),
            ipv6: ["fd00::7".parse().unwrap()].into(),
        };
        Door {
            group: &self.group,
            certificate: &self.certificate,
            solver: &solver,
            operator: &self.operator,
            trusted,
        }
        .plan(&challenges, &endpoints)
    }
}

fn of(objects: &[Object], kind: Kind) -> Vec<&Value> {
    let of_kind = objects
        .iter()
        .filter(|object| object.reference.kind == kind);
    of_kind.map(|object| &object.body).collect()
}

#[test]
fn an_ingress_leads_to_a_service_with_the_operators_addresses() {
    let fixture = Fixture::new();
    let solver = json!({ "ingress": { "ingressClassName": "traefik" } });
    let (record, objects) = fixture
        .plan(&solver, false, &["shop.example", "192.0.2.1"])
        .unwrap();
    assert_eq!(objects.len(), 5);
    assert_eq!(record.objects.len(), 5);
    assert!(record.edits.is_empty());

    let service = of(&objects, Kind::Service)[0];
    assert_eq!(service["spec"]["selector"], Value::Null);
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 8089);

    let slices = of(&objects, Kind::EndpointSlice);
    let addresses: Vec<_> = slices
        .iter()
        .map(|slice| {
            (
                &slice["addressType"],
                &slice["endpoints"][0]["addresses"][0],
            )
        })
        .collect();
    assert_eq!(
        addresses,
        [
            (&json!("IPv4"), &json!("10.0.0.7")),
            (&json!("IPv6"), &json!("fd00::7"))
        ]
    );
    for slice in slices {
        assert_eq!(
            slice["metadata"]["labels"]["kubernetes.io/service-name"],
            service["metadata"]["name"]
        );
        assert_eq!(slice["ports"][0]["port"], 8089);
        assert_eq!(
            slice["ports"][0]["name"],
            service["spec"]["ports"][0]["name"]
        );
    }

    let ingresses = of(&objects, Kind::Ingress);
    assert_eq!(ingresses[0]["spec"]["ingressClassName"], "traefik");
    assert_eq!(ingresses[0]["spec"]["rules"][0]["host"], "shop.example");
    let path = &ingresses[0]["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!(path["path"], "/.well-known/acme-challenge/tok_en-1");
    assert_eq!(path["pathType"], "Exact");
    assert_eq!(
        path["backend"]["service"]["name"],
        service["metadata"]["name"]
    );
    assert_eq!(ingresses[1]["spec"]["rules"][0]["host"], Value::Null);
}

#[test]
fn a_family_without_addresses_has_no_slice_of_its_own() {
    let fixture = Fixture::new();
    let solver: Http01 = serde_json::from_value(json!({ "ingress": {} })).unwrap();
    let door = Door {
        group: &fixture.group,
        certificate: &fixture.certificate,
        solver: &solver,
        operator: &fixture.operator,
        trusted: false,
    };
    let challenges = [Challenge::new("shop.example", "tok_en-1").unwrap()];
    let families = |ipv4: &[&str], ipv6: &[&str]| -> Vec<Value> {
        let endpoints = Endpoints {
            ipv4: ipv4.iter().map(|text| text.parse().unwrap()).collect(),
            ipv6: ipv6.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let (record, objects) = door.plan(&challenges, &endpoints).unwrap();
        assert_eq!(record.objects.len(), objects.len());
        let slices = of(&objects, Kind::EndpointSlice).into_iter();
        slices.map(|slice| slice["addressType"].clone()).collect()
    };
    assert_eq!(families(&["10.0.0.7"], &[]), ["IPv4"]);
    assert_eq!(families(&[], &["fd00::7"]), ["IPv6"]);
    assert_eq!(families(&["10.0.0.7"], &["fd00::7"]), ["IPv4", "IPv6"]);
    assert_eq!(families(&[], &[]), ["IPv4"], "there may be one in a moment");
}

#[test]
fn everything_carries_the_label_and_its_owner() {
    let fixture = Fixture::new();
    let solver = json!({ "ingress": { "class": "nginx" } });
    let (_, objects) = fixture.plan(&solver, false, &["shop.example"]).unwrap();
    for object in &objects {
        let metadata = &object.body["metadata"];
        assert_eq!(
            metadata["labels"]["certwright.dev/http01-solver"],
            fixture.certificate.uid
        );
        assert_eq!(
            metadata["annotations"]["certwright.dev/certificate"],
            "shop/web"
        );
        assert_eq!(
            metadata["ownerReferences"][0]["uid"],
            fixture.certificate.uid
        );
        assert_eq!(metadata["namespace"], "shop");
        assert!(object.reference.name.len() <= 63);
    }
    let ingress = of(&objects, Kind::Ingress)[0];
    assert_eq!(
        ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"],
        "nginx"
    );
    assert_eq!(ingress["spec"]["ingressClassName"], Value::Null);
}

#[test]
fn the_users_labels_and_annotations_never_replace_ours() {
    let fixture = Fixture::new();
    let solver = json!({ "ingress": { "ingressTemplate": { "metadata": {
        "labels": { "team": "shop", "certwright.dev/http01-solver": "mine" },
        "annotations": { "note": "x", "certwright.dev/certificate": "other/other" },
    } } } });
    let (_, objects) = fixture.plan(&solver, false, &["shop.example"]).unwrap();
    let metadata = &of(&objects, Kind::Ingress)[0]["metadata"];
    assert_eq!(metadata["labels"]["team"], "shop");
    assert_eq!(metadata["annotations"]["note"], "x");
    assert_eq!(
        metadata["labels"]["certwright.dev/http01-solver"],
        fixture.certificate.uid
    );
    assert_eq!(
        metadata["annotations"]["certwright.dev/certificate"],
        "shop/web"
    );
}

#[test]
fn an_httproute_is_for_its_gateways() {
    let fixture = Fixture::new();
    let solver = json!({ "gatewayHTTPRoute": {
        "labels": { "gateway": "public" },
        "parentRefs": [{ "name": "web", "namespace": "gateways", "sectionName": "http", "port": 80 }],
    } });
    let (_, objects) = fixture
        .plan(&solver, false, &["shop.example", "2001:db8::1"])
        .unwrap();
    let routes = of(&objects, Kind::HttpRoute);
    assert_eq!(routes[0]["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(routes[0]["metadata"]["labels"]["gateway"], "public");
    assert_eq!(
        routes[0]["spec"]["parentRefs"],
        json!([{ "name": "web", "namespace": "gateways", "sectionName": "http", "port": 80 }])
    );
    assert_eq!(routes[0]["spec"]["hostnames"], json!(["shop.example"]));
    assert_eq!(routes[1]["spec"]["hostnames"], Value::Null);
    let rule = &routes[0]["spec"]["rules"][0];
    assert_eq!(rule["matches"][0]["path"]["type"], "Exact");
    assert_eq!(rule["backendRefs"][0]["port"], 80);
}

#[test]
fn an_ingress_of_the_users_is_only_edited() {
    let fixture = Fixture::new();
    let solver = json!({ "ingress": { "name": "web" } });
    let (record, objects) = fixture.plan(&solver, false, &["shop.example"]).unwrap();
    assert!(of(&objects, Kind::Ingress).is_empty());
    let edit = record.edits.first().unwrap();
    assert_eq!(
        (edit.namespace.as_str(), edit.ingress.as_str()),
        ("shop", "web")
    );
    assert_eq!(edit.host.as_deref(), Some("shop.example"));
    assert_eq!(
        edit.service,
        of(&objects, Kind::Service)[0]["metadata"]["name"]
    );
}

#[test]
fn beside_the_operator_its_own_service_is_led_to_and_nobody_owns_it() {
    let fixture = Fixture::new();
    let solver = json!({ "placement": "Operator", "ingress": {} });
    let (_, objects) = fixture.plan(&solver, true, &["shop.example"]).unwrap();
    assert_eq!(objects.len(), 1);
    let ingress = &objects[0].body;
    assert_eq!(ingress["metadata"]["namespace"], "certwright");
    assert_eq!(ingress["metadata"]["ownerReferences"], Value::Null);
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"];
    assert_eq!(backend["service"]["name"], "certwright-http01");
}

#[test]
fn a_tenants_issuer_makes_nothing_in_the_operators_namespace() {
    let fixture = Fixture::new();
    let solver = json!({ "placement": "Operator", "ingress": {} });
    let refused = fixture.plan(&solver, false, &["shop.example"]);
    assert_eq!(refused.unwrap_err(), Refused::Placement);
    let refused = fixture.plan(&json!({}), true, &["shop.example"]);
    assert_eq!(refused.unwrap_err(), Refused::Nothing);
}

#[test]
fn without_challenges_nothing_is_made() {
    let (record, objects) = Fixture::new()
        .plan(&json!({ "ingress": {} }), false, &[])
        .unwrap();
    assert!(record.is_empty() && objects.is_empty());
}

#[test]
fn names_are_bound_to_the_certificate_the_host_and_the_token() {
    let mut fixture = Fixture::new();
    let solver = json!({ "ingress": {} });
    let names = |fixture: &Fixture, host: &str| -> Vec<String> {
        let (_, objects) = fixture.plan(&solver, false, &[host]).unwrap();
        objects
            .into_iter()
            .map(|object| object.reference.name)
            .collect()
    };
    let first = names(&fixture, "shop.example");
    assert_eq!(first, names(&fixture, "shop.example"));
    let other = names(&fixture, "www.shop.example");
    assert_eq!(first[0], other[0]);
    assert_ne!(first[3], other[3]);
    fixture.certificate.uid = "6a8e1d6c-0000-4000-8000-000000000002".to_owned();
    let another = names(&fixture, "shop.example");
    assert!(first.iter().all(|name| !another.contains(name)));
}
