//! The same kinds under a group of another name, beside ours.

use certwright_core::api::{Group, schema};
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::cluster::{Kind, control_plane, wait_until_served};

#[tokio::test]
async fn another_group_is_served_beside_ours_with_its_own_name_in_rules_and_words() {
    let control_plane = control_plane().await;
    let group = Group::new("certs.example.org", "examplecerts");
    let api = Api::all(control_plane.client().unwrap());
    for crd in schema::crds(&group) {
        api.create(&PostParams::default(), &crd).await.unwrap();
    }
    wait_until_served(control_plane, &group).await;

    let kind = Kind::new(control_plane, &group, "Certificate");
    let with_group = |name: &str| json!({ "secretName": "tls", "issuerRef": { "name": "ca", "group": name }, "dnsNames": ["example.com"] });
    assert_eq!(kind.objections(&with_group("certs.example.org")).await, []);
    assert_eq!(
        kind.objections(&with_group("certwright.dev")).await,
        [(
            "spec.issuerRef.group".to_owned(),
            "Invalid value: \"certwright.dev\": issuers of other groups are not served: leave group out, or write certs.example.org".to_owned()
        )]
    );

    let labelled = |key: &str| json!({ "secretName": "tls", "issuerRef": { "name": "ca" }, "dnsNames": ["example.com"], "secretTemplate": { "labels": { key: "x" } } });
    assert_eq!(kind.objections(&labelled("certwright.dev/x")).await, []);
    assert_eq!(
        kind.objections(&labelled("certs.example.org/x"))
            .await
            .len(),
        1
    );
}
