//! The commands of the story: really run, as they are shown.

use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt as _,
    process::Command,
    time::{sleep, timeout},
};

use crate::voice;

/// A file of the demo, as it was when the demo was built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manifest {
    /// Where a reader finds it.
    pub(crate) path: &'static str,
    /// What is in it.
    pub(crate) text: &'static str,
}

/// What to give a command on its standard input, for a file that the shown command names.
type Input<'i> = Option<&'i str>;

/// `kubectl` for one cluster, whatever the user's own configuration says.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// Keeps what it caches in `folder`.
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, folder: &Path) -> Self {
        Self {
            program,
            kubeconfig,
            cache: folder.join("kubectl-cache"),
        }
    }

    /// The file that says where the cluster is.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Shows a command, runs it, and shows what came back.
    pub(crate) async fn show(&self, words: &str) -> anyhow::Result<String> {
        voice::command(&format!("kubectl {words}"));
        let output = self.run(words, None).await?;
        voice::answer(&output);
        Ok(output)
    }

    /// Shows how a manifest is applied to the demo's namespace, and does it.
    pub(crate) async fn show_apply(&self, manifest: Manifest) -> anyhow::Result<String> {
        let (shown, run) = apply(manifest);
        voice::command(&shown);
        let output = self.run(&run, Some(manifest.text)).await?;
        voice::answer(&output);
        Ok(output)
    }

    /// The same for a manifest with variables, which a shell would fill in by `envsubst`.
    pub(crate) async fn show_apply_filled(
        &self,
        manifest: Manifest,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let mut text = manifest.text.to_owned();
        // A name may begin with another.
        let mut longest_first = variables.to_vec();
        longest_first.sort_by_key(|(name, _)| Reverse(name.len()));
        for (name, value) in longest_first {
            text = text.replace(&format!("${name}"), value);
        }
        for (name, value) in variables {
            // Certificates are long, and nobody reads them in base64.
            let shown: String = value.chars().take(SHOWN).collect();
            let more = if shown == **value { "" } else { "…" };
            voice::command(&format!("export {name}={shown}{more}"));
        }
        voice::command(&format!(
            "envsubst < {} | kubectl apply -n certwright-demo -f -",
            manifest.path
        ));
        let output = self
            .run("apply -n certwright-demo -f -", Some(&text))
            .await?;
        voice::answer(&output);
        Ok(output)
    }

    /// Shows how a manifest is applied that must be refused, and does it; returns the words of the refusal.
    pub(crate) async fn show_refusal(&self, manifest: Manifest) -> anyhow::Result<String> {
        let (shown, run) = apply(manifest);
        voice::command(&shown);
        let output = finish(self.command(&run), Some(manifest.text)).await?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        voice::answer(&words);
        ensure!(
            !output.status.success(),
            "{} was accepted: {}",
            manifest.path,
            String::from_utf8_lossy(&output.stdout)
        );
        Ok(words)
    }

    /// Runs a command that must succeed, without a word.
    pub(crate) async fn run(&self, words: &str, input: Input<'_>) -> anyhow::Result<String> {
        succeed(self.command(words), input)
            .await
            .with_context(|| format!("kubectl {words} failed"))
    }

    /// Reads objects.
    pub(crate) async fn json(&self, words: &str) -> anyhow::Result<Value> {
        let output = self.run(&format!("{words} -o json"), None).await?;
        serde_json::from_str(&output)
            .with_context(|| format!("kubectl {words} answered without JSON"))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words.split_whitespace().map(|word| word.replace(QUOTE, "")))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", &self.cache)
            .env("KUBERC", "off");
        command
    }
}

fn apply(manifest: Manifest) -> (String, String) {
    (
        format!("kubectl apply -n certwright-demo -f {}", manifest.path),
        "apply -n certwright-demo -f -".to_owned(),
    )
}

/// Runs a command and returns its output; a failure shows what it said.
pub(crate) async fn succeed(command: Command, input: Input<'_>) -> anyhow::Result<String> {
    let output = finish(command, input).await?;
    if !output.status.success() {
        bail!(
            "{}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    String::from_utf8(output.stdout).context("it printed invalid UTF-8")
}

async fn finish(mut command: Command, input: Input<'_>) -> anyhow::Result<Output> {
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("it could not be started")?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that ended early says why by its exit code.
        let _ = pipe.write_all(text.as_bytes()).await;
    }
    timeout(COMMAND, child.wait_with_output())
        .await
        .with_context(|| format!("it did not end within {COMMAND:?}"))?
        .context("it was lost")
}

/// Looks again and again until something is there to return.
///
/// # Errors
/// When that takes more than a minute, or looking fails.
pub(crate) async fn until<T>(
    what: &str,
    look: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "waited for {PATIENCE:?}, and in vain: {what}"
        );
        sleep(POLL).await;
    }
}

/// Shown, so that a shell takes the command; no word of the demo has a space or a quote in it.
const QUOTE: char = '\'';
/// How much of a variable is shown.
const SHOWN: usize = 40;
const COMMAND: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(300);
