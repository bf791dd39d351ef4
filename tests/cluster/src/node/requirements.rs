//! What a node needs of the machine.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

/// What a node uses that `tests/cluster/build` doesn't build.
#[derive(Clone, Debug)]
pub(crate) struct Requirements {
    /// The folder with the CNI plugins.
    pub(crate) cni: PathBuf,
    /// A busybox that needs no library, for the images of tests.
    pub(crate) busybox: PathBuf,
}

/// Fails unless we are root, and with all that is missing at once.
pub(crate) fn check() -> anyhow::Result<Requirements> {
    let we = fs::metadata("/proc/self").context("failed to read /proc/self")?;
    ensure!(
        we.uid() == 0,
        "a node needs root: it makes namespaces, mounts, cgroups and containers. Run this as root (sudo -E); \
         nothing is skipped for want of it"
    );
    let mut missing = Vec::new();
    for (program, package) in PROGRAMS {
        if find(FOLDERS, program).is_none() {
            missing.push((program, package));
        }
    }
    let cni = find(CNI_FOLDERS, "ptp");
    if cni.is_none() {
        missing.push(("the CNI plugin ptp", "containernetworking-plugins"));
    }
    let busybox = find(FOLDERS, "busybox").filter(|path| needs_no_library(path));
    if busybox.is_none() {
        missing.push(("a static busybox", "busybox-static"));
    }
    match (cni, busybox) {
        (Some(cni), Some(busybox)) if missing.is_empty() => Ok(Requirements {
            cni: cni.parent().map(Path::to_owned).unwrap_or_default(),
            busybox,
        }),
        _ => anyhow::bail!("{}", words(&missing)),
    }
}

fn find(folders: &[&str], program: &str) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

/// Whether a program names no loader, and so runs where there is nothing but itself.
fn needs_no_library(program: &Path) -> bool {
    fs::read(program).is_ok_and(|content| !content.windows(5).any(|word| word == b"/ld-l"))
}

fn words(missing: &[(&str, &str)]) -> String {
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    format!(
        "a node lacks {}. On Debian: apt-get install {}",
        names.join(", "),
        packages.join(" ")
    )
}

const PROGRAMS: [(&str, &str); 6] = [
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];
const FOLDERS: &[&str] = &[
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_package_once() {
        assert_eq!(
            words(&[
                ("unshare", "util-linux"),
                ("runc", "runc"),
                ("nsenter", "util-linux")
            ]),
            "a node lacks unshare, runc, nsenter. On Debian: apt-get install runc util-linux"
        );
    }

    #[test]
    fn knows_a_program_that_needs_libraries() {
        // A test is one; a script needs an interpreter, but names no loader.
        assert!(!needs_no_library(&std::env::current_exe().unwrap()));
        assert!(needs_no_library(Path::new("/etc/passwd")));
        assert!(!needs_no_library(Path::new("/nowhere")));
    }
}
