//! An issuance in which one request to the CA fails, whichever it is and however: the certificate arrives all the same, at
//! most one order is wasted, and nothing is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use certwright::clock::{Clock as _, SystemClock};
use certwright_core::api::certificate::CertificateStatus;
use certwright_core::api::{Certificate, condition};
use futures::FutureExt as _;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::faulty::{Asked, Fault, Faulty, Part, answer};
use crate::operator::{World, held};
use crate::pebble::Ways;

/// All of them wait for the CA at the same time; a server that hangs is waited for half a minute.
const PATIENCE: Duration = Duration::from_secs(400);

/// Each request of an issuance, by where Pebble has it, and the how-manieth to there it is. The first to `/sign-me-up` asks
/// whether there is an account, the second makes one.
pub(crate) const REQUESTS: [(&str, usize); 14] = [
    ("/dir", 0),
    ("/nonce-plz", 0),
    ("/sign-me-up", 0),
    ("/sign-me-up", 1),
    ("/order-plz", 0),
    ("/my-order/", 0),
    ("/authZ/", 0),
    ("/my-order/", 1),
    ("/authZ/", 1),
    ("/chalZ/", 0),
    ("/my-order/", 2),
    ("/finalize-order/", 0),
    ("/my-order/", 3),
    ("/certZ/", 0),
];

/// A fault that does not say when to come back.
const UNSAID: &str = "without a word of when";

/// An issuance with one fault.
struct Case {
    what: String,
    server: Faulty,
    /// Whether the request came that was to fail.
    failed: Arc<AtomicBool>,
    /// How many orders the CA heard of.
    orders: Arc<AtomicUsize>,
}

impl Case {
    async fn new(world: &World, (path, place): (&'static str, usize), how: (&str, Fault)) -> Self {
        let server = Faulty::before(world.pebble.listens).await;
        let (failed, orders) = (Arc::default(), Arc::default());
        let case = Self {
            what: format!("{path} {place}: {}", how.0),
            server,
            failed: Arc::clone(&failed),
            orders: Arc::clone(&orders),
        };
        let (fault, mut seen) = (how.1, 0);
        case.server.fails(move |_, asked: &Asked| {
            let here = asked.path.starts_with(path);
            let fails = here && seen == place;
            seen += usize::from(here);
            let unheard = matches!(fault, Fault::Says(_) | Fault::Endless(_));
            if asked.path == "/order-plz" && !(fails && unheard) {
                orders.fetch_add(1, Ordering::SeqCst);
            }
            failed.fetch_or(fails, Ordering::SeqCst);
            fails.then(|| fault.clone())
        });
        case
    }
}

/// How a request may fail.
fn faults(elsewhere: &str) -> Vec<(&'static str, Fault)> {
    let soon = SystemClock.now() + SignedDuration::from_secs(20);
    let date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let limited = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
    let says = |status: &str, kind: &str, more: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = [("Content-Type", kind)]
            .iter()
            .chain(more)
            .copied()
            .collect();
        Fault::Says(answer(status, &headers, body))
    };
    let problem = "application/problem+json";
    let html = "<html>An error</html>";
    let mut faults = Vec::new();
    for (name, headers) in [
        (UNSAID, &[][..]),
        ("for seconds", &[("Retry-After", "3")]),
        ("until a date", &[("Retry-After", date.as_str())]),
    ] {
        faults.push((name, says("429 No", problem, headers, limited)));
        faults.push((name, says("503 No", "text/html", headers, html)));
    }
    faults.extend([
        ("the CA hears nothing", Fault::Says(Vec::new())),
        ("nothing comes", Fault::BreaksOff(Part::Nothing)),
        ("half the headers", Fault::BreaksOff(Part::Headers)),
        ("half the body", Fault::BreaksOff(Part::Body)),
        ("a hang", Fault::Hangs(Part::Nothing)),
        (
            "a redirect",
            says("302 Found", "text/html", &[("Location", elsewhere)], ""),
        ),
        ("a page", says("200 OK", "text/html", &[], html)),
        (
            "no end",
            Fault::Endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"),
        ),
        ("a page of an error", says("500 Oh", "text/html", &[], html)),
    ]);
    faults
}

#[tokio::test]
async fn whichever_request_fails_the_certificate_arrives_and_nothing_is_left_over() {
    let world = World::new(Ways::default()).await;
    are_all(&world).await;
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let location = format!("https://{}/", elsewhere.local_addr().unwrap());
    let mut cases = BTreeMap::new();
    for request in REQUESTS {
        for how in faults(&location) {
            if holds_for_minutes(request.0, &how) {
                continue;
            }
            let name = format!("case-{}", cases.len());
            cases.insert(name, Case::new(&world, request, how).await);
        }
    }
    for (name, case) in &cases {
        world
            .issuer_at(name, &case.server.directory, &case.server.bundle)
            .await;
        world
            .certificate_of(name, name, &[&format!("{name}.example.com")])
            .await;
    }
    all_arrive(&world, &cases).await;

    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), "shop");
    for (name, case) in &cases {
        let secret = secrets.get(&format!("{name}-tls")).await.unwrap();
        let (key, chain) = held(&secret);
        assert_eq!(chain[0].public_key, *key.public(), "{}", case.what);
        assert!(chain[0].names.dns.contains(&format!("{name}.example.com")));
        assert!(
            case.failed.load(Ordering::SeqCst),
            "{} never came",
            case.what
        );
        let orders = case.orders.load(Ordering::SeqCst);
        assert!((1..=2).contains(&orders), "{}: {orders} orders", case.what);
    }
    world.is_tidy().await;
    world.has_no_ways_in().await;
    assert!(elsewhere.accept().now_or_never().is_none());
    let log = world.log();
    assert!(!log.contains("panicked") && !log.contains("PRIVATE KEY"));
}

/// What is asked again whenever it is not known.
const AT_ANY_TIME: [&str; 3] = ["/dir", "/nonce-plz", "/sign-me-up"];

/// [`REQUESTS`] has each request of an issuance in which nothing fails. The CA is looked at again and again until it has come
/// further: that is one request.
async fn are_all(world: &World) {
    let server = Faulty::before(world.pebble.listens).await;
    world
        .issuer_at("sound", &server.directory, &server.bundle)
        .await;
    world
        .certificate_of("sound", "sound", &["sound.example.com"])
        .await;
    world.ready("sound", 1).await;
    let asked = server.asked();
    let is_fetch = |asked: &Asked| asked.path.starts_with("/certZ/");
    let end = asked.iter().position(is_fetch).unwrap();
    let mut counts = BTreeMap::new();
    let mut looked_at = BTreeSet::new();
    for asked in &asked[..=end] {
        let mut listed = REQUESTS.iter().map(|(path, _)| *path);
        let path = listed.find(|path| asked.path.starts_with(path));
        let path = path.unwrap_or_else(|| panic!("{} is not listed", asked.path));
        if AT_ANY_TIME.contains(&path) {
            continue;
        }
        if !["/my-order/", "/authZ/"].contains(&path) {
            looked_at.clear();
        } else if !looked_at.insert(path) {
            continue;
        }
        *counts.entry(path).or_insert(0) += 1;
    }
    for (path, count) in counts {
        let listed = REQUESTS.iter().filter(|(listed, _)| *listed == path);
        assert!(listed.count() >= count, "{path} was asked {count} times");
    }
    let makes_account = |asked: &&Asked| {
        let payload = asked.payload().unwrap_or_default();
        asked.path == "/sign-me-up" && payload["onlyReturnExisting"] != true
    };
    assert_eq!(asked.iter().filter(makes_account).count(), 1);
}

/// Whether nothing is ordered for minutes: after an order that went against a limit which said no moment.
fn holds_for_minutes(path: &str, (name, fault): &(&str, Fault)) -> bool {
    let limited = matches!(fault, Fault::Says(said) if said.starts_with(b"HTTP/1.1 429"));
    path == "/order-plz" && *name == UNSAID && limited
}

/// Waits until all Certificates are ready. Nobody asks for them by hand: whatever failed is tried again in time.
async fn all_arrive(world: &World, cases: &BTreeMap<String, Case>) {
    let certificates: Api<Certificate> = world.of();
    let begin = Instant::now();
    loop {
        let found = certificates.list(&ListParams::default()).await.unwrap();
        let missing: Vec<_> = found
            .into_iter()
            .map(|found| (found.name_any(), found.status.unwrap_or_default()))
            .filter(|(name, status)| cases.contains_key(name) && !is_done(status))
            .collect();
        if missing.is_empty() {
            return;
        }
        if begin.elapsed() > PATIENCE {
            for (name, status) in &missing {
                eprintln!("{name}, {}: {status:#?}", cases[name].what);
                let asked = cases[name].server.asked();
                eprintln!(
                    "{:?}",
                    asked.iter().map(|asked| &asked.path).collect::<Vec<_>>()
                );
            }
            eprintln!("{}", world.log());
            panic!("{} certificates did not arrive", missing.len());
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn is_done(status: &CertificateStatus) -> bool {
    let ready = condition::is_true(&status.conditions, "Ready");
    ready && status.revision == Some(1) && status.order.is_none()
}
