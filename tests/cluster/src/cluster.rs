//! A control plane with a real node.

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::{process::Command, time::sleep};

use crate::{
    binaries::{Binaries, Program},
    control_plane::ControlPlane,
    node::{self, BUSYBOX, Cable, Image, NODE, NodeServices, Requirements, Sandbox},
    options::Options,
    process::{Folder, Process, blames_port},
    workloads,
};

/// A running Kubernetes with one real node: Pods are containers, Services answer, names are found.
///
/// It needs root, and fails without it. The node runs in namespaces and cgroups of its own, connected to this machine by one virtual
/// cable, without a way to anywhere else. Dropping this value ends all of it, and so does the end of our process,
/// whichever way it ends. If even the guards were killed, the next start removes what is left.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: the node's programs, what they run in, and then the control plane with the folder.
    processes: Mutex<Vec<Process>>,
    cable: Cable,
    sandbox: Sandbox,
    names: Mutex<String>,
    control_plane: ControlPlane,
}

impl Cluster {
    /// Starts a control plane and a node, and waits until Pods can run and find names.
    ///
    /// Of the options, those about fake nodes say nothing here.
    ///
    /// If a program ends or the wait takes too long, the error shows the end of that program's log.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let requirements = node::check()?;
        let binaries = Binaries::locate()?;
        binaries.require(&NEEDED)?;
        Folder::remove_abandoned()?;
        for _ in 1..TRIES {
            match Self::try_start(options.clone(), binaries.clone(), &requirements).await {
                Err(error) if blames_port(&error) => {}
                outcome => return outcome,
            }
        }
        Self::try_start(options, binaries, &requirements).await
    }

    async fn try_start(
        options: Options,
        binaries: Binaries,
        requirements: &Requirements,
    ) -> anyhow::Result<Self> {
        let folder = Folder::create()?;
        let sandbox = Sandbox::start(folder.path()).await?;
        let cable = Cable::lay(&sandbox)?;
        let network = Some(cable.network());
        let control_plane = ControlPlane::start_in(folder, options, binaries, network).await?;
        let cluster = Self {
            processes: Mutex::default(),
            cable,
            sandbox,
            names: Mutex::default(),
            control_plane,
        };
        cluster.start_node(requirements).await?;
        Ok(cluster)
    }

    async fn start_node(&self, requirements: &Requirements) -> anyhow::Result<()> {
        let services = NodeServices {
            control_plane: &self.control_plane,
            requirements,
            sandbox: &self.sandbox,
            network: self.cable.network(),
        };
        self.add(services.coredns()?);
        self.add(services.containerd()?);
        self.wait("containerd", async || {
            Ok(self.ctr()?.arg("version").output().await?.status.success())
        })
        .await?;
        let busybox = Image::new(BUSYBOX, ["/bin/busybox", "sleep", "infinity"])
            .file("/bin/busybox", &requirements.busybox)
            .link("/bin/sh", "busybox");
        self.import(&busybox).await?;
        self.add(services.kube_proxy()?);
        self.add(services.kubelet()?);
        let client = self.control_plane.client()?;
        self.wait("kubelet", async || {
            workloads::nodes_are_ready(&client, 1).await
        })
        .await
    }

    /// The control plane: clients, kubeconfigs, `kubectl`, namespaces, the audit log.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Makes an image known to the node. Pods name it, with an `imagePullPolicy` other than `Always`.
    pub async fn import(&self, image: &Image) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(self.control_plane.folder())
            .context("failed to make a folder for an image")?;
        self.import_archive(&image.write(folder.path())?).await
    }

    /// The same for an archive as `docker save` or `buildah push … docker-archive:` write it.
    pub async fn import_archive(&self, archive: &Path) -> anyhow::Result<()> {
        let output = self
            .ctr()?
            .args(["images", "import"])
            .arg(archive)
            .output()
            .await
            .context("failed to run ctr")?;
        ensure!(
            output.status.success(),
            "failed to import {}: {}",
            archive.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// The name of an image that every node has: a busybox, which sleeps unless told otherwise.
    pub fn busybox(&self) -> &'static str {
        BUSYBOX
    }

    /// `ctr` in the containers' namespace, without arguments: to look at containers, or to do them harm.
    ///
    /// A Pod's status names its containers as `containerd://<id>`. `tasks pause <id>` freezes one, `tasks resume <id>` thaws it, and
    /// `tasks kill --signal SIGKILL <id>` ends it without a warning; the kubelet then starts it anew.
    pub fn ctr(&self) -> anyhow::Result<Command> {
        let mut command = self.command(self.control_plane.program(Program::Ctr)?);
        command
            .arg("--address")
            .arg(node::socket(self.control_plane.folder()))
            .args(["--namespace", "k8s.io"]);
        Ok(command)
    }

    /// A program of this machine, run inside the node: it sees its processes, its mounts and its network.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let (nsenter, arguments) = self.sandbox.enter(program.as_ref());
        let mut command = Command::new(nsenter);
        command.args(arguments).kill_on_drop(true);
        command
    }

    /// The address of this machine on which Pods reach servers of the test. Nothing but this node reaches it.
    pub fn host_address(&self) -> Ipv4Addr {
        self.cable.network().host()
    }

    /// The address of the DNS server that Pods ask.
    pub fn dns_address(&self) -> Ipv4Addr {
        self.cable.network().node()
    }

    /// Adds a name outside the cluster, such as that of a server of the test, to what the DNS server answers.
    ///
    /// It is seen within a second.
    pub fn add_name(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String can't fail.
        let _ = writeln!(names, "{address} {name}");
        fs::write(self.control_plane.folder().join("hosts"), names.as_bytes())
            .context("failed to write the DNS server's names")
    }

    /// The name of the node.
    pub fn node(&self) -> &'static str {
        NODE
    }

    /// How programs of the control plane or the node ended, if they did.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.control_plane.failures();
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failures.extend(processes.iter_mut().filter_map(Process::failure));
        failures
    }

    fn add(&self, process: Process) {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        processes.insert(0, process);
    }

    /// Polls until `done`; fails when a program ended, or after two minutes with the log of the one waited for.
    async fn wait(
        &self,
        name: &str,
        done: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !done().await? {
            let failures = self.failures();
            if !failures.is_empty() {
                bail!("the node failed to start: {}", failures.join("\n"));
            }
            if start.elapsed() > PATIENCE {
                let processes = self
                    .processes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let process = processes.iter().find(|process| process.name() == name);
                bail!(
                    "{name} was not ready within {PATIENCE:?}{}",
                    process.map(Process::log_tail).unwrap_or_default()
                );
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

const NEEDED: [Program; 9] = [
    Program::Etcd,
    Program::KubeApiserver,
    Program::KubeControllerManager,
    Program::KubeScheduler,
    Program::Containerd,
    Program::Ctr,
    Program::Kubelet,
    Program::KubeProxy,
    Program::Coredns,
];
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(120);
const TRIES: usize = 3;
