use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

fn web() -> Named {
    Named::new("shop", "web-tls")
}

fn object(version: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "namespace": "shop", "name": "web-tls", "uid": "u", "resourceVersion": version.to_string(),
            "labels": { Group::default().key(MANAGED): "true" },
        },
    })
}

fn ours(version: u64) -> Arc<Observed> {
    let secret: Secret = serde_json::from_value(object(version)).unwrap();
    Arc::new(Observed::of(&secret, &Group::default()))
}

fn named(name: &str, version: u64) -> Arc<Observed> {
    let mut secret = ours(version);
    name.clone_into(&mut Arc::make_mut(&mut secret).name);
    secret
}

fn write(state: &mut State, version: u64) {
    state.wrote(&ours(version));
}

fn list(state: &mut State, secrets: impl IntoIterator<Item = Arc<Observed>>) -> Vec<Named> {
    assert_eq!(state.follow_ours(Event::Init), []);
    for secret in secrets {
        assert_eq!(state.follow_ours(Event::InitApply(secret)), []);
    }
    let mut changed = state.follow_ours(Event::InitDone);
    changed.sort();
    changed
}

fn held(state: &State) -> Option<u64> {
    state.held(&web()).map(|secret| version_of(&secret))
}

#[test]
fn a_write_overlays_the_watch_until_the_watch_comes_to_it() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    write(&mut state, 20);
    assert_eq!(held(&state), Some(20));
    // What was under way before our write changes nothing.
    assert_eq!(state.follow_ours(Event::Apply(ours(15))), [web()]);
    assert_eq!(held(&state), Some(20));
    assert_eq!(state.follow_ours(Event::Apply(ours(20))), [web()]);
    assert_eq!(held(&state), Some(20));
    assert_eq!(state.follow_ours(Event::Apply(ours(30))), [web()]);
    assert_eq!(held(&state), Some(30));
}

#[test]
fn what_comes_back_as_we_wrote_it_is_known_and_nothing_else_is() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    write(&mut state, 20);
    for (event, own) in [
        (Event::Apply(ours(15)), false),
        (Event::Apply(ours(20)), true),
        (Event::Apply(ours(30)), false),
        (Event::Delete(ours(20)), false),
        (Event::InitApply(ours(20)), false),
    ] {
        assert_eq!(state.is_own(&event), own, "{event:?}");
    }
    let written = state.own(&web(), "20").unwrap();
    assert_eq!(state.follow_ours(Event::Apply(written.clone())), [web()]);
    assert!(Arc::ptr_eq(&state.held(&web()).unwrap(), &written));
    assert!(state.own(&web(), "20").is_none(), "it is told once");
}

#[test]
fn an_older_write_never_hides_what_was_seen() {
    let mut state = State::default();
    list(&mut state, [ours(30)]);
    write(&mut state, 20);
    assert_eq!(held(&state), Some(30));
}

#[test]
fn a_write_is_over_when_the_secret_is_deleted_after_it() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    write(&mut state, 20);
    assert_eq!(state.follow_ours(Event::Delete(ours(15))), [web()]);
    assert_eq!(held(&state), Some(20), "deleted before, and written again");
    state.follow_ours(Event::Delete(ours(25)));
    assert_eq!(held(&state), None);
}

#[test]
fn a_write_that_is_known_only_after_its_secret_was_deleted_raises_no_ghost() {
    let mut state = State::default();
    list(&mut state, []);
    state.follow_ours(Event::Apply(ours(20)));
    state.follow_ours(Event::Delete(ours(25)));
    write(&mut state, 20);
    assert_eq!(held(&state), None);
}

#[test]
fn a_write_that_lost_its_label_is_over_once_the_watch_has_passed_it() {
    let mut state = State::default();
    list(&mut state, []);
    write(&mut state, 20);
    // The watch of ours never shows it; something later of another Secret tells that it won't.
    state.follow_ours(Event::Apply(named("other-tls", 21)));
    assert_eq!(held(&state), None);
}

#[test]
fn a_list_begun_after_a_write_counts_more_than_the_write() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    write(&mut state, 20);
    assert_eq!(list(&mut state, []), [web()]);
    assert_eq!(held(&state), None);
}

#[test]
fn a_write_during_a_list_counts_more_than_the_list() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    state.follow_ours(Event::Init);
    state.follow_ours(Event::InitApply(ours(10)));
    write(&mut state, 20);
    assert_eq!(state.follow_ours(Event::InitDone), []);
    assert_eq!(held(&state), Some(20));
}

#[test]
fn a_list_tells_what_came_went_and_changed() {
    let mut state = State::default();
    let all = [named("same", 1), named("changed", 2), named("gone", 3)];
    assert_eq!(list(&mut state, all).len(), 3);
    let now = [named("same", 1), named("changed", 4), named("new", 5)];
    let names: Vec<String> = list(&mut state, now)
        .into_iter()
        .map(|name| name.name)
        .collect();
    assert_eq!(names, ["changed", "gone", "new"]);
}

#[test]
fn a_list_that_breaks_off_leaves_what_was_known() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    state.follow_ours(Event::Init);
    assert_eq!(held(&state), Some(10));
    list(&mut state, [ours(10)]);
    assert_eq!(held(&state), Some(10));
}

#[test]
fn writes_are_trusted_again_after_the_cluster_was_restored_to_older_numbers() {
    let mut state = State::default();
    list(&mut state, [ours(1000)]);
    list(&mut state, [ours(10)]);
    write(&mut state, 20);
    assert_eq!(held(&state), Some(20));
}

#[test]
fn a_secret_that_gets_or_loses_the_label_is_known_by_one_watch_or_the_other() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    state.follow_ours(Event::Delete(ours(20)));
    assert_eq!(state.version(&web()), None);
    assert!(matches!(state.look(&web()), Look::Nothing));
    assert_eq!(state.follow_others(Event::Apply((web(), 20))), [web()]);
    assert_eq!(state.version(&web()), Some(20));
    assert!(matches!(state.look(&web()), Look::Live { doubted: false }));
    state.follow_ours(Event::Apply(ours(30)));
    assert!(matches!(state.look(&web()), Look::Held(_)));
    assert_eq!(state.version(&web()), Some(30));
    assert_eq!(state.follow_others(Event::Delete((web(), 30))), [web()]);
    assert_eq!(state.version(&web()), Some(30));
}

#[test]
fn all_are_those_seen_and_those_written() {
    let mut state = State::default();
    list(&mut state, [ours(10)]);
    state.wrote(&named("new-tls", 20));
    write(&mut state, 21);
    let mut all: Vec<_> = state
        .all()
        .iter()
        .map(|secret| (secret.name.clone(), version_of(secret)))
        .collect();
    all.sort();
    assert_eq!(
        all,
        [("new-tls".to_owned(), 20), ("web-tls".to_owned(), 21)]
    );
}

/// An API server with one Secret, which can be made to fail.
struct Server {
    secret: Value,
    fails: AtomicBool,
    calls: AtomicUsize,
}

fn server(secret: Value) -> (Arc<Server>, Secrets) {
    let server = Arc::new(Server {
        secret,
        fails: AtomicBool::new(false),
        calls: AtomicUsize::new(0),
    });
    let answering = Arc::clone(&server);
    let service = tower::service_fn(move |request: Request<Body>| {
        assert_eq!(
            request.uri().path(),
            "/api/v1/namespaces/shop/secrets/web-tls"
        );
        answering.calls.fetch_add(1, Ordering::SeqCst);
        let failure = json!({ "status": "Failure", "code": 500, "message": "down", "reason": "InternalError" });
        let (status, body) = if answering.fails.load(Ordering::SeqCst) {
            (StatusCode::INTERNAL_SERVER_ERROR, &failure)
        } else {
            (StatusCode::OK, &answering.secret)
        };
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = status;
        async move { Ok::<_, Infallible>(response) }
    });
    let secrets = Secrets::new(
        Client::new(service, "default"),
        Group::default(),
        Scope::Cluster,
    );
    (server, secrets)
}

#[tokio::test]
async fn a_secret_is_read_live_only_where_the_watches_do_not_hold_it() {
    let (server, secrets) = server(object(10));
    assert!(secrets.find(&web()).await.unwrap().is_none());
    assert_eq!(server.calls.load(Ordering::SeqCst), 0);
    secrets
        .state("shop")
        .follow_others(Event::Apply((web(), 10)));
    assert!(secrets.find(&web()).await.unwrap().is_some());
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
    // It carried our label by then, so that it is held from now on.
    assert!(secrets.find(&web()).await.unwrap().is_some());
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_doubted_secret_is_read_live_once_and_doubted_until_that_succeeds() {
    let (server, secrets) = server(object(20));
    list(&mut secrets.state("shop"), [ours(10)]);
    secrets.doubt(&web());
    server.fails.store(true, Ordering::SeqCst);
    secrets.find(&web()).await.unwrap_err();
    server.fails.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let found = secrets.find(&web()).await.unwrap().unwrap();
        assert_eq!(found.resource_version, "20");
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), 2);
}
