//! One control plane for all tests of a binary.

use tokio::sync::OnceCell;

use crate::{ControlPlane, Options};

/// A control plane that the first test starts and all others share, for a `static`.
///
/// Each `#[tokio::test]` has a runtime of its own, so a [`kube::Client`] must not be shared: make one in each test. The control plane itself
/// belongs to no runtime. Statics aren't dropped; the processes notice the end of the test binary by themselves.
///
/// With a runner that gives each test a process of its own, each test starts its own control plane.
#[derive(Debug)]
pub struct SharedControlPlane {
    options: fn() -> Options,
    started: OnceCell<Result<ControlPlane, String>>,
}

impl SharedControlPlane {
    /// Starts nothing yet.
    pub const fn new(options: fn() -> Options) -> Self {
        Self {
            options,
            started: OnceCell::const_new(),
        }
    }

    /// Starts the control plane, or waits for the test that is doing so. A failure is told to every test, and not tried again.
    pub async fn start(&self) -> anyhow::Result<&ControlPlane> {
        self.started
            .get_or_init(async || {
                ControlPlane::start((self.options)())
                    .await
                    .map_err(|error| format!("{error:#}"))
            })
            .await
            .as_ref()
            .map_err(|error| anyhow::anyhow!("the shared control plane did not start: {error}"))
    }
}
