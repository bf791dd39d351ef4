//! Where the demo plays: a control plane of its own, or a cluster that the user named.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use certwright_test_cluster::{Binaries, ControlPlane, Options, Program};
use serde::Deserialize as _;
use serde_yaml::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    Arguments,
    front::Front,
    kubectl::{Kubectl, succeed, until},
    operator::write_private,
    voice,
};

/// A cluster, and a folder for what the demo writes. Dropping it ends a control plane of the demo's own.
#[derive(Debug)]
pub(crate) struct Place {
    /// Commands for this cluster.
    pub(crate) kubectl: Kubectl,
    /// Goes when this value is dropped.
    pub(crate) folder: PathBuf,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Demo {
        control_plane: Box<ControlPlane>,
        front: Box<Front>,
    },
    User {
        #[expect(dead_code, reason = "is there until it is dropped")]
        folder: TempDir,
    },
}

impl Place {
    /// Starts a control plane, or asks whether the user's cluster may be used.
    pub(crate) async fn find(arguments: &Arguments) -> anyhow::Result<Self> {
        match &arguments.kubeconfig {
            None => Self::start().await,
            Some(kubeconfig) => Self::borrow(kubeconfig, arguments).await,
        }
    }

    async fn start() -> anyhow::Result<Self> {
        voice::say(
            "Starting a control plane: etcd, API server, controllers, and a node that is only played. And Traefik and \
             Pebble, for the last acts.",
        );
        let start = Instant::now();
        let control_plane = ControlPlane::start(Options::new().traefik()).await?;
        let front = Front::start(control_plane.front_door()?).await?;
        voice::seen(&format!(
            "Kubernetes at {}, after {:.1?}",
            control_plane.url(),
            start.elapsed()
        ));
        let folder = control_plane.folder().to_owned();
        let kubectl = Kubectl::new(
            Binaries::locate()?.path(Program::Kubectl)?,
            control_plane.kubeconfig("admin")?,
            &folder,
        );
        Ok(Self {
            kubectl,
            folder,
            owner: Owner::Demo {
                control_plane: Box::new(control_plane),
                front: Box::new(front),
            },
        })
    }

    async fn borrow(kubeconfig: &Path, arguments: &Arguments) -> anyhow::Result<Self> {
        ensure!(
            kubeconfig.is_file(),
            "there is no file {}",
            kubeconfig.display()
        );
        let folder = tempfile::Builder::new()
            .prefix("certwright-demo-")
            .tempdir()
            .context("failed to make a temporary folder")?;
        let path = folder.path().to_owned();
        let program = kubectl_program().await?;
        // The chosen context alone, so that no later command can mean another.
        let mut command = Command::new(&program);
        command
            .args(["config", "view", "--raw", "--minify", "--flatten"])
            .args(
                arguments
                    .context
                    .iter()
                    .map(|name| format!("--context={name}")),
            )
            .env("KUBECONFIG", kubeconfig);
        let config = succeed(command, None)
            .await
            .context("failed to read the kubeconfig")?;
        let copy = path.join("admin.kubeconfig");
        write_private(&copy, &config)?;
        let place = Self {
            kubectl: Kubectl::new(program, copy, &path),
            folder: path,
            owner: Owner::User { folder },
        };
        place.is_new_enough().await?;
        place.is_untouched().await?;
        if !arguments.yes {
            place.ask().await?;
        }
        Ok(place)
    }

    /// Installs what is shipped, without the Pod: the operator runs beside the cluster.
    pub(crate) async fn install(&self) -> anyhow::Result<()> {
        voice::say(
            "Installing what a cluster gets: definitions, ServiceAccount, roles. (The operator's own Deployment with \
             replicas: 0, as its binary runs on this machine.)",
        );
        voice::command("kubectl apply -f deploy/install.yaml");
        let output = self.kubectl.run("apply -f -", Some(&installed()?)).await?;
        voice::answer(&output);
        self.kubectl
            .run(
                "wait --for=condition=Established --timeout=60s crd/certificates.certwright.dev \
                 crd/issuers.certwright.dev crd/clusterissuers.certwright.dev",
                None,
            )
            .await?;
        self.kubectl
            .show("create namespace certwright-demo")
            .await?;
        until(
            "namespace certwright-demo has a default ServiceAccount",
            async || {
                let found = self
                    .kubectl
                    .run(
                        "get serviceaccount default -n certwright-demo --ignore-not-found -o name",
                        None,
                    )
                    .await?;
                Ok((!found.is_empty()).then_some(()))
            },
        )
        .await
    }

    /// The ACME CA and the front door, which only a place of the demo's own has.
    pub(crate) fn front(&self) -> Option<&Front> {
        match &self.owner {
            Owner::Demo { front, .. } => Some(front),
            Owner::User { .. } => None,
        }
    }

    /// Takes everything out of the user's cluster. A control plane of the demo's own goes as a whole.
    pub(crate) async fn clean_up(&self) -> anyhow::Result<()> {
        if let Owner::Demo { .. } = self.owner {
            return Ok(());
        }
        voice::say("\nTaking everything out of your cluster.");
        self.kubectl
            .show("delete namespace certwright-demo --ignore-not-found --timeout=110s")
            .await?;
        voice::command("kubectl delete -f deploy/install.yaml");
        let output = self
            .kubectl
            .run(
                "delete --ignore-not-found --timeout=110s -f -",
                Some(&installed()?),
            )
            .await?;
        voice::answer(&output);
        Ok(())
    }

    /// Says which program of the demo's own control plane ended, if one did.
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.owner {
            Owner::Demo { control_plane, .. } => control_plane.failures().into_iter().next(),
            Owner::User { .. } => None,
        }
    }

    async fn is_new_enough(&self) -> anyhow::Result<()> {
        let version = self.kubectl.json("version").await?;
        let number = |name: &str| {
            version["serverVersion"][name]
                .as_str()
                .map(|text| text.trim_end_matches('+'))
                .and_then(|text| text.parse::<u32>().ok())
        };
        let found = number("major").zip(number("minor"));
        ensure!(
            found >= Some(OLDEST),
            "Certwright needs Kubernetes {}.{} or later; this is {}",
            OLDEST.0,
            OLDEST.1,
            version["serverVersion"]["gitVersion"]
        );
        Ok(())
    }

    /// What is there already is not the demo's to change, and even less to delete.
    async fn is_untouched(&self) -> anyhow::Result<()> {
        let mut found = self
            .kubectl
            .run("get -f - --ignore-not-found -o name", Some(&installed()?))
            .await?;
        found += &self
            .kubectl
            .run(
                "get namespace certwright-demo --ignore-not-found -o name",
                None,
            )
            .await?;
        ensure!(
            found.is_empty(),
            "this cluster has some of what the demo would make, and later delete; nothing was touched:\n{found}"
        );
        Ok(())
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let server = self
            .kubectl
            .run(
                "config view --minify -o jsonpath={.contexts[0].name},{.clusters[0].cluster.server}",
                None,
            )
            .await?;
        let (context, server) = server.split_once(',').unwrap_or(("?", "?"));
        voice::say(&format!(
            "This uses your cluster: context {context} at {server}.\n\
             It makes the namespaces certwright and certwright-demo, and with deploy/install.yaml CustomResourceDefinitions, \
             ClusterRoles with a binding and admission policies, and deletes them at the end."
        ));
        ensure!(
            std::io::stdin().is_terminal(),
            "nobody is there to ask; --yes says that it is all right"
        );
        eprint!("Go on? [y/N] ");
        let _ = std::io::stderr().flush();
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        })
        .await
        .context("failed to ask")?
        .context("failed to read the answer")?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was touched");
        }
        Ok(())
    }
}

/// The user's own `kubectl` for the user's own cluster; the one that was built where there is none.
async fn kubectl_program() -> anyhow::Result<PathBuf> {
    let mut command = Command::new("kubectl");
    command.args(["version", "--client"]);
    if succeed(command, None).await.is_ok() {
        return Ok("kubectl".into());
    }
    Binaries::locate()?.path(Program::Kubectl)
}

/// `deploy/install.yaml` with no Pods, as a stream of documents.
fn installed() -> anyhow::Result<String> {
    let mut documents = String::new();
    for document in serde_yaml::Deserializer::from_str(INSTALL) {
        let mut document =
            Value::deserialize(document).context("deploy/install.yaml is no YAML")?;
        if document["kind"] == "Deployment" {
            document["spec"]["replicas"] = 0.into();
        }
        documents += "---\n";
        documents += &serde_yaml::to_string(&document).context("failed to write YAML")?;
    }
    Ok(documents)
}

const INSTALL: &str = include_str!("../../deploy/install.yaml");
const OLDEST: (u32, u32) = (1, 33);
