//! Whoever may write Certificates, their statuses and Issuers in one namespace, and means ill: nothing of the operator's, of
//! its network's or of another tenant's is to be had by it.

use std::net::SocketAddr;

use certwright_core::api::{Issuer, condition};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::operator::{NAME, World, eventually, held};
use crate::pebble::Ways;
use crate::tenants::BANK;

/// What the operator answers to a question as a CA asks it: all that comes.
pub(crate) async fn asked(at: SocketAddr, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    // Of what is too long, the rest is not read: that breaks the connection off.
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn anothers_order_in_a_status_is_not_followed_and_stays_the_others() {
    let world = World::shared("1h").await;
    world
        .shares_certificate(BANK, "bank", "bank.example.com")
        .await;
    world
        .shares_certificate("shop", "thief", "shop.example.com")
        .await;
    let order = world.under_way(BANK, "bank").await;
    world.under_way("shop", "thief").await;
    let url = order.url.clone().unwrap();
    let failure = world
        .fails_tampered("thief", |order| order["url"] = url.as_str().into())
        .await;
    assert_eq!(failure.reason, "RefusedOrder", "{failure:?}");
    assert!(failure.message.contains("other names"), "{failure:?}");
    assert_eq!(world.secret_in("shop", "thief").await, None);
    let after = world.status_in(BANK, "bank").await.order.unwrap();
    assert_eq!((after.url, after.challenges), (order.url, order.challenges));
    world.shares("0s").await;
    world.bank_has_its_certificate().await;
}

#[tokio::test]
async fn urls_in_a_status_that_are_not_the_cas_are_not_asked() {
    let world = World::shared("1h").await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let own = world.pebble.directory.trim_end_matches("/dir").to_owned();
    let authority = own.strip_prefix("https://").unwrap();
    let urls = [
        format!("https://127.0.0.1:{port}/my-order/1"),
        format!("https://localhost:{port}/my-order/1"),
        format!("https://[::1]:{port}/my-order/1"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://kubernetes.default.svc/api/v1/secrets".to_owned(),
        format!("http://{authority}/my-order/1"),
        format!("https://{authority}@127.0.0.1:{port}/my-order/1"),
        format!("https://127.0.0.1:{port}\\@{authority}/my-order/1"),
        format!("{own}/my-order/1\r\nX-Injected: yes"),
        "file:///var/run/secrets/kubernetes.io/serviceaccount/token".to_owned(),
        String::new(),
    ];
    for number in 0..urls.len() {
        let host = format!("host-{number}.example.com");
        world
            .shares_certificate("shop", &format!("web-{number}"), &host)
            .await;
    }
    for (number, url) in urls.iter().enumerate() {
        let name = format!("web-{number}");
        world.under_way("shop", &name).await;
        let failure = world
            .fails_tampered(&name, |order| order["url"] = url.as_str().into())
            .await;
        assert_eq!(failure.reason, "ForeignURL", "{url}: {failure:?}");
        assert!(!failure.message.contains(['\r', '\n']), "{failure:?}");
        assert_eq!(world.secret_in("shop", &name).await, None);
    }
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test]
async fn what_a_status_shows_for_other_hosts_gets_no_way_in_and_no_answer() {
    let world = World::shared("1h").await;
    world
        .shares_certificate("shop", "web", "www.example.com")
        .await;
    let order = world.under_way("shop", "web").await;
    let own = &order.challenges[0];
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    let way = ("www.example.com".to_owned(), path(&own.token));
    assert_eq!(world.ways_in("shop").await, std::slice::from_ref(&way));
    let answer = asked(world.answers, "www.example.com", &way.1).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, key) = answer.rsplit_once('.').unwrap();

    let shown = |identifier: &str, token: &str| {
        json!({
            "kind": "http-01", "identifier": identifier, "token": token,
            "authorizationUrl": own.authorization_url, "accepted": false,
        })
    };
    let others = ["bank.example.com", "10.0.0.1", "www.example.com"];
    let before = world.status_in("shop", "web").await.order.unwrap();
    assert_eq!(before.challenges, order.challenges);
    eventually("the order's own is all that is shown", async || {
        // Without its own, so that the operator makes ways in.
        world
            .tampers("web", |order| {
                order["challenges"] = others.map(|other| shown(other, "chosen")).into();
            })
            .await;
        let shows_own = async || {
            let order = world.status_in("shop", "web").await.order;
            order.is_some_and(|order| {
                let shown: Vec<_> = order.challenges.iter().map(|shown| &shown.token).collect();
                shown == [&own.token]
            })
        };
        for _ in 0..100 {
            if shows_own().await {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Err(world.log())
    })
    .await;
    assert_eq!(world.ways_in("shop").await, std::slice::from_ref(&way));
    for host in others.iter().chain(&["bank.example.com:80", "[::1]", ""]) {
        eventually("nobody is answered", async || {
            let answer = asked(world.answers, host, &path("chosen")).await;
            match answer.starts_with("HTTP/1.1 200 ") || answer.contains(key) {
                true => Err(answer),
                false => Ok(()),
            }
        })
        .await;
    }
    tells_its_own_at_its_own_place_only(&world, &own.token, key).await;
}

/// Nor is its own told to others, or for paths that only end up there.
async fn tells_its_own_at_its_own_place_only(world: &World, token: &str, key: &str) {
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    for (host, path) in [
        ("bank.example.com", path(token)),
        ("www.example.com", path(&format!("{token}/"))),
        (
            "www.example.com",
            path(&format!("../acme-challenge/{token}")),
        ),
        ("www.example.com", path(&format!("%2e/{token}"))),
        ("www.example.com", format!("/x/..{}", path(token))),
        ("www.example.com", path("")),
    ] {
        let answer = asked(world.answers, host, &path).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{host}{path}: {answer}");
        assert!(!answer.contains(key), "{host}{path}");
    }
    let endless = path(&"a".repeat(100 << 10));
    let answer = asked(world.answers, "www.example.com", &endless).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    let answer = asked(world.answers, "www.example.com", &path(token)).await;
    assert!(answer.ends_with(&format!("{token}.{key}")), "{answer}");
}

#[tokio::test]
async fn an_issuer_that_names_the_operators_own_host_or_network_gets_words_and_no_connection() {
    let world = World::new(Ways::default()).await;
    // Its network is allowed in these tests.
    let api_server = world.control_plane.config().unwrap().cluster_url;
    let cases = [
        (&*api_server.to_string(), "API server's"),
        ("https://169.254.169.254/latest/meta-data/", "own host"),
        ("https://[::ffff:169.254.169.254]/directory", "own host"),
        ("https://[64:ff9b::a9fe:a9fe]/directory", "own host"),
        ("https://[fe80::1]/directory", "own host"),
        ("https://[::1]/directory", "own host"),
        ("https://0.0.0.0/directory", "own host"),
        ("https://224.0.0.251/directory", "own host"),
        ("https://10.96.0.1/directory", "private address"),
        ("https://[fd00::1]/directory", "private address"),
    ];
    for (number, (server, _)) in cases.iter().enumerate() {
        world
            .issuer_with(&format!("evil-{number}"), &json!({ "server": server }))
            .await;
    }
    let issuers: Api<Issuer> = world.of();
    for (number, (server, words)) in cases.iter().enumerate() {
        eventually(server, async || {
            let issuer = issuers.get(&format!("evil-{number}")).await.unwrap();
            let status = issuer.status.unwrap_or_default();
            let failed = !condition::is_true(&status.conditions, "Ready");
            let ready = condition::find(&status.conditions, "Ready");
            let told = failed && ready.is_some_and(|ready| ready.message.contains(words));
            match told {
                true => Ok(()),
                false => Err(format!("{status:#?}\n{}", world.log())),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn names_that_would_mean_more_in_a_path_or_a_header_are_not_taken() {
    let world = World::new(Ways::default()).await;
    for evil in [
        "../../bank/ingresses/web",
        "web/status",
        "web?dryRun=All",
        "web#",
        "%2e%2e",
        "web\r\nX-Injected: yes",
        "..",
        "bank/web",
    ] {
        let solver = json!([{ "http01": { "ingress": { "name": evil } } }]);
        let gateway = json!({ "gatewayHTTPRoute": { "parentRefs": [{ "name": evil }] } });
        let acmes = [
            json!({ "server": "https://ca.example/", "privateKeySecretRef": { "name": "a" }, "solvers": solver }),
            json!({ "server": "https://ca.example/", "privateKeySecretRef": { "name": evil } }),
            json!({
                "server": "https://ca.example/", "privateKeySecretRef": { "name": "a" },
                "solvers": [{ "http01": gateway }],
            }),
            json!({
                "server": "https://ca.example/", "privateKeySecretRef": { "name": "a" },
                "externalAccountBinding": { "keyID": "a", "keySecretRef": { "name": evil, "key": "k" } },
            }),
        ];
        for acme in acmes {
            world.refused(&issuer(&acme)).await;
        }
        for spec in [
            json!({ "secretName": "a", "issuerRef": { "name": "a" }, "dnsNames": [evil] }),
            json!({ "secretName": evil, "issuerRef": { "name": "a" }, "dnsNames": ["a.example.com"] }),
            json!({ "secretName": "a", "issuerRef": { "name": evil }, "dnsNames": ["a.example.com"] }),
        ] {
            world.refused(&certificate(&spec)).await;
        }
    }
    for server in [
        "http://ca.example/",
        "file:///etc/passwd",
        "https://ca.example/\r\nX-Injected: yes",
        "//ca.example/",
        "",
    ] {
        let acme = json!({ "server": server, "privateKeySecretRef": { "name": "a" } });
        world.refused(&issuer(&acme)).await;
    }
}

fn issuer(acme: &Value) -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
        "metadata": { "name": "evil", "namespace": "shop" },
        "spec": { "acme": acme },
    })
}

fn certificate(spec: &Value) -> Value {
    json!({
        "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
        "metadata": { "name": "evil", "namespace": "shop" },
        "spec": spec,
    })
}

/// Certificates are public: whoever has another's can put it into a Secret of one's own.
#[tokio::test]
async fn anothers_certificate_is_not_revoked_by_whoever_shows_it() {
    let world = World::shared("0s").await;
    world
        .shares_certificate(BANK, "bank", "bank.example.com")
        .await;
    world
        .shares_certificate("shop", "thief", "shop.example.com")
        .await;
    world.ready("thief", 1).await;
    let bank = eventually("the bank has its certificate", async || {
        let secret = world.secret_in(BANK, "bank").await;
        secret.ok_or_else(|| world.log())
    })
    .await;
    let (_, certificates) = held(&bank);
    let serial = certificates[0].serial_hex();
    let chain = &bank.data.as_ref().unwrap()["tls.crt"];
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), "shop");
    let stolen = Patch::Merge(json!({ "data": { "tls.crt": chain } }));
    let annotated = json!({ "metadata": { "annotations": {
        "certwright.dev/revoke": format!("{serial}:keyCompromise"),
    } } });
    let parameters = PatchParams::default();
    let certificates = world.certificates_in("shop");
    certificates
        .patch("thief", &parameters, &Patch::Merge(annotated))
        .await
        .unwrap();
    secrets
        .patch("thief-tls", &parameters, &stolen)
        .await
        .unwrap();
    // What doesn't belong together is replaced, and the annotation names something that isn't held.
    world.ready("thief", 2).await;
    eventually("it is refused", async || {
        let status = world.status_in("shop", "thief").await;
        match condition::find(&status.conditions, "RevocationFailed") {
            Some(_) => Ok(()),
            None => Err(format!("{status:#?}\n{}", world.log())),
        }
    })
    .await;
    let (standing, _) = world.pebble.standing(&serial).await;
    assert_eq!(standing, "Valid");
}

#[tokio::test]
async fn a_tenants_solver_reaches_no_ingress_of_others_and_nothing_beside_the_operator() {
    let world = World::shared("0s").await;
    let web = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "web", "namespace": BANK },
        "spec": { "rules": [{ "host": "bank.example.com", "http": { "paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "bank", "port": { "number": 80 } } },
        }] } }] },
    });
    world.apply(&web).await;
    let ingresses: Api<Ingress> = Api::namespaced(world.client.clone(), BANK);
    let before = ingresses.get("web").await.unwrap();
    let cases = [
        (
            "borrowing",
            json!({ "ingress": { "name": "web" } }),
            "no Ingress shop/web",
        ),
        (
            "beside",
            json!({ "placement": "Operator", "ingress": { "ingressClassName": "public" } }),
            "placement: Operator is for ClusterIssuers",
        ),
    ];
    for (name, solver, _) in &cases {
        let acme = json!({
            "server": world.pebble.directory, "caBundle": world.pebble.bundle,
            "solvers": [{ "waitInsteadOfSelfCheck": "0s", "http01": solver }],
        });
        world.issuer_with(name, &acme).await;
        world
            .certificate_of(name, name, &["bank.example.com"])
            .await;
    }
    for (name, _, words) in &cases {
        eventually(words, async || {
            let failure = world.status_in("shop", name).await.last_failure;
            let told = failure.as_ref().is_some_and(|failure| {
                failure.reason == "NoWayIn"
                    && failure
                        .message
                        .to_lowercase()
                        .contains(&words.to_lowercase())
            });
            match told {
                true => Ok(()),
                false => Err(format!("{failure:?}\n{}", world.log())),
            }
        })
        .await;
    }
    let beside = world.ways_in("certwright").await;
    assert_eq!(beside, []);
    let after = ingresses.get("web").await.unwrap();
    assert_eq!(
        after.metadata.resource_version,
        before.metadata.resource_version
    );
}

/// A front door leads the look before the CA's to where the cloud keeps its credentials.
#[tokio::test]
async fn a_look_that_is_led_to_the_hosts_own_link_goes_nowhere() {
    let (world, door) = World::with_own_port_80().await;
    let target = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
    let leading = tokio::spawn(async move {
        loop {
            let (mut stream, _) = door.accept().await.unwrap();
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let mut head = [0; 4096];
            // Whatever becomes of it, the next one is led there too.
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let solver = json!({ "http01": { "ingress": { "ingressClassName": "public" } } });
    world.issuer_that_solves_by(solver).await;
    world.certificate("web", &[NAME]).await;
    eventually("it is told", async || {
        let status = world.status_in("shop", "web").await;
        let waits_for = status
            .order
            .as_ref()
            .and_then(|order| order.waits_for.as_ref());
        match waits_for.is_some_and(|words| {
            words.contains("169.254.169.254 is an address of the operator's own host")
        }) {
            true => Ok(()),
            false => Err(format!("{status:#?}\n{}", world.log())),
        }
    })
    .await;
    leading.abort();
}
