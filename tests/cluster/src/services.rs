//! The command line of each program.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    access::{self, Access},
    binaries::{Binaries, Program},
    node::Network,
    options::{AuditLevel, Options},
    process::Process,
    traefik::{self, FrontDoor},
};

/// All that the programs of one control plane share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) folder: PathBuf,
    pub(crate) binaries: Binaries,
    pub(crate) access: Access,
    pub(crate) options: Options,
    pub(crate) ports: Ports,
    /// Where there is a real node.
    pub(crate) network: Option<Network>,
}

/// Where the programs listen, all on 127.0.0.1, but for an API server with a real node: its Pods must reach it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) front_door: FrontDoor,
}

impl Services {
    pub(crate) fn etcd(&self) -> anyhow::Result<Process> {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        let mut flags = Flags::default();
        flags.add("--name", "test");
        flags.add("--data-dir", self.folder.join("etcd"));
        flags.add("--listen-client-urls", &client);
        flags.add("--advertise-client-urls", &client);
        flags.add("--listen-peer-urls", &peer);
        flags.add("--initial-advertise-peer-urls", &peer);
        flags.add("--initial-cluster", format!("test={peer}"));
        flags.add("--log-level", "warn");
        // The data goes with the folder; losing it in a crash of the machine is no loss.
        flags.add("--unsafe-no-fsync", "true");
        self.run(Program::Etcd, flags)
    }

    pub(crate) fn api_server(&self) -> anyhow::Result<Process> {
        let mut flags = Flags::default();
        flags.add(
            "--etcd-servers",
            format!("http://127.0.0.1:{}", self.ports.etcd),
        );
        flags.add("--cert-dir", self.access.serving_folder());
        flags.add(
            "--bind-address",
            api_server_address(self.network).to_string(),
        );
        flags.add("--secure-port", self.ports.api_server.to_string());
        if let Some(network) = self.network {
            flags.add("--advertise-address", network.host().to_string());
            flags.add("--service-cluster-ip-range", network.services());
            flags.add("--authorization-mode", "Node,RBAC");
            flags.add("--enable-admission-plugins", "NodeRestriction");
            flags.add("--kubelet-preferred-address-types", "InternalIP");
        } else {
            // Without it the server looks for an address of the machine, which may have none but loopback. Nothing connects to it.
            flags.add("--advertise-address", "192.0.2.1");
            flags.add("--service-cluster-ip-range", "10.0.0.0/16");
            flags.add("--authorization-mode", "RBAC");
        }
        flags.add("--service-account-issuer", "https://kubernetes.default.svc");
        flags.add(
            "--service-account-key-file",
            self.access.service_account_key(),
        );
        flags.add(
            "--service-account-signing-key-file",
            self.access.service_account_key(),
        );
        flags.add("--token-auth-file", self.access.token_file());
        flags.add("--profiling", "false");
        if let Some(level) = self.options.audit {
            let policy = self.folder.join("audit-policy.yaml");
            fs::write(&policy, audit_policy(level).to_string())
                .context("failed to write the audit policy")?;
            flags.add("--audit-policy-file", policy);
            flags.add("--audit-log-path", self.audit_log());
            flags.add("--audit-log-maxsize", "10000"); // MB: one file, never rotated
        }
        for flag in &self.options.api_server_flags {
            flags.0.push(flag.into());
        }
        self.run(Program::KubeApiserver, flags)
    }

    pub(crate) fn controller_manager(&self) -> anyhow::Result<Process> {
        let mut flags = Flags::default();
        flags.add(
            "--kubeconfig",
            self.access.kubeconfig(access::CONTROLLER_MANAGER)?,
        );
        flags.add("--use-service-account-credentials", "true");
        flags.add(
            "--service-account-private-key-file",
            self.access.service_account_key(),
        );
        flags.add("--root-ca-file", self.access.root_file());
        flags.add("--leader-elect", "false");
        flags.add("--secure-port", "0");
        // The defaults (20, 30) would make tests of many workloads wait for the client's own brake.
        flags.add("--kube-api-qps", "500");
        flags.add("--kube-api-burst", "1000");
        self.run(Program::KubeControllerManager, flags)
    }

    pub(crate) fn scheduler(&self) -> anyhow::Result<Process> {
        let mut flags = Flags::default();
        flags.add("--kubeconfig", self.access.kubeconfig(access::SCHEDULER)?);
        flags.add("--leader-elect", "false");
        flags.add("--secure-port", "0");
        flags.add("--kube-api-qps", "500");
        flags.add("--kube-api-burst", "1000");
        self.run(Program::KubeScheduler, flags)
    }

    pub(crate) fn kwok(&self) -> anyhow::Result<Process> {
        let stages = self.folder.join("stages.yaml");
        fs::write(&stages, include_str!("../assets/stages.yaml"))
            .context("failed to write kwok's stages")?;
        let mut flags = Flags::default();
        flags.add("--kubeconfig", self.access.kubeconfig(access::KWOK)?);
        flags.add("--config", stages);
        flags.add("--manage-all-nodes", "true");
        flags.add("--node-lease-duration-seconds", "40");
        flags.add("--node-ip", "192.0.2.2");
        flags.add("--cidr", "10.244.0.0/16"); // apart from the Services' range
        self.run(Program::Kwok, flags)
    }

    pub(crate) fn traefik(&self) -> anyhow::Result<Process> {
        traefik::start(
            &self.folder,
            &self.binaries,
            &self.access,
            self.ports.front_door,
        )
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    fn run(&self, program: Program, flags: Flags) -> anyhow::Result<Process> {
        let log = self.folder.join(format!("{}.log", program.name()));
        Process::start(program.name(), &self.binaries.path(program)?, &flags.0, log)
    }
}

/// The address that the API server listens on.
pub(crate) fn api_server_address(network: Option<Network>) -> Ipv4Addr {
    network.map_or(Ipv4Addr::LOCALHOST, Network::host)
}

/// Requests that the control plane makes of itself are logged without bodies: there are many, and no test reads them.
fn audit_policy(level: AuditLevel) -> Value {
    let level = match level {
        AuditLevel::Metadata => "Metadata",
        AuditLevel::RequestResponse => "RequestResponse",
    };
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {
                "level": "Metadata",
                "users": [
                    access::CONTROLLER_MANAGER,
                    access::SCHEDULER,
                    access::KWOK,
                    access::NODE,
                    access::KUBE_PROXY,
                    access::COREDNS,
                    access::TRAEFIK,
                    "system:apiserver",
                ],
            },
            { "level": "Metadata", "userGroups": ["system:serviceaccounts:kube-system"] },
            { "level": level },
        ],
    })
}

#[derive(Default)]
struct Flags(Vec<OsString>);

impl Flags {
    fn add(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let mut flag = OsString::from(name);
        flag.push("=");
        flag.push(value);
        self.0.push(flag);
    }
}

/// Whether the API server wrote its serving certificate, the last thing it needs before it can be asked.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}
