//! What annotations say, from their text. Each answers with what to write instead where that can't be read.

use std::net::IpAddr;
use std::str::FromStr;

use http::uri::PathAndQuery;
use rustls_pki_types::DnsName;

use crate::api::certificate::{CallMethod, CallPort, ProbePort, RolloutCall};

const LAST_WAVE: i32 = 100;
/// As the schema bounds them.
const MOST_PORTS: usize = 16;

/// When a workload is taken up, such as `1`.
pub(super) fn wave(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|wave| (0..=LAST_WAVE).contains(wave))
        .ok_or_else(|| format!("{text:?} is no wave; write a number from 0 to {LAST_WAVE}"))
}

/// How a workload is called, such as `POST :9000/-/reload`.
pub(in crate::rollout) fn call(text: &str) -> Result<RolloutCall, String> {
    let read = || {
        let (method, target) = text.split_once(' ').unwrap_or(("POST", text));
        let method = match method {
            "POST" => CallMethod::Post,
            "PUT" => CallMethod::Put,
            "GET" => CallMethod::Get,
            _ => return None,
        };
        let (port, path) = target.trim_start().strip_prefix(':')?.split_once('/')?;
        let port = port_of(port)?;
        let path = format!("/{path}");
        PathAndQuery::from_str(&path).ok()?;
        Some(RolloutCall {
            method: Some(method),
            path,
            port,
        })
    };
    read().ok_or_else(|| {
        format!("{text:?} is no request; write method, port and path as in POST :9000/-/reload")
    })
}

/// Where a certificate is served; nowhere, where that is not to be looked at.
pub(super) fn probed(text: &str) -> Result<Vec<ProbePort>, String> {
    if text.trim() == "Disabled" {
        return Ok(Vec::new());
    }
    let ports: Vec<&str> = text.split(',').map(str::trim).collect();
    if ports.len() > MOST_PORTS {
        return Err(format!("it names more than {MOST_PORTS} ports"));
    }
    let read = |text: &&str| {
        let (port, protocol) = match text.split_once('/') {
            Some((port, protocol)) => (port, Some(protocol.parse()?)),
            None => (*text, None),
        };
        let port = port_of(port).ok_or_else(|| {
            format!("{text:?} is no port; write ports as in 8443, 5432/postgres, or Disabled")
        })?;
        Ok(ProbePort {
            port,
            start_tls: protocol,
        })
    };
    ports.iter().map(read).collect()
}

/// Under which name a certificate is served.
pub(super) fn server_name(text: &str) -> Result<String, String> {
    let is_name = text.parse::<IpAddr>().is_err() && DnsName::try_from(text).is_ok();
    is_name
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| format!("{text:?} is no name of a host; write it as in db.example.com"))
}

/// A port by number, or by the name that a container gives it.
fn port_of(text: &str) -> Option<CallPort> {
    match text.parse() {
        Ok(0) => None,
        Ok(number) => Some(CallPort::Number(number)),
        Err(_) if text.is_empty() || text.len() > 15 => None,
        Err(_) => Some(CallPort::Name(text.to_owned())),
    }
}
