//! The namespaces and cgroups of a node.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::time::sleep;

use crate::process::Process;

/// Namespaces (mount, network, process, and the smaller ones) and a cgroup, which end with this value or with our process.
///
/// The kernel ends what is in them: when the first process of a PID namespace dies, all others are killed, and with the
/// last of them go the mounts, the network devices and the iptables rules. Only empty cgroups stay; the folder's guard removes them.
#[derive(Debug)]
pub(crate) struct Sandbox {
    init: u32,
    script: PathBuf,
    // Dropped last of all that we do ourselves; see `Drop`.
    process: Option<Process>,
}

impl Sandbox {
    /// Makes the sandbox; what it writes down lies in `folder`, whose name it takes over for its cgroups.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let script = folder.join("node.sh");
        fs::write(&script, include_str!("../../assets/node.sh"))
            .context("failed to write the sandbox's script")?;
        let arguments = [script.as_os_str(), "outside".as_ref(), folder.as_os_str()];
        let mut process = Process::start(
            "sandbox",
            Path::new("/bin/sh"),
            &arguments.map(OsString::from),
            folder.join("sandbox.log"),
        )?;
        let start = Instant::now();
        while !folder.join("sandbox-is-ready").exists() {
            if let Some(failure) = process.failure() {
                bail!("the node's sandbox failed to start: {failure}");
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "the node's sandbox was not ready within {PATIENCE:?}{}",
                process.log_tail()
            );
            sleep(POLL).await;
        }
        let unshare = fs::read_to_string(folder.join("unshare.pid"))
            .context("failed to read the sandbox's process id")?;
        Ok(Self {
            init: child_of(unshare.trim())?,
            script,
            process: Some(process),
        })
    }

    /// The first process, seen from outside.
    pub(crate) fn init(&self) -> u32 {
        self.init
    }

    /// The command line that runs a program inside.
    pub(crate) fn enter(&self, program: impl Into<OsString>) -> (PathBuf, Vec<OsString>) {
        let mut arguments: Vec<OsString> = vec!["--target".into(), self.init.to_string().into()];
        arguments.extend(
            [
                "--mount", "--net", "--pid", "--cgroup", "--uts", "--ipc", "--",
            ]
            .map(Into::into),
        );
        arguments.extend(["/bin/sh".into(), self.script.clone().into(), "enter".into()]);
        arguments.push(program.into());
        ("nsenter".into(), arguments)
    }

    /// Runs a command inside to its end.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let (nsenter, own) = self.enter(program);
        run(Command::new(nsenter).args(own).args(arguments))
    }
}

impl Drop for Sandbox {
    /// Returns once the first process is gone, and with it everything inside.
    fn drop(&mut self) {
        drop(self.process.take());
        let start = Instant::now();
        // Empty once it has ended, although whoever inherited it may not have noticed yet.
        let init = format!("/proc/{}/cmdline", self.init);
        while fs::read(&init).is_ok_and(|line| !line.is_empty()) && start.elapsed() < PATIENCE {
            std::thread::sleep(POLL);
        }
    }
}

/// Runs a command to its end; the error shows what it said.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("failed to run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn child_of(parent: &str) -> anyhow::Result<u32> {
    let wanted = format!("PPid:\t{parent}");
    fs::read_dir("/proc")
        .context("failed to list processes")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|process: &u32| {
            fs::read_to_string(format!("/proc/{process}/status"))
                .is_ok_and(|status| status.lines().any(|line| line == wanted))
        })
        .context("the sandbox has no first process")
}

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);
