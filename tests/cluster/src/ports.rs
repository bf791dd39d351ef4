//! Free ports on 127.0.0.1.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, bail};

/// Picks `N` different ports that nobody listens on now.
///
/// They lie below the range from which systems take the ports of outgoing connections, so that a port which is free while the
/// API server restarts is not taken meanwhile. No port is picked twice in one process. Another process may still take one
/// before we listen; the start is then tried again.
///
/// # Errors
/// When there are none.
pub fn pick<const N: usize>() -> anyhow::Result<[u16; N]> {
    static PICKED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut listeners = Vec::with_capacity(N); // held until all are picked, so that they differ
    for _ in 0..TRIES {
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).context("failed to draw a random number")?;
        let port = FIRST + u16::from_le_bytes(random) % COUNT;
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        let mut picked = PICKED.lock().unwrap_or_else(PoisonError::into_inner);
        if picked.insert(port) {
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
