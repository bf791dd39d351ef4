//! What stays of a node that was stopped, or killed: nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use certwright_test_cluster::{Cluster, Options};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{STARTS, eventually};

#[tokio::test]
async fn nothing_stays_of_a_cluster_that_was_stopped() {
    let _alone = STARTS.lock().await;
    let before = machine();
    let cluster = Cluster::start(Options::new()).await.unwrap();
    let folder = cluster.control_plane().folder().to_owned();
    let link = format!("certwright{}", cluster.host_address().octets()[1]);
    assert_ne!(remains(&folder), [""; 0], "they are what is looked for");
    assert!(links().contains(&link));

    drop(cluster);
    assert_eq!(remains(&folder), [""; 0]);
    assert!(!links().contains(&link));
    assert_eq!(machine(), before);
}

#[tokio::test]
async fn nothing_stays_of_a_cluster_whose_owner_was_killed() {
    let _alone = STARTS.lock().await;
    let mut owner = Owner::start().await;

    owner.process.kill().await.unwrap();
    eventually("nothing stays", async || remains(&owner.folder).is_empty()).await;
}

#[tokio::test]
async fn a_start_removes_what_stayed_when_the_guards_were_killed_too() {
    let _alone = STARTS.lock().await;
    let mut owner = Owner::start().await;
    let process = owner.process.id().unwrap();
    let guards = owner.outside_the_sandbox();
    // The owner would see the others die, and its end is what the guards wait for: it is stopped first and killed last.
    // The guards are not stopped. When a process group with a stopped member loses its parent, the kernel hangs up on
    // all of it, and the sandbox is in such a group.
    signal("STOP", &[process]);
    signal("KILL", &guards);
    signal("KILL", &[process]);
    let _ = owner.process.wait().await;
    let left = remains(&owner.folder);
    // The node's programs die with their guards, and may or may not be seen. What they ran in stays.
    let sandbox =
        |left: &String| left.starts_with("process /bin/sh") && left.contains("/node.sh inside");
    assert!(left.iter().any(sandbox), "{left:?}");

    let next = Cluster::start(Options::new()).await.unwrap();
    assert_eq!(remains(&owner.folder), [""; 0]);
    assert_eq!(next.failures(), [""; 0]);
}

/// A process that has started a cluster, as `make cluster` does.
struct Owner {
    process: Child,
    folder: PathBuf,
}

impl Owner {
    async fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the cluster started");
        let kubeconfig = Path::new(line.strip_prefix("export KUBECONFIG=").unwrap());
        let folder = kubeconfig.parent().unwrap().to_owned();
        assert_ne!(remains(&folder), [""; 0], "they are what is looked for");
        Self { process, folder }
    }

    /// What the process started, but for the sandbox, the process that holds it, and all in it.
    fn outside_the_sandbox(&self) -> Vec<u32> {
        let parents: BTreeMap<u32, u32> = processes()
            .filter_map(|process| Some((process, parent(process)?)))
            .collect();
        let owner = self.process.id().unwrap();
        let descends = |mut process: u32| {
            while process != owner {
                match parents.get(&process) {
                    Some(parent) => process = *parent,
                    None => return false,
                }
            }
            true
        };
        let namespace = |process: u32| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
        let ours = namespace(std::process::id());
        parents
            .keys()
            .copied()
            .filter(|process| {
                *process != owner && descends(*process) && namespace(*process) == ours
            })
            .filter(|process| !command_line(*process).starts_with("unshare"))
            .collect()
    }
}

/// All that can be found of the cluster that has this folder.
fn remains(folder: &Path) -> Vec<String> {
    let path = folder.to_str().unwrap();
    let mut found = Vec::new();
    if folder.exists() {
        found.push(format!("folder {path}"));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|mount| mount.contains(path))
            .map(|mount| format!("mount {mount}")),
    );
    found.extend(
        processes()
            .map(command_line)
            .filter(|command| command.contains(path))
            .map(|command| format!("process {command}")),
    );
    cgroups(
        Path::new("/sys/fs/cgroup"),
        folder.file_name().unwrap().to_str().unwrap(),
        &mut found,
    );
    found
}

fn cgroups(parent: &Path, name: &str, found: &mut Vec<String>) {
    // One that goes meanwhile is none that stays.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() == name {
                found.push(format!("cgroup {}", entry.path().display()));
            }
            cgroups(&entry.path(), name, found);
        }
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))?
        .trim()
        .parse()
        .ok()
}

fn command_line(process: u32) -> String {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

fn links() -> Vec<String> {
    fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// What a node on the machine itself would change for good.
fn machine() -> BTreeMap<String, String> {
    let settings = [
        "net/ipv4/ip_forward",
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys",
        "kernel/keys/root_maxbytes",
    ];
    let mut found: BTreeMap<_, _> = settings
        .map(|setting| {
            let value = fs::read_to_string(Path::new("/proc/sys").join(setting)).unwrap();
            (setting.to_owned(), value)
        })
        .into();
    let rules = std::process::Command::new("iptables-save")
        .output()
        .unwrap();
    let rules = String::from_utf8(rules.stdout).unwrap();
    let rules: Vec<_> = rules
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    found.insert("iptables".to_owned(), rules.join("\n"));
    for folder in [
        "/run/containerd",
        "/var/lib/kubelet",
        "/var/lib/cni",
        "/var/log/pods",
    ] {
        found.insert(folder.to_owned(), Path::new(folder).exists().to_string());
    }
    found
}

fn signal(name: &str, processes: &[u32]) {
    let processes: Vec<_> = processes.iter().map(u32::to_string).collect();
    // Some may have ended by themselves.
    let _ = std::process::Command::new("kill")
        .arg(format!("-{name}"))
        .args(processes)
        .output();
}
