//! Child processes that do not outlive us, on whatever thread or runtime they were started.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs::{self, File},
    io,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};

/// A program that runs until this value is dropped or our process ends, whichever way it ends.
///
/// The program runs under a small shell whose standard input is a pipe that we hold. When the pipe closes, the shell kills the program.
/// The kernel closes it for us even on SIGKILL; a parent-death signal would not do, as it follows the thread
/// that started the child, and test threads end.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    shell: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments`; its output is appended to `log`.
    pub fn start(
        name: &'static str,
        program: &Path,
        arguments: &[OsString],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("failed to open {}", log.display()))?;
        let errors = output.try_clone().context("failed to share a log file")?;
        let shell = shell(RUN)
            .arg(program)
            .args(arguments)
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        Ok(Self { name, shell, log })
    }

    /// What it was started as.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Says how the program ended, if it did, with the end of its log.
    pub fn failure(&mut self) -> Option<String> {
        match self.shell.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("{} ended ({status}){}", self.name, self.log_tail())),
            Err(error) => Some(format!("lost sight of {}: {error}", self.name)),
        }
    }

    /// The last lines of the log, to show to someone whose start failed.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let mut tail = format!("; the end of {}:", self.log.display());
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_TAIL)) {
            // Writing to a String can't fail.
            let _ = write!(tail, "\n    {line}");
        }
        tail
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A folder that is removed when this value is dropped or our process ends, whichever way it ends.
///
/// Its guard holds a lock on a file in it, so that a folder whose guard was killed as well can be told from one in use.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    guard: Child,
}

impl Folder {
    pub(crate) fn create() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .context("failed to make a temporary folder")?;
        let lock = locked(folder.path()).context("failed to lock a temporary folder")?;
        let guard = shell(REMOVE)
            .arg(folder.path())
            // The lock is held for as long as the file is open anywhere.
            .stdout(lock)
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start the temporary folder's guard")?;
        Ok(Self {
            path: folder.keep(),
            guard,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folders of our user that nobody guards, with what still runs in their cgroups.
    pub(crate) fn remove_abandoned() -> anyhow::Result<()> {
        let folders = std::env::temp_dir();
        let entries = fs::read_dir(&folders)
            .with_context(|| format!("failed to list {}", folders.display()))?;
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if is_abandoned(&path) {
                let outcome = shell(REMOVE)
                    .arg(&path)
                    .stdin(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .context("failed to start a shell")?;
                ensure!(
                    outcome.success() && !path.exists(),
                    "failed to remove {}, which a killed test cluster left",
                    path.display()
                );
            }
        }
        Ok(())
    }
}

fn is_abandoned(path: &Path) -> bool {
    let ours = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
        && fs::symlink_metadata(path).is_ok_and(|found| {
            // Anyone may make folders there; only root and we may have made one of ours.
            found.is_dir() && fs::metadata("/proc/self").is_ok_and(|we| we.uid() == found.uid())
        });
    ours && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// A locked file that has its name only once it is locked.
fn locked(folder: &Path) -> io::Result<File> {
    let (new, path) = (folder.join("lock.new"), folder.join(LOCK));
    let file = File::create(&new)?;
    file.lock()?;
    fs::rename(new, path)?;
    Ok(file)
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Whether the end of a log blames a port that someone else took.
pub(crate) fn blames_port(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

/// Makes a file that only we may read. One that is there already is replaced at once, so that whoever reads it in the
/// meantime, such as a `kubectl` that another test runs, sees a whole file.
pub(crate) fn write_private(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content.as_ref())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A shell in a process group of its own, so that Ctrl-C reaches us alone and we end the rest.
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh"])
        .stdin(Stdio::piped())
        .process_group(0);
    command
}

/// `read` returns when the pipe closes; nothing is ever written to it.
const RUN: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
{ read -r _ <&3; kill -KILL "$program"; } >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait "$program"
status=$?
kill -KILL "$guard" 2>/dev/null
exit "$status"
"#;

/// Tried for a while: the programs killed at the same moment may still be writing.
///
/// A node has written down its cgroups. Whatever runs in them is ours, whoever its parent has become.
const REMOVE: &str = r#"
end_node() {
    left=false
    while read -r own _; do
        case $own in /sys/fs/cgroup/*/"${1##*/}") ;; *) continue ;; esac
        [ -d "$own" ] || continue
        kill -KILL $(find "$own" -name cgroup.procs -exec cat {} +)
        find "$own" -depth -type d -exec rmdir {} ';'
        [ ! -d "$own" ] || left=true
    done <"$1/cgroups"
    ! $left
}

read -r _
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ ! -f "$1/cgroups" ] || end_node "$1" 2>/dev/null || { sleep 0.1; continue; }
    rm -rf "$1" && exit
    sleep 0.1
done
exit 1
"#;

const PREFIX: &str = "certwright-cluster-";
const LOCK: &str = "lock";

const LOG_TAIL: usize = 25;
