//! The operator: the binary that is shipped, under the rights that are shipped.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use certwright_test_cluster::{Process, free_ports};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::kubectl::{Kubectl, until};

/// A running `certwright run`. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Where it answers an ACME CA's questions; anywhere that is free, without.
    answers: SocketAddr,
    process: Option<Process>,
}

impl Operator {
    /// Starts it under a token of its ServiceAccount and waits until it has read everything.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        kubectl: &Kubectl,
        answers: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        write_kubeconfig(kubectl, &kubeconfig(folder)).await?;
        let [port] = free_ports().context("found no free port for metrics")?;
        let mut operator = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            port,
            answers: answers.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            process: None,
        };
        operator.start_again().await?;
        Ok(operator)
    }

    /// Kills it, if it runs, and starts it: it keeps nothing of its own.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = None;
        let set = |name: &str, value: &Path| {
            let mut variable = std::ffi::OsString::from(name);
            variable.push("=");
            variable.push(value);
            variable
        };
        self.process = Some(Process::start(
            "certwright",
            // Settings of whoever runs the demo are not the demo's.
            Path::new("/usr/bin/env"),
            &[
                "-i".into(),
                set("KUBECONFIG", &kubeconfig(&self.folder)),
                set("POD_NAMESPACE", Path::new("certwright")),
                self.program.clone().into(),
                "run".into(),
                format!("--listen=127.0.0.1:{}", self.port).into(),
                format!("--http01-listen={}", self.answers).into(),
                // An ACME CA there may be asked, which is otherwise for public addresses only.
                "--private-networks=127.0.0.0/8".into(),
                // A certificate is renewed by hand once in five minutes at most otherwise.
                "--renew-throttle=1s".into(),
                // Nobody answers there: what the world's DNS says of www.example.com is not the demo's.
                "--resolvers=127.0.0.1:9".into(),
            ],
            self.log_file(),
        )?);
        let readyz = format!("{}/readyz", self.url());
        until(&format!("{readyz} answers 200"), async || {
            Ok(self.get("/readyz").await.filter(|answer| {
                answer
                    .split_whitespace()
                    .nth(1)
                    .is_some_and(|status| status == "200")
            }))
        })
        .await
        .map_err(|error| error.context(self.log()))?;
        Ok(())
    }

    /// Where it serves health and metrics.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its log is.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("certwright.log")
    }

    /// The lines of a metric.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let answer = self
            .get("/metrics")
            .await
            .context("the operator serves no metrics")?;
        Ok(answer
            .lines()
            .filter(|line| line.starts_with(name))
            .map(str::to_owned)
            .collect())
    }

    /// How it ended, if it did.
    pub(crate) fn failure(&mut self) -> Option<String> {
        self.process.as_mut().and_then(Process::failure)
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map_or_else(
            || "The operator doesn't run".to_owned(),
            |process| format!("The operator's log{}", process.log_tail()),
        )
    }

    /// An HTTP answer as it comes, if one comes.
    async fn get(&self, path: &str) -> Option<String> {
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        timeout(Duration::from_secs(5), ask).await.ok()?.ok()
    }
}

fn kubeconfig(folder: &Path) -> PathBuf {
    folder.join("certwright.kubeconfig")
}

/// The cluster of `kubectl`, and a token of the ServiceAccount in place of the user.
async fn write_kubeconfig(kubectl: &Kubectl, path: &Path) -> anyhow::Result<()> {
    let token = kubectl
        .run("create token certwright -n certwright --duration=24h", None)
        .await?;
    let mut config: Value = kubectl.json("config view --raw --minify --flatten").await?;
    for user in config["users"].as_array_mut().into_iter().flatten() {
        user["user"] = json!({ "token": token.trim() });
    }
    for context in config["contexts"].as_array_mut().into_iter().flatten() {
        if let Some(context) = context["context"].as_object_mut() {
            context.remove("namespace");
        }
    }
    write_private(path, &config.to_string())
}

/// Writes a file that only we may read.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}
