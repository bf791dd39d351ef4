//! The operator as a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use certwright::clock::{Clock, SystemClock};
use certwright_test_cluster::ControlPlane;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Who the operator is to the API server: the chart's ServiceAccount.
pub(crate) const USER: &str = "system:serviceaccount:certwright:certwright";

/// The operator's program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_certwright");

pub(crate) struct Operator {
    child: Child,
    /// When it was started.
    pub(crate) began: Timestamp,
    /// How long it took until it was ready.
    pub(crate) started_in: Duration,
}

pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
}

impl Operator {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let mut command = Command::new(PROGRAM);
        command.arg("run");
        Self::start_as(command, cluster).await
    }

    /// The same, by a command that it takes the place of.
    pub(crate) async fn start_as(
        mut command: Command,
        cluster: &ControlPlane,
    ) -> anyhow::Result<Self> {
        let kubeconfig = cluster
            .service_account_kubeconfig("certwright", "certwright")
            .await?;
        let address: SocketAddr = {
            let free = std::net::TcpListener::bind("127.0.0.1:0")?;
            free.local_addr()?
        };
        let log = std::fs::File::create(cluster.folder().join("operator.log"))?;
        let (began, start) = (SystemClock.now(), Instant::now());
        let child = command
            .args(["--leader-election", "--log", "warn"])
            .args(["--listen", &address.to_string()])
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAMESPACE", "certwright")
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the operator")?;
        let mut operator = Self {
            child,
            began,
            started_in: Duration::ZERO,
        };
        while !ready(address).await {
            if start.elapsed() > Duration::from_secs(60) {
                bail!("the operator was not ready within a minute; see operator.log");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        operator.started_in = start.elapsed();
        Ok(operator)
    }

    /// CPU time and peak memory so far, from the kernel's accounts.
    pub(crate) fn used(&self) -> anyhow::Result<Used> {
        let id = self.child.id().context("the operator has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name in parentheses may hold anything; fields 14 and 15 are ticks of user and system time.
        let (_, rest) = stat
            .rsplit_once(')')
            .context("/proc/ID/stat has another form")?;
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .context("no VmHWM")?;
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
        Ok(Used {
            cpu: Duration::from_millis(ticks * 10),
            peak_bytes: kibibytes * 1024,
        })
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("the operator has ended")?;
        Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status()
            .await?;
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        Ok(())
    }
}

async fn ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}
