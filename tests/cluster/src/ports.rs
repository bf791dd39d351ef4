//! Free ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, bail};

/// Picks `N` different ports that nobody listens on now.
///
/// They lie below the range from which systems take the ports of outgoing connections, so that a port which is free while the
/// API server restarts is not taken meanwhile. Another control plane may still take one before we listen; the
/// start is then tried again.
///
/// # Errors
/// When there are no `N` of them.
pub fn pick<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut listeners = Vec::with_capacity(N); // held until all are picked, so that they differ
    for _ in 0..TRIES {
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).context("failed to draw a random number")?;
        let port = FIRST + u16::from_le_bytes(random) % COUNT;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            listeners.push((port, listener));
        }
        if listeners.len() == N {
            return Ok(std::array::from_fn(|n| listeners[n].0));
        }
    }
    bail!(
        "found no {N} free ports in {FIRST}..{} on 127.0.0.1",
        FIRST + COUNT
    )
}

const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;
const TRIES: usize = 1_000;
