//! What the operator asked of the API server, by the API server's own audit log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use anyhow::Context;
use certwright_test_cluster::{AuditEvent, ControlPlane};
use jiff::Timestamp;

use super::operator;

/// The audit log from some moment on.
pub(crate) struct Log {
    lines: BufReader<File>,
    /// A line whose end was not written yet.
    begun: String,
}

impl Log {
    /// Follows it from where it ends now.
    pub(crate) fn follow(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let mut file = File::open(cluster.audit_log()?).context("failed to open the audit log")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            lines: BufReader::new(file),
            begun: String::new(),
        })
    }

    /// What the operator was answered since the last time, without the Lease.
    pub(crate) fn calls(&mut self) -> anyhow::Result<Vec<AuditEvent>> {
        let mut calls = Vec::new();
        while self.lines.read_line(&mut self.begun)? > 0 {
            if !self.begun.ends_with('\n') {
                break;
            }
            let line = std::mem::take(&mut self.begun);
            // Most lines are of others, and reading them whole would cost more than what is measured.
            if !line.contains(operator::USER) {
                continue;
            }
            let event: AuditEvent = serde_json::from_str(&line).context("failed to read a line")?;
            if event.user.username == operator::USER && !event.is_about("leases") {
                calls.push(event);
            }
        }
        Ok(calls)
    }

    /// The writes among them that the API server took.
    pub(crate) fn writes(&mut self) -> anyhow::Result<Vec<AuditEvent>> {
        let mut calls = self.calls()?;
        calls.retain(|call| call.is_write() && call.code() < 300);
        Ok(calls)
    }
}

/// Whether a write is one of a Certificate's status, and of which.
pub(crate) fn status_of(write: &AuditEvent) -> Option<&str> {
    let object = write.object_ref.as_ref()?;
    (object.resource == "certificates" && object.subresource == "status")
        .then_some(object.name.as_str())
}

/// When the API server was done with a call.
pub(crate) fn answered_at(call: &AuditEvent) -> anyhow::Result<Timestamp> {
    Ok(call.stage_timestamp.parse()?)
}
