//! A real node: containerd, kubelet, kube-proxy and a DNS server in a sandbox of their own.

mod image;
mod network;
mod requirements;
mod sandbox;
mod services;

pub use image::Image;
pub(crate) use network::{Cable, Network};
pub(crate) use requirements::{Requirements, check};
pub(crate) use sandbox::Sandbox;
pub(crate) use services::{BUSYBOX, NODE, NodeServices, socket};
