//! One control plane, or one cluster, for all tests of a binary.

use tokio::sync::OnceCell;

use crate::{Cluster, ControlPlane, Options};

/// What the first test starts and all others share, for a `static`.
///
/// Each `#[tokio::test]` has a runtime of its own, so a [`kube::Client`] must not be shared: make one in each test. The control plane itself
/// belongs to no runtime. Statics aren't dropped; the processes notice the end of the test binary by themselves.
///
/// With a runner that gives each test a process of its own, each test starts its own.
#[derive(Debug)]
pub struct Shared<T> {
    options: fn() -> Options,
    started: OnceCell<Result<T, String>>,
}

/// A control plane with fake nodes.
pub type SharedControlPlane = Shared<ControlPlane>;
/// A control plane with a real node; it needs root.
pub type SharedCluster = Shared<Cluster>;

impl<T> Shared<T> {
    /// Starts nothing yet.
    pub const fn new(options: fn() -> Options) -> Self {
        Self {
            options,
            started: OnceCell::const_new(),
        }
    }

    async fn get(
        &self,
        start: impl AsyncFnOnce(Options) -> anyhow::Result<T>,
    ) -> anyhow::Result<&T> {
        self.started
            .get_or_init(async || {
                start((self.options)())
                    .await
                    .map_err(|error| format!("{error:#}"))
            })
            .await
            .as_ref()
            .map_err(|error| anyhow::anyhow!("what the tests share did not start: {error}"))
    }
}

impl Shared<ControlPlane> {
    /// Starts the control plane, or waits for the test that is doing so. A failure is told to every test, and not tried again.
    pub async fn start(&self) -> anyhow::Result<&ControlPlane> {
        self.get(ControlPlane::start).await
    }
}

impl Shared<Cluster> {
    /// Starts the cluster, or waits for the test that is doing so. A failure is told to every test, and not tried again.
    pub async fn start(&self) -> anyhow::Result<&Cluster> {
        self.get(Cluster::start).await
    }
}
