//! Watches that find their way back.

use std::fmt::Debug;
use std::future::ready;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, stream};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::ResetTimerBackoff;
use kube::runtime::watcher::{self, ExponentialBackoff, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Watches objects, as [`watcher()`] does, but also begins anew where the server answers a watch's request itself with 410:
/// `watcher` only does so for a 410 within the watch, and asks for the same forgotten place for ever.
///
/// After failures it waits for up to five seconds and a random part of as much again, less than `watcher` would by default:
/// work is to go on soon once the API server is back, and a handful of watches for each replica is no burden to it.
pub fn watched<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let begin = move || watcher(api.clone(), config.clone()).boxed();
    stream::unfold((begin(), begin), async |(mut events, begin)| {
        let event = events.next().await?;
        if event.as_ref().is_err_and(is_forgotten) {
            events = begin();
        }
        Some((event, (events, begin)))
    })
    .scan(false, |begins, event| {
        ready(Some(once_answered(begins, event)))
    })
    .flat_map(stream::iter)
    .backoff(wait_after_failures())
}

/// Holds back the word that a list begins until something of it is there: a list that is refused again and again has begun each
/// time, and whoever waits after failures would take that for a success.
fn once_answered<K>(
    begins: &mut bool,
    event: watcher::Result<watcher::Event<K>>,
) -> Vec<watcher::Result<watcher::Event<K>>> {
    match event {
        Ok(watcher::Event::Init) => {
            *begins = true;
            Vec::new()
        }
        Ok(event) if std::mem::take(begins) => vec![Ok(watcher::Event::Init), Ok(event)],
        event => {
            *begins = false;
            vec![event]
        }
    }
}

fn wait_after_failures() -> ResetTimerBackoff<ExponentialBackoff> {
    let growing = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(5))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times();
    ResetTimerBackoff::new(growing.into(), Duration::from_secs(120))
}

/// Whether a watch could not be taken up where it was.
fn is_forgotten(problem: &watcher::Error) -> bool {
    matches!(problem, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Secret;
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    fn answer(code: u16, body: &Value) -> Response<Body> {
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(code).body(body).unwrap()
    }

    /// A server whose lists each are a step further, and that has forgotten the first by the time it is to be watched from
    /// there.
    fn client(asked: Arc<Mutex<Vec<String>>>) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default();
            let from = query
                .split('&')
                .find(|part| part.starts_with("resourceVersion="));
            let watches = query.contains("watch=true");
            let mut asked = asked.lock().unwrap();
            asked.push(if watches {
                from.unwrap().to_owned()
            } else {
                "list".to_owned()
            });
            let lists = asked.iter().filter(|what| *what == "list").count();
            let gone = json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old" });
            let list = json!({ "metadata": { "resourceVersion": lists.to_string() }, "items": [] });
            let given = match (watches, lists) {
                (false, _) => Some(answer(200, &list)),
                (true, 1) => Some(answer(410, &gone)),
                _ => None,
            };
            async move {
                match given {
                    Some(answer) => Ok::<_, Infallible>(answer),
                    None => std::future::pending().await,
                }
            }
        });
        Client::new(service, "shop")
    }

    #[tokio::test]
    async fn a_watch_whose_place_is_forgotten_before_it_begins_is_begun_anew() {
        let asked = Arc::<Mutex<_>>::default();
        let secrets: Api<Secret> = Api::all(client(Arc::clone(&asked)));
        let seen: Vec<_> = watched(secrets, watcher::Config::default())
            .take(5)
            .map(|event| match event {
                Ok(watcher::Event::Init) => "init",
                Ok(watcher::Event::InitDone) => "done",
                Ok(_) => "object",
                Err(_) => "failed",
            })
            .collect()
            .await;
        assert_eq!(seen, ["init", "done", "failed", "init", "done"]);
        assert_eq!(
            *asked.lock().unwrap(),
            ["list", "resourceVersion=1", "list"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_refused_is_asked_for_ever_more_rarely() {
        let refused = json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no" });
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answer(403, &refused);
            async move { Ok::<_, Infallible>(answer) }
        });
        let secrets: Api<Secret> = Api::all(Client::new(service, "shop"));
        let begun = tokio::time::Instant::now();
        let failed = watched(secrets, watcher::Config::default())
            .take(6)
            .filter(|event| ready(event.is_err()))
            .count()
            .await;
        assert_eq!(failed, 6, "nothing begins that is not answered");
        // Half a second, doubled each time, up to five; and a random part of as much again.
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(12_500), "{waited:?}");
    }
}
