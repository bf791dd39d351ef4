//! The addresses of a node, and the cable between it and the machine.

use std::{net::Ipv4Addr, process::Command};

use anyhow::{Context as _, bail};

use super::sandbox::{Sandbox, run};

/// Addresses that nothing else on this machine uses, for one node: `10.<number>.0.0/16`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    number: u8,
}

impl Network {
    /// The machine's end of the cable, where the API server listens. Pods reach servers of the test there.
    pub(crate) fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number, 0, 1)
    }

    /// The node's end of the cable, where the kubelet and the DNS server listen.
    pub(crate) fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.number, 0, 2)
    }

    /// The range of the Pods.
    pub(crate) fn pods(self) -> String {
        format!("10.{}.1.0/24", self.number)
    }

    /// The range of the Services.
    pub(crate) fn services(self) -> String {
        format!("10.{}.2.0/24", self.number)
    }

    /// The device's name is what two starts at the same moment can't both have.
    fn device(self) -> String {
        format!("certwright{}", self.number)
    }

    fn is_in_use(self) -> anyhow::Result<bool> {
        let range = format!("10.{}.0.0/16", self.number);
        for relation in ["root", "match"] {
            let output = Command::new("ip")
                .args(["-4", "route", "show", "table", "all", relation, &range])
                .output()
                .context("failed to list routes")?;
            let routes = String::from_utf8_lossy(&output.stdout);
            if routes.lines().any(|route| !route.starts_with("default")) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The cable; it goes with the sandbox, or when this value is dropped.
///
/// The sandbox's network has no way out: it knows the machine's end of the cable, its own Pods and its Services. The machine
/// reaches all of these.
#[derive(Debug)]
pub(crate) struct Cable {
    network: Network,
}

impl Cable {
    /// Finds free addresses and connects the sandbox.
    pub(crate) fn lay(sandbox: &Sandbox) -> anyhow::Result<Self> {
        let network = claim(sandbox.init())?;
        let cable = Self { network };
        let device = network.device();
        let (host, node) = (network.host().to_string(), network.node().to_string());
        let (pods, services) = (network.pods(), network.services());
        ip(&["address", "add", &format!("{host}/30"), "dev", &device])?;
        ip(&["link", "set", &device, "up"])?;
        let node_end = format!("{node}/30");
        sandbox.run("ip", &["address", "add", &node_end, "dev", UPLINK])?;
        sandbox.run("ip", &["link", "set", UPLINK, "up"])?;
        ip(&["route", "add", &pods, "via", &node])?;
        ip(&["route", "add", &services, "via", &node])?;
        // The node's own programs reach a Service only if there is a route to it, wherever that leads.
        sandbox.run("ip", &["route", "add", &services, "via", &host])?;
        // What others send to a Service that kube-proxy doesn't know, or not yet, is refused rather than lost.
        sandbox.run(
            "ip",
            &[
                "rule", "add", "priority", "100", "iif", "lo", "lookup", "main",
            ],
        )?;
        let unreachable = [
            "rule",
            "add",
            "priority",
            "101",
            "to",
            &services,
            "unreachable",
        ];
        sandbox.run("ip", &unreachable)?;
        Ok(cable)
    }

    pub(crate) fn network(&self) -> Network {
        self.network
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Already gone if the sandbox is.
        let _ = ip(&["link", "delete", &self.network.device()]);
    }
}

fn claim(init: u32) -> anyhow::Result<Network> {
    let mut random = [0];
    aws_lc_rs::rand::fill(&mut random).context("failed to draw a random number")?;
    let mut refusal = None;
    for n in 0..COUNT {
        let number = FIRST + random[0].wrapping_add(n) % COUNT;
        let network = Network { number };
        if network.is_in_use()? {
            continue;
        }
        let (device, init) = (network.device(), init.to_string());
        let add = ["link", "add", "name", &device, "type", "veth"];
        let peer = ["peer", "name", UPLINK, "netns", &init];
        match ip(&[add.as_slice(), &peer].concat()) {
            Ok(()) => return Ok(network),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(error.context("failed to connect the node")),
        None => bail!(
            "10.{FIRST}.0.0/16 and the {COUNT} ranges from there on are all in use on this machine"
        ),
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("ip").args(arguments))
}

const FIRST: u8 = 128;
const COUNT: u8 = 64;
/// The node's end of the cable.
const UPLINK: &str = "uplink";
