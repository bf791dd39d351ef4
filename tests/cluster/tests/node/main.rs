//! The node tier itself: does it do what the other tests rely on, and does nothing of it stay?
//!
//! These need root, and fail without it.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests; clippy doesn't see that their helpers are tests too"
)]

mod pods;
mod remains;
mod rights;

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

/// Each start removes what killed clusters left. Whoever looks at that holds this, and whoever starts a cluster.
static STARTS: Mutex<()> = Mutex::const_new(());

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let patience = timeout(Duration::from_secs(120), async {
        while !holds().await {
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(patience.await.is_ok(), "within two minutes, {what}");
}
