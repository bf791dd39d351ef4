//! Where the programs are.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

/// A program of the test cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// The store of the API server.
    Etcd,
    /// The Kubernetes API server.
    KubeApiserver,
    /// The controllers behind Deployments, namespaces, tokens and the rest.
    KubeControllerManager,
    /// Binds Pods to nodes, those of DaemonSets too.
    KubeScheduler,
    /// The command line client.
    Kubectl,
    /// Plays the kubelets of fake nodes.
    Kwok,
    /// Renders and installs charts.
    Helm,
    /// An ACME CA for tests.
    Pebble,
    /// What Pebble asks for names, and an answerer of its challenges.
    PebbleChalltestsrv,
    /// Another ACME CA.
    StepCa,
    /// Carries out the Rollouts of Argo.
    ArgoRollouts,
    /// Runs containers, on a real node.
    Containerd,
    /// Talks to containerd.
    Ctr,
    /// Runs the Pods of a real node.
    Kubelet,
    /// Makes Services answer on a real node.
    KubeProxy,
    /// Answers names inside a cluster with a real node.
    Coredns,
    /// Leads requests from outside to Services.
    Traefik,
}

impl Program {
    /// The name of the executable file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::Helm => "helm",
            Self::Pebble => "pebble",
            Self::PebbleChalltestsrv => "pebble-challtestsrv",
            Self::StepCa => "step-ca",
            Self::ArgoRollouts => "argo-rollouts",
            Self::Containerd => "containerd",
            Self::Ctr => "ctr",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Coredns => "coredns",
            Self::Traefik => "traefik",
        }
    }

    /// The folder of `tests/cluster/tools` that says where it comes from.
    fn family(self) -> &'static str {
        match self {
            Self::KubeApiserver
            | Self::KubeControllerManager
            | Self::KubeScheduler
            | Self::Kubectl => "kubernetes",
            Self::Kubelet | Self::KubeProxy => "node",
            Self::Containerd | Self::Ctr => "containerd",
            Self::Pebble | Self::PebbleChalltestsrv => "pebble",
            Self::Etcd
            | Self::Kwok
            | Self::Helm
            | Self::StepCa
            | Self::ArgoRollouts
            | Self::Coredns
            | Self::Traefik => self.name(),
        }
    }

    /// Whether the customary content of `KUBEBUILDER_ASSETS` includes it.
    fn is_kubebuilder_asset(self) -> bool {
        matches!(self, Self::Etcd | Self::KubeApiserver | Self::Kubectl)
    }
}

/// Finds programs: in the folder `KUBEBUILDER_ASSETS` where that is set, else among those `tests/cluster/build` made.
///
/// `KUBEBUILDER_ASSETS` must then hold etcd, kube-apiserver and kubectl; what else it lacks comes from the built ones.
#[derive(Clone, Debug)]
pub struct Binaries {
    assets: Option<PathBuf>,
    built: HashMap<String, PathBuf>,
}

/// The folder in which `tests/run needs` unpacks a package of Debian's.
pub fn unpacked(package: &str) -> PathBuf {
    let cache = env::var_os("CERTWRIGHT_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let home = env::var_os("HOME").unwrap_or_default();
        PathBuf::from(home).join(".cache/certwright")
    });
    cache.join("tools").join(package)
}

impl Binaries {
    /// Asks `tests/cluster/build` and `tests/cluster/fetch` where they put things: the versions are written in
    /// `tests/cluster/tools` only.
    pub fn locate() -> anyhow::Result<Self> {
        let lines = directories(BUILD)? + &directories(FETCH)?;
        Ok(Self {
            assets: env::var_os("KUBEBUILDER_ASSETS")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            built: lines
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(family, directory)| (family.to_owned(), PathBuf::from(directory)))
                .collect(),
        })
    }

    /// The folder of what was fetched under this name, such as `gateway-api`, or an error that names the command that fetches it.
    pub(crate) fn fetched(&self, name: &str) -> anyhow::Result<&Path> {
        let folder = self
            .built
            .get(name)
            .with_context(|| format!("tests/cluster/fetch knows no {name}"))?;
        ensure!(
            folder.is_dir(),
            "{name} is missing ({} does not exist); fetch it with: tests/cluster/fetch",
            folder.display()
        );
        Ok(folder)
    }

    /// The path of `program`, or an error that names what is missing and the command that builds it.
    pub fn path(&self, program: Program) -> anyhow::Result<PathBuf> {
        if let Some(assets) = &self.assets {
            let path = assets.join(program.name());
            if path.is_file() {
                return Ok(path);
            }
            if program.is_kubebuilder_asset() {
                bail!(
                    "KUBEBUILDER_ASSETS is {}, but there is no {} in it",
                    assets.display(),
                    program.name()
                );
            }
        }
        let family = program.family();
        let path = self
            .built
            .get(family)
            .map(|directory| directory.join(program.name()))
            .with_context(|| format!("tests/cluster/build knows no family {family}"))?;
        ensure!(
            path.is_file(),
            "{} is missing ({} does not exist); {}",
            program.name(),
            path.display(),
            match program {
                Program::Traefik => "fetch it with: tests/cluster/fetch".to_owned(),
                _ => format!("build it with: tests/cluster/build {family}"),
            }
        );
        Ok(path)
    }

    /// Fails with all that is missing at once.
    pub(crate) fn require(&self, programs: &[Program]) -> anyhow::Result<()> {
        let missing: Vec<_> = programs
            .iter()
            .filter_map(|program| self.path(*program).err())
            .map(|error| error.to_string())
            .collect();
        ensure!(
            missing.is_empty(),
            "the test cluster can't start:\n  {}",
            missing.join("\n  ")
        );
        Ok(())
    }
}

/// The "name directory" lines that a script prints.
fn directories(script: &str) -> anyhow::Result<String> {
    let output = Command::new(script)
        .arg("--dirs")
        .output()
        .with_context(|| format!("failed to run {script} --dirs"))?;
    ensure!(
        output.status.success(),
        "{script} --dirs failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("{script} printed invalid UTF-8"))
}

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/build");
const FETCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fetch");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing_and_how_to_build_it() {
        let built = [("kubernetes", "/nowhere/k"), ("etcd", "/nowhere/e")]
            .map(|(family, directory)| (family.to_owned(), PathBuf::from(directory)))
            .into();
        let binaries = Binaries {
            assets: None,
            built,
        };

        let error = binaries
            .require(&[Program::Etcd, Program::KubeApiserver])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the test cluster can't start:\n  \
             etcd is missing (/nowhere/e/etcd does not exist); build it with: tests/cluster/build etcd\n  \
             kube-apiserver is missing (/nowhere/k/kube-apiserver does not exist); \
             build it with: tests/cluster/build kubernetes"
        );
    }

    #[test]
    fn the_node_is_as_new_as_the_control_plane() {
        let version = |modules: &'static str| {
            modules
                .lines()
                .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        };
        let control_plane = version(include_str!("../tools/kubernetes/go.mod"));
        assert!(control_plane.is_some());
        assert_eq!(version(include_str!("../tools/node/go.mod")), control_plane);
    }

    #[test]
    fn takes_kubebuilder_assets_first_and_the_rest_from_the_built_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (assets, built) = (folder.path().join("assets"), folder.path().join("built"));
        for file in [assets.join("etcd"), built.join("etcd"), built.join("kwok")] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let binaries = Binaries {
            assets: Some(assets.clone()),
            built: ["etcd", "kwok", "kubernetes"]
                .map(|family| (family.to_owned(), built.clone()))
                .into(),
        };

        assert_eq!(binaries.path(Program::Etcd).unwrap(), assets.join("etcd"));
        assert_eq!(binaries.path(Program::Kwok).unwrap(), built.join("kwok"));
        let error = binaries
            .path(Program::KubeApiserver)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("but there is no kube-apiserver in it"),
            "{error}"
        );
    }
}
