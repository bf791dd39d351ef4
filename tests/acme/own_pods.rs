//! ACME CAs inside the cluster, in a network that nobody has allowed.

use std::net::IpAddr;

use certwright_core::api::{Issuer, condition};
use certwright_test_cluster::{OwnAddresses, standing_pod};
use futures::FutureExt as _;
use kube::Api;
use serde_json::json;
use tokio::net::TcpListener;

use crate::operator::{World, eventually, held, lead};
use crate::pebble::Ways;
use crate::tenants::BANK;

#[tokio::test]
async fn a_ca_in_a_pod_of_the_issuers_own_namespace_is_asked_and_no_other_private_one() {
    let world = World::new(Ways::default()).await;
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": BANK } });
    world.apply(&namespace).await;
    let (first, second) = (
        OwnAddresses::take_private().unwrap(),
        OwnAddresses::take_private().unwrap(),
    );
    let own: [IpAddr; 2] = [first.ipv4().into(), first.ipv6().into()];
    let bound = async |address: IpAddr| {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let server = format!("https://{}/dir", listener.local_addr().unwrap());
        (listener, server)
    };
    standing_pod(&world.client, ("shop", "ca"), false, "Running", &own)
        .await
        .unwrap();
    let theirs = second.ipv4().into();
    standing_pod(&world.client, (BANK, "ca"), false, "Running", &[theirs])
        .await
        .unwrap();
    let node = second.ipv6().into();
    standing_pod(&world.client, ("shop", "agent"), true, "Running", &[node])
        .await
        .unwrap();

    let mut strangers = Vec::new();
    for (name, address) in [("theirs", theirs), ("node", node)] {
        let (listener, server) = bound(address).await;
        strangers.push((name, listener));
        // Nothing else is in the way of a connection.
        world
            .issuer_with(name, &json!({ "server": server, "skipTLSVerify": true }))
            .await;
    }
    let mut leading = Vec::new();
    for (name, address) in [("own-ipv4", own[0]), ("own-ipv6", own[1])] {
        let (listener, server) = bound(address).await;
        leading.push(tokio::spawn(lead(listener, world.pebble.listens.port())));
        world
            .issuer_with(name, &json!({ "server": server, "skipTLSVerify": true }))
            .await;
        let host = format!("{name}.example.com");
        world.certificate_of(name, name, &[&host]).await;
        let (_, certificates) = held(&world.ready(name, 1).await);
        assert!(certificates[0].names.dns.contains(&*host));
    }
    let issuers: Api<Issuer> = world.of();
    for (name, listener) in strangers {
        eventually(&format!("{name} is refused"), async || {
            let status = issuers.get(name).await.unwrap().status.unwrap_or_default();
            let ready = condition::find(&status.conditions, "Ready");
            let told = ready.is_some_and(|ready| ready.message.contains("is a private address"));
            match told && !condition::is_true(&status.conditions, "Ready") {
                true => Ok(()),
                false => Err(format!("{status:#?}\n{}", world.log())),
            }
        })
        .await;
        assert!(listener.accept().now_or_never().is_none(), "{name}");
    }
    leading.iter().for_each(tokio::task::JoinHandle::abort);
}
