//! What the acts play on: a cluster, the operator, and kubectl.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use certwright_test_cluster::{ControlPlane, Options};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Where the acts play.
pub(crate) const NAMESPACE: &str = "certwright-demo";
/// Where the operator's ServiceAccount is.
const OPERATOR_NAMESPACE: &str = "certwright";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Stage {
    /// The demo's own control plane; none if the user named a cluster.
    cluster: Option<ControlPlane>,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
    binary: PathBuf,
    operator: Child,
    metrics: SocketAddr,
}

impl Stage {
    /// Starts or takes a cluster, installs Certwright into it, and starts the operator beside it.
    pub(crate) async fn set(kubeconfig: Option<&Path>, binary: &Path) -> anyhow::Result<Self> {
        let cluster = match kubeconfig {
            Some(_) => None,
            None => {
                say(
                    "Starting a Kubernetes control plane (etcd, API server, controllers) in a temporary folder …",
                );
                Some(ControlPlane::start(Options::new()).await?)
            }
        };
        let kubeconfig = match (&cluster, kubeconfig) {
            (Some(cluster), _) => cluster.kubeconfig("admin")?,
            (None, Some(path)) => path.to_owned(),
            (None, None) => bail!("there is no cluster"),
        };
        let folder = tempfile::tempdir()?;
        let metrics = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut stage = Self {
            cluster,
            kubeconfig,
            folder,
            binary: binary.to_owned(),
            operator: Command::new("true").spawn()?,
            metrics,
        };
        stage.install().await?;
        Ok(stage)
    }

    async fn install(&mut self) -> anyhow::Result<()> {
        if self.cluster.is_none() {
            self.refuse_what_is_used().await?;
        }
        say(
            "Installing the CustomResourceDefinitions, the operator's ServiceAccount and its permissions:",
        );
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
        echo("kubectl apply -f deploy/install.yaml");
        let applied = self.kubectl(&["apply", "-f", manifest]).await?;
        println!("  {} objects applied", applied.lines().count());
        // The operator runs beside the cluster, since nothing here runs containers; as the ServiceAccount that a Pod would have.
        self.kubectl(&[
            "-n",
            OPERATOR_NAMESPACE,
            "scale",
            "deployment/certwright",
            "--replicas=0",
        ])
        .await?;
        let token = self
            .kubectl(&[
                "-n",
                OPERATOR_NAMESPACE,
                "create",
                "token",
                "certwright",
                "--duration=24h",
            ])
            .await?;
        let minified = self
            .kubectl(&[
                "config",
                "view",
                "--raw",
                "--minify",
                "--flatten",
                "-o",
                "json",
            ])
            .await?;
        let mut config: Value = serde_json::from_str(&minified)?;
        config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
        let path = self.folder.path().join("operator.kubeconfig");
        std::fs::write(&path, config.to_string())?;
        say("Starting the operator under exactly those permissions.");
        let log = std::fs::File::create(self.log())?;
        self.operator = Command::new(&self.binary)
            .args(["run", "--listen", &self.metrics.to_string()])
            .env("KUBECONFIG", &path)
            .env("POD_NAMESPACE", OPERATOR_NAMESPACE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", self.binary.display()))?;
        let ready = format!("--server=http://{}", self.metrics);
        let began = Instant::now();
        while self
            .kubectl_output(&["get", "--raw", "/readyz", &ready])
            .await?
            .status
            .code()
            != Some(0)
        {
            ensure!(
                began.elapsed() < PATIENCE,
                "the operator was not ready in time"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.kubectl(&["create", "namespace", NAMESPACE]).await?;
        Ok(())
    }

    /// In a cluster of the user's, what is there already is not the demo's to change, or to take away at the end.
    async fn refuse_what_is_used(&self) -> anyhow::Result<()> {
        for object in [
            "crd/certificates.certwright.dev",
            "namespace/certwright",
            "namespace/certwright-demo",
        ] {
            let found = self
                .kubectl(&["get", object, "--ignore-not-found", "-o", "name"])
                .await?;
            ensure!(
                found.trim().is_empty(),
                "{object} is in your cluster already; the demo needs one without Certwright"
            );
        }
        Ok(())
    }

    /// Runs kubectl in the demo's namespace, shown as a user would type it, and shows what came back.
    pub(crate) async fn show(&self, arguments: &[&str]) -> anyhow::Result<String> {
        echo(&format!("kubectl {}", arguments.join(" ")));
        let answer = self.here(arguments).await?;
        quote(&answer);
        Ok(answer)
    }

    /// Runs kubectl in the demo's namespace.
    pub(crate) async fn here(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl(&[&["-n", NAMESPACE], arguments].concat())
            .await
    }

    /// Applies one of the demo's manifests.
    pub(crate) async fn apply(&self, file: &str) -> anyhow::Result<()> {
        echo(&format!("kubectl apply -f examples/demo/{file}"));
        quote(&self.here(&["apply", "-f", &manifest(file)]).await?);
        Ok(())
    }

    /// Applies a manifest that must be refused, and gives the words.
    pub(crate) async fn apply_refused(&self, file: &str) -> anyhow::Result<String> {
        echo(&format!("kubectl apply -f examples/demo/{file}"));
        let output = self
            .kubectl_output(&["-n", NAMESPACE, "apply", "-f", &manifest(file)])
            .await?;
        ensure!(!output.status.success(), "{file} was accepted");
        let words = String::from_utf8(output.stderr)?;
        quote(&words);
        Ok(words)
    }

    /// An object of the demo's namespace.
    pub(crate) async fn object(&self, name: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.here(&["get", name, "-o", "json"]).await?,
        )?)
    }

    /// Waits until `seen` finds what it looks for in an object.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        name: &str,
        seen: impl Fn(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            let object = self.object(name).await;
            if let Some(found) = object.as_ref().ok().and_then(&seen) {
                return Ok(found);
            }
            if began.elapsed() > PATIENCE {
                let last = object.map_or_else(
                    |problem| problem.to_string(),
                    |object| object["status"].to_string(),
                );
                bail!(
                    "{what} was not seen within {} s; {name} says: {last}",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Runs `certwright inspect`, and shows what it says.
    pub(crate) async fn inspect(&self, secret: &str) -> anyhow::Result<String> {
        echo(&format!("certwright inspect secret/{secret}"));
        let output = Command::new(&self.binary)
            .args(["inspect", &format!("secret/{secret}"), "-n", NAMESPACE])
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .await?;
        let text = text(output, "certwright inspect")?;
        quote(&text);
        Ok(text)
    }

    /// Stays up until Ctrl-C, and says how to look around.
    pub(crate) async fn stay(&self) {
        println!("\nAll of it stays up until Ctrl-C. To look around, in another terminal:\n");
        println!("  export KUBECONFIG={}", self.kubeconfig.display());
        println!("  kubectl -n {NAMESPACE} get certificates,issuers,secrets,deployments");
        println!("  curl http://{}/metrics", self.metrics);
        println!(
            "  {} inspect secret/web-tls -n {NAMESPACE}",
            self.binary.display()
        );
        // An error here means that there is no such signal to wait for; then there is no reason to stay either.
        let _ = tokio::signal::ctrl_c().await;
    }

    /// Shows the end of the operator's log.
    pub(crate) fn show_log(&self) {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("\nThe end of the operator's log:");
        for line in &lines[lines.len().saturating_sub(20)..] {
            eprintln!("  {line}");
        }
    }

    /// Ends everything; in a cluster of the user's, what was made there is taken away.
    pub(crate) async fn clear(mut self) -> anyhow::Result<()> {
        self.operator.start_kill().ok();
        self.operator.wait().await.ok();
        if self.cluster.is_none() {
            say("Taking away what was made in your cluster …");
            self.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found"])
                .await?;
            let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
            self.kubectl(&["delete", "-f", manifest, "--ignore-not-found"])
                .await?;
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("operator.log")
    }

    async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.kubectl_output(arguments).await?;
        text(output, &format!("kubectl {}", arguments.join(" ")))
    }

    async fn kubectl_output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut kubectl = match &self.cluster {
            Some(cluster) => cluster.kubectl()?,
            None => Command::new("kubectl"),
        };
        kubectl
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::null());
        kubectl.output().await.context("failed to run kubectl")
    }
}

fn manifest(file: &str) -> String {
    format!("{}/examples/demo/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn text(output: Output, command: &str) -> anyhow::Result<String> {
    ensure!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Tells something.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

fn echo(command: &str) {
    println!("\n  $ {command}");
}

fn quote(text: &str) {
    for line in text.lines() {
        println!("  {line}");
    }
}
