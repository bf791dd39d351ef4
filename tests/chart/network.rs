//! Who reaches which port.

use serde_json::{Value, json};

use super::cluster::documents;
use super::matrix::{prepared, render};

/// What the NetworkPolicy lets in: from where, by the name of the port; `null` is everywhere.
async fn let_in(values: &str) -> Value {
    let rendered = render(prepared().await, values).await.unwrap();
    let policy = documents(&rendered)
        .into_iter()
        .find(|document| document["kind"] == "NetworkPolicy")
        .unwrap();
    let mut ports = json!({});
    for rule in policy["spec"]["ingress"].as_array().unwrap() {
        let port = rule["ports"][0]["port"].as_str().unwrap();
        ports[port] = rule["from"].clone();
    }
    ports
}

#[tokio::test]
async fn each_port_is_reached_from_everywhere_or_from_where_its_own_value_says() {
    let everywhere = Value::Null;
    let named = json!([{ "namespaceSelector": { "matchLabels": { "a": "b" } } }]);
    assert_eq!(
        let_in("--set replicas=2").await,
        json!({ "http": everywhere, "http01": everywhere })
    );
    assert_eq!(
        let_in("--set networkPolicy.from[0].namespaceSelector.matchLabels.a=b").await,
        json!({ "http": named, "http01": everywhere })
    );
    let http01 = "--set networkPolicy.http01From[0].namespaceSelector.matchLabels.a=b";
    assert_eq!(
        let_in(http01).await,
        json!({ "http": everywhere, "http01": named })
    );
    assert_eq!(
        let_in(&format!("{http01} --set acme.http01.enabled=false")).await,
        json!({ "http": everywhere })
    );
}
