//! A real Kubernetes control plane for Certwright's tests and demo: no Docker, no root, no network beyond 127.0.0.1.
//!
//! [`ControlPlane::start`] runs etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok from a temporary
//! folder. kwok stands in for the kubelets, so Deployments, StatefulSets and DaemonSets really roll, without containers
//! (`assets/stages.yaml` lists the annotations that delay a Pod or keep it from becoming Ready).
//!
//! The programs are built once by `tests/cluster/build`, fetched by `tests/cluster/fetch`, or taken from `KUBEBUILDER_ASSETS`; see [`Binaries`].
//!
//! Tests of one binary share a control plane and take a namespace each:
//!
//! ```no_run
//! use certwright_test_cluster::{Options, SharedControlPlane};
//!
//! static CLUSTER: SharedControlPlane = SharedControlPlane::new(Options::new);
//!
//! # async fn body() -> anyhow::Result<()> {
//! let cluster = CLUSTER.start().await?;
//! let client = cluster.client()?; // one per test: a client belongs to the runtime that made it
//! let namespace = cluster.namespace("issue").await?;
//! # Ok(())
//! # }
//! ```
//!
//! The processes end with the process that started them, also when it is killed.
//!
//! [`Pebble`] is an ACME CA beside it.
//!
//! [`Cluster::start`] adds a real node: containerd, kubelet, kube-proxy and a DNS server. That needs root, and some programs of other
//! projects; it says which are missing. [`SharedCluster`] shares it the same way.

mod access;
mod addresses;
mod audit;
mod binaries;
mod cluster;
mod control_plane;
mod load;
mod node;
mod options;
mod pebble;
mod ports;
mod process;
mod services;
mod shared;
pub mod shipped;
mod standing_pod;
mod tls_server;
mod traefik;
mod visit;
mod workloads;

pub use addresses::OwnAddresses;
pub use audit::{AuditEvent, AuditObject, AuditStatus, AuditUser};
pub use binaries::{Binaries, Program, unpacked};
pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use load::{Load, Server, Shown, Tally};
pub use node::Image;
pub use options::{AuditLevel, Options, User};
pub use pebble::{Pebble, Ways, answerer, server_certificate};
pub use ports::pick as free_ports;
pub use process::Process;
pub use shared::{Shared, SharedCluster, SharedControlPlane};
pub use standing_pod::standing_pod;
pub use tls_server::TlsServer;
pub use traefik::FrontDoor;
pub use visit::{Visit, visit};
