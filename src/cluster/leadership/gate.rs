//! The last place before a request leaves: what writes passes only while this replica leads.

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tower::BoxError;

use super::Leadership;

/// A write was not sent, or its answer not waited for, because this replica does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not lead")]
pub struct NotLeading;

/// A client whose writes fail with [`NotLeading`] unless this replica leads, and none of which is waited for longer
/// than it leads for certain. Reads and watches pass.
pub fn gated(client: Client, leadership: Leadership) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, leadership) = (client.clone(), leadership.clone());
        async move { pass(&client, &leadership, request).await }
    });
    Client::new(service, namespace)
}

async fn pass(
    client: &Client,
    leadership: &Leadership,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let Some(left) = leadership.left().filter(|_| !reads) else {
        return Ok(client.send(request).await?);
    };
    if left.is_zero() {
        return Err(NotLeading.into());
    }
    match tokio::time::timeout(left, client.send(request)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(NotLeading.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, PostParams};

    use super::super::boot_time;
    use super::*;

    /// Counts what is sent; a POST is never answered.
    fn server(sent: Arc<AtomicUsize>) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            sent.fetch_add(1, Ordering::SeqCst);
            async move {
                if request.method() == Method::POST {
                    std::future::pending::<()>().await;
                }
                let body = r#"{"metadata":{"name":"a"}}"#;
                Ok::<_, BoxError>(Response::new(Body::from(body.as_bytes().to_vec())))
            }
        });
        Client::new(service, "default")
    }

    fn refused(problem: &kube::Error) -> bool {
        matches!(problem, kube::Error::Service(source) if source.is::<NotLeading>())
    }

    #[tokio::test]
    async fn who_does_not_lead_reads_and_sends_no_write() {
        let sent = Arc::new(AtomicUsize::new(0));
        let leadership = Leadership::candidate();
        let client = gated(server(Arc::clone(&sent)), leadership);
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        api.get("a").await.unwrap();
        let problem = api
            .create(&PostParams::default(), &ConfigMap::default())
            .await
            .unwrap_err();
        assert!(refused(&problem), "{problem:?}");
        assert_eq!(sent.load(Ordering::SeqCst), 1, "the read");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_no_longer_than_one_leads() {
        let sent = Arc::new(AtomicUsize::new(0));
        let leadership = Leadership::candidate();
        leadership.extend(boot_time() + Duration::from_secs(5));
        let client = gated(server(Arc::clone(&sent)), leadership);
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        let began = tokio::time::Instant::now();
        let problem = api
            .create(&PostParams::default(), &ConfigMap::default())
            .await
            .unwrap_err();
        assert!(refused(&problem), "{problem:?}");
        assert_eq!(sent.load(Ordering::SeqCst), 1);
        assert!(began.elapsed() <= Duration::from_secs(5));
    }
}
