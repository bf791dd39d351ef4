//! The programs of a node, and their configuration.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{network::Network, requirements::Requirements, sandbox::Sandbox};
use crate::{
    access,
    binaries::Program,
    control_plane::ControlPlane,
    process::{Process, write_private},
};

/// All that the programs of a node share. Their files have names of their own in the control plane's folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeServices<'a> {
    pub(crate) control_plane: &'a ControlPlane,
    pub(crate) requirements: &'a Requirements,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) network: Network,
}

impl NodeServices<'_> {
    pub(crate) fn containerd(&self) -> anyhow::Result<Process> {
        let program = self.control_plane.program(Program::Containerd)?;
        // containerd finds its shim, and the shim runc, by PATH.
        let folder = program.parent().unwrap_or_else(|| Path::new("/"));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
        let configuration = self.write("containerd.toml", &self.containerd_configuration()?)?;
        fs::create_dir_all(self.cni_folder()).context("failed to make the folder of CNI")?;
        self.write(
            "cni/10-pods.conflist",
            &self.cni_configuration().to_string(),
        )?;
        self.run(
            "containerd",
            "env",
            [
                format!("PATH={path}").into(),
                // Where CAP_SYS_RESOURCE is missing, runc can't lower a score, and Pods ask for up to 1000.
                "choom".into(),
                "-n".into(),
                "1000".into(),
                "--".into(),
                program.into(),
                "--config".into(),
                configuration.into(),
            ],
        )
    }

    pub(crate) fn kubelet(&self) -> anyhow::Result<Process> {
        let configuration =
            self.write("kubelet.yaml", &self.kubelet_configuration().to_string())?;
        self.write("node-resolv.conf", "")?;
        let kubeconfig = self.control_plane.kubeconfig(access::NODE)?;
        self.run(
            "kubelet",
            self.control_plane.program(Program::Kubelet)?,
            [
                flag("--config", configuration),
                flag("--kubeconfig", kubeconfig),
                flag("--root-dir", self.file("kubelet")),
                flag("--cert-dir", self.file("kubelet-pki")),
                // A loopback address is refused, and Pods then get none.
                flag("--node-ip", self.network.node().to_string()),
                flag("--hostname-override", NODE),
            ],
        )
    }

    pub(crate) fn kube_proxy(&self) -> anyhow::Result<Process> {
        let configuration = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": { "kubeconfig": self.control_plane.kubeconfig(access::KUBE_PROXY)? },
            "mode": "iptables",
            "clusterCIDR": self.network.pods(),
            "hostnameOverride": NODE,
            // These are settings of the whole machine.
            "conntrack": { "maxPerCore": 0, "min": 0 },
        });
        let configuration = self.write("kube-proxy.yaml", &configuration.to_string())?;
        self.run(
            "kube-proxy",
            self.control_plane.program(Program::KubeProxy)?,
            [flag("--config", configuration)],
        )
    }

    pub(crate) fn coredns(&self) -> anyhow::Result<Process> {
        let configuration = format!(
            include_str!("../../assets/Corefile"),
            node = self.network.node(),
            hosts = self.write("hosts", "")?.display(),
            url = self.control_plane.url(),
            kubeconfig = self.control_plane.kubeconfig(access::COREDNS)?.display(),
        );
        let configuration = self.write("Corefile", &configuration)?;
        self.run(
            "coredns",
            self.control_plane.program(Program::Coredns)?,
            ["-conf".into(), configuration.into()],
        )
    }

    fn containerd_configuration(&self) -> anyhow::Result<String> {
        let text = |path: &Path| -> anyhow::Result<String> {
            // A JSON string is a TOML string.
            serde_json::to_string(path).context("failed to write a path")
        };
        Ok(format!(
            "version = 3\nroot = {root}\nstate = {state}\n\
             [grpc]\naddress = {socket}\n\
             [plugins.'io.containerd.cri.v1.runtime']\nrestrict_oom_score_adj = true\n\
             [plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = [{plugins}]\nconf_dir = {networks}\n\
             [plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = '{BUSYBOX}'\n",
            root = text(&self.file("containerd"))?,
            state = text(&self.file("containerd-state"))?,
            socket = text(&socket(self.control_plane.folder()))?,
            plugins = text(&self.requirements.cni)?,
            networks = text(&self.cni_folder())?,
        ))
    }

    /// Each Pod has a cable of its own to the node, which routes: with a bridge, a Service whose Pod is a neighbour
    /// needs a kernel module that not every machine has loaded.
    fn cni_configuration(&self) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{ "subnet": self.network.pods() }]],
                        "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                },
                { "type": "portmap", "capabilities": { "portMappings": true } },
            ],
        })
    }

    fn kubelet_configuration(&self) -> Value {
        let socket = format!("unix://{}", socket(self.control_plane.folder()).display());
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.network.node(),
            "containerRuntimeEndpoint": socket,
            "clusterDNS": [self.network.node()],
            "clusterDomain": "cluster.local",
            "resolvConf": self.file("node-resolv.conf"),
            "podLogsDir": self.file("pod-logs"),
            "volumePluginDir": self.file("kubelet-plugins"),
            // For `kubectl logs` and `exec`. Nobody reaches it but this machine and the Pods.
            "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
            "authorization": { "mode": "AlwaysAllow" },
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": false,
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "localStorageCapacityIsolation": false,
            // A test machine may be nearly full; that is no reason to end Pods.
            "evictionHard": { "memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
            "imageGCHighThresholdPercent": 100,
            // Until a mounted Secret is seen to have changed.
            "syncFrequency": "2s",
        })
    }

    fn run<const N: usize>(
        &self,
        name: &'static str,
        program: impl Into<OsString>,
        arguments: [OsString; N],
    ) -> anyhow::Result<Process> {
        let (nsenter, mut own) = self.sandbox.enter(program);
        own.extend(arguments);
        Process::start(name, &nsenter, &own, self.file(&format!("{name}.log")))
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        write_private(&path, content)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.control_plane.folder().join(name)
    }

    fn cni_folder(&self) -> PathBuf {
        self.file("cni")
    }
}

/// Where containerd listens, in the folder of a control plane.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

fn flag(name: &str, value: impl Into<OsString>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(value.into());
    flag
}

/// The node's name.
pub(crate) const NODE: &str = "node";
/// The image that comes with every node: a busybox that sleeps, which Pods' sandboxes run as well.
pub(crate) const BUSYBOX: &str = "certwright.test/busybox:1";
