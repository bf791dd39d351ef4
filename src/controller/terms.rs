//! A controller works only while its replica leads.

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::cluster::secrets::Named;

/// Runs a controller once everything was read, for each term anew and over `everything`, until `stop`.
///
/// `woken` names what to look at besides. `control` comes back when it was told to end and what was under way has ended.
pub(super) async fn in_terms<C: Future<Output = ()>>(
    context: &Context,
    mut woken: UnboundedReceiver<Named>,
    everything: impl Fn() -> Vec<Named>,
    stop: &CancellationToken,
    control: impl Fn(UnboundedReceiver<Named>, CancellationToken) -> C,
) {
    // Nothing is decided before everything was read.
    let read = stop.run_until_cancelled(context.readiness.complete()).await;
    if read.is_none() {
        return;
    }
    while let Some(term) = begun(context, &mut woken, stop).await {
        let (sender, receiver) = unbounded();
        let send = |name| {
            // The other end only goes when the term ends.
            let _ = sender.unbounded_send(name);
        };
        everything().into_iter().for_each(send);
        let over = CancellationToken::new();
        let ends = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = term.cancelled() => {}
            }
            over.cancel();
            std::future::pending::<()>().await;
        };
        let forward = async {
            while let Some(name) = woken.next().await {
                send(name);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = control(receiver, over.clone()) => {}
            () = ends => {}
            () = forward => {}
        }
    }
}

/// Waits for the next term; `None` at `stop`. What is woken meanwhile, the term looks at anyway.
async fn begun(
    context: &Context,
    woken: &mut UnboundedReceiver<Named>,
    stop: &CancellationToken,
) -> Option<CancellationToken> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            term = context.leadership.term() => return Some(term),
            Some(_) = woken.next() => {}
        }
    }
}
