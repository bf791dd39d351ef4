//! Calls that never come back.

use std::sync::Arc;

use http::Request;
use kube::client::Body;
use tokio::sync::Notify;
use tower::{Layer, ServiceExt as _};

use super::Calls;

/// How far a call gets.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    /// It never gets to the API server.
    Before,
    /// It is carried out, and the answer never comes.
    After,
}

/// Lets a call that `is_it` gets so far and no further, and tells `reached`.
pub(crate) fn stuck(
    reached: &Arc<Notify>,
    moment: Moment,
    is_it: impl Fn(&Request<Body>) -> bool + Clone + Send + 'static,
) -> impl Layer<Calls, Service = Calls> {
    let reached = Arc::clone(reached);
    tower::layer::layer_fn(move |calls: Calls| {
        let (reached, is_it) = (Arc::clone(&reached), is_it.clone());
        tower::service_fn(move |request: Request<Body>| {
            let (calls, reached) = (calls.clone(), Arc::clone(&reached));
            let is_it = is_it(&request);
            async move {
                if !is_it {
                    return calls.oneshot(request).await;
                }
                if matches!(moment, Moment::After) {
                    calls.oneshot(request).await?;
                }
                reached.notify_one();
                std::future::pending().await
            }
        })
        .boxed_clone()
    })
}
