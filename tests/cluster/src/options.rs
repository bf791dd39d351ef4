//! What a test asks of its control plane.

/// How to start a [`ControlPlane`](crate::ControlPlane).
///
/// ```
/// use certwright_test_cluster::{AuditLevel, Options};
///
/// let options = Options::new().audit(AuditLevel::Metadata).user("alice", ["tenants"]);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) users: Vec<User>,
    pub(crate) audit: Option<AuditLevel>,
    pub(crate) workloads: bool,
    pub(crate) traefik: bool,
    pub(crate) nodes: usize,
    pub(crate) api_server_flags: Vec<String>,
}

impl Options {
    /// Workloads on one fake node, no audit log, no users but the admin.
    pub fn new() -> Self {
        Self {
            users: Vec::new(),
            audit: None,
            workloads: true,
            traefik: false,
            nodes: 1,
            api_server_flags: Vec::new(),
        }
    }

    /// Adds a user, known to the API server by a token; RBAC decides what they may do.
    ///
    /// Users can only be added at the start: the API server reads its token file once.
    pub fn user<'g>(mut self, name: &str, groups: impl IntoIterator<Item = &'g str>) -> Self {
        self.users.push(User {
            name: name.to_owned(),
            groups: groups.into_iter().map(str::to_owned).collect(),
        });
        self
    }

    /// Writes an audit log, read by [`ControlPlane::audit_events`](crate::ControlPlane::audit_events).
    pub fn audit(mut self, level: AuditLevel) -> Self {
        self.audit = Some(level);
        self
    }

    /// Runs neither scheduler nor kwok: Pods stay Pending, and the start is quicker.
    pub fn without_workloads(mut self) -> Self {
        self.workloads = false;
        self
    }

    /// Runs Traefik as a front door for Ingresses and, with the Gateway API installed, HTTPRoutes; see
    /// [`ControlPlane::front_door`](crate::ControlPlane::front_door).
    pub fn traefik(mut self) -> Self {
        self.traefik = true;
        self
    }

    /// How many fake nodes there are, named `node-0`, `node-1` and so on. Defaults to 1.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Passes another flag to kube-apiserver, after ours: where it takes one value, this one wins.
    pub fn api_server_flag(mut self, flag: &str) -> Self {
        self.api_server_flags.push(flag.to_owned());
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// Someone the API server knows by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name RBAC knows them by.
    pub name: String,
    /// Their groups, besides `system:authenticated`.
    pub groups: Vec<String>,
}

/// How much of each request the audit log holds.
///
/// Requests of the control plane's own parts are always logged with their metadata only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditLevel {
    /// Who did what to which object, and the answer's status.
    Metadata,
    /// And the bodies of request and response, Secrets included.
    RequestResponse,
}
