//! Where the operator itself can be reached.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use k8s_openapi::api::discovery::v1::EndpointSlice;

/// More replicas than anybody runs; a slice takes 1,000 endpoints at most.
const MOST: usize = 100;

/// The ready addresses of the operator's replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Those of IPv4.
    pub ipv4: BTreeSet<Ipv4Addr>,
    /// Those of IPv6.
    pub ipv6: BTreeSet<Ipv6Addr>,
}

impl Endpoints {
    /// What the slices of the operator's own Service say: the endpoints that are ready, which an ending one is not.
    ///
    /// An address that can't be read counts as absent.
    pub fn of<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Self {
        let mut found = Self::default();
        for endpoint in slices.into_iter().flat_map(|slice| &slice.endpoints) {
            // Not said means ready. Source: Kubernetes, EndpointConditions.
            let ready = endpoint
                .conditions
                .as_ref()
                .is_none_or(|conditions| conditions.ready.unwrap_or(true));
            if !ready {
                continue;
            }
            for address in &endpoint.addresses {
                match address.parse() {
                    Ok(IpAddr::V4(address)) if found.ipv4.len() < MOST => {
                        found.ipv4.insert(address);
                    }
                    Ok(IpAddr::V6(address)) if found.ipv6.len() < MOST => {
                        found.ipv6.insert(address);
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Whether nobody can be reached.
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ready_addresses_count() {
        let slice = |family: &str, endpoints: serde_json::Value| -> EndpointSlice {
            serde_json::from_value(json!({ "addressType": family, "endpoints": endpoints }))
                .unwrap()
        };
        let slices = [
            slice(
                "IPv4",
                json!([
                    { "addresses": ["10.0.0.1"], "conditions": { "ready": true } },
                    { "addresses": ["10.0.0.2"], "conditions": { "ready": false } },
                    { "addresses": ["10.0.0.3"] },
                ]),
            ),
            slice(
                "IPv6",
                json!([{ "addresses": ["fd00::1"], "conditions": {} }]),
            ),
            slice("FQDN", json!([{ "addresses": ["elsewhere.example"] }])),
            slice("IPv4", json!(null)),
        ];
        let found = Endpoints::of(&slices);
        assert_eq!(
            found.ipv4,
            ["10.0.0.1", "10.0.0.3"]
                .map(|address| address.parse().unwrap())
                .into()
        );
        assert_eq!(found.ipv6, ["fd00::1".parse().unwrap()].into());
        assert!(!found.is_empty());
        assert!(Endpoints::of([]).is_empty());
    }
}
