//! Images made of a few files, without a registry.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aws_lc_rs::digest;
use serde_json::json;

/// An image of one layer, written the way `docker save` does.
///
/// ```no_run
/// use certwright_test_cluster::Image;
///
/// let image = Image::new("certwright.test/page:1", ["/server"]).file("/server", "target/server");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Image {
    name: String,
    command: Vec<String>,
    files: Vec<(String, PathBuf)>,
    links: Vec<(String, String)>,
    stop_signal: Option<String>,
}

impl Image {
    /// Starts with no files. `name` has a tag; `command` is what a container runs that names none.
    pub fn new<'c>(name: &str, command: impl IntoIterator<Item = &'c str>) -> Self {
        Self {
            name: name.to_owned(),
            command: command.into_iter().map(str::to_owned).collect(),
            files: Vec::new(),
            links: Vec::new(),
            stop_signal: None,
        }
    }

    /// Ends containers with this signal instead of `SIGTERM`.
    pub fn stop_signal(mut self, signal: &str) -> Self {
        self.stop_signal = Some(signal.to_owned());
        self
    }

    /// Adds a file of this machine, executable and readable for everyone.
    pub fn file(mut self, inside: &str, outside: impl Into<PathBuf>) -> Self {
        self.files.push((inside.to_owned(), outside.into()));
        self
    }

    /// Adds a symbolic link.
    pub fn link(mut self, inside: &str, target: &str) -> Self {
        self.links.push((inside.to_owned(), target.to_owned()));
        self
    }

    /// What Pods name it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes `image.tar` into a folder.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let layer = self.layer()?;
        let digest = digest::digest(&digest::SHA256, &layer);
        let digest: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.command,
                "Env": ["PATH=/bin"],
                "StopSignal": self.stop_signal.as_deref().unwrap_or("SIGTERM"),
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        });
        let manifest = json!([{
            "Config": "config.json",
            "RepoTags": [self.name],
            "Layers": ["layer.tar"],
        }]);
        let path = folder.join("image.tar");
        let file = File::create(&path).context("failed to create an image's archive")?;
        let mut archive = tar::Builder::new(file);
        for (name, content) in [
            ("manifest.json", manifest.to_string().into_bytes()),
            ("config.json", config.to_string().into_bytes()),
            ("layer.tar", layer),
        ] {
            let mut header = header(tar::EntryType::Regular, content.len(), 0o644);
            archive
                .append_data(&mut header, name, content.as_slice())
                .context("failed to write an image's archive")?;
        }
        archive
            .into_inner()
            .and_then(|mut file| file.flush())
            .context("failed to write an image's archive")?;
        Ok(path)
    }

    fn layer(&self) -> anyhow::Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        for (inside, outside) in &self.files {
            let content = fs::read(outside)
                .with_context(|| format!("failed to read {}", outside.display()))?;
            let mut header = header(tar::EntryType::Regular, content.len(), 0o755);
            layer
                .append_data(&mut header, relative(inside), content.as_slice())
                .with_context(|| format!("failed to add {inside} to an image"))?;
        }
        for (inside, target) in &self.links {
            let mut header = header(tar::EntryType::Symlink, 0, 0o777);
            layer
                .append_link(&mut header, relative(inside), target)
                .with_context(|| format!("failed to add {inside} to an image"))?;
        }
        layer
            .into_inner()
            .context("failed to finish an image's layer")
    }
}

fn header(kind: tar::EntryType, size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(mode);
    header
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// As OCI names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
