//! BIND, which answers for zones of its own on port 53 of an address that only this machine has.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use certwright_test_cluster::{OwnAddresses, Process};
use tempfile::TempDir;

use crate::pebble::{reachable, start};

/// A server of zones that runs until this is dropped. It asks nobody else.
pub(crate) struct Named {
    _process: [Process; 1],
    folder: TempDir,
    addresses: OwnAddresses,
}

/// A zone of a server.
pub(crate) struct Zone<'a> {
    pub(crate) name: &'a str,
    /// At which address its server is said to be; the real one, if `None`.
    pub(crate) server: Option<Ipv4Addr>,
    /// What else is in it; `None` for a zone that can't be loaded, for which SERVFAIL is answered.
    pub(crate) records: Option<&'a str>,
}

impl<'a> Zone<'a> {
    pub(crate) fn new(name: &'a str, records: &'a str) -> Self {
        Self {
            name,
            server: None,
            records: Some(records),
        }
    }
}

impl Named {
    pub(crate) async fn start(zones: &[Zone<'_>]) -> Self {
        let addresses = OwnAddresses::take().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let mut config = format!(
            "options {{ directory \"{path}\"; pid-file \"{path}/named.pid\"; session-keyfile none; lock-file none; \
             listen-on port 53 {{ {}; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; }};\n\
             controls {{ }};\n",
            addresses.ipv4()
        );
        for Zone { name, records, .. } in zones {
            let written = writeln!(
                config,
                "zone \"{name}\" {{ type primary; file \"{path}/{name}.zone\"; }};"
            );
            written.unwrap();
            if records.is_none() {
                std::fs::write(folder.path().join(format!("{name}.zone")), "broken").unwrap();
            }
        }
        let file = folder.path().join("named.conf");
        std::fs::write(&file, config).unwrap();
        let log = folder.path().join("named.log");
        let address = SocketAddr::from((addresses.ipv4(), 53));
        for zone in zones {
            if zone.records.is_some() {
                write(folder.path(), addresses.ipv4(), zone, 1);
            }
        }
        // In front, and its log to where the output goes.
        let arguments = ["-g", "-n", "1", "-c", file.to_str().unwrap()];
        let mut process = [start("named", Path::new("named"), &[], &arguments, log)];
        reachable(address, &mut process).await;
        Self {
            _process: process,
            folder,
            addresses,
        }
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((self.addresses.ipv4(), 53))
    }

    /// Writes a zone anew, and has it read.
    pub(crate) async fn changes(&self, zone: &Zone<'_>, serial: u32) {
        write(self.folder.path(), self.addresses.ipv4(), zone, serial);
        let process = std::fs::read_to_string(self.folder.path().join("named.pid")).unwrap();
        let told = tokio::process::Command::new("sh")
            .args(["-c", "kill -HUP \"$0\"", process.trim()])
            .status()
            .await;
        assert!(told.unwrap().success());
    }
}

fn write(folder: &Path, address: Ipv4Addr, zone: &Zone<'_>, serial: u32) {
    let server = zone.server.unwrap_or(address);
    let text = format!(
        "$TTL 1\n@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS ns\nns A {server}\n{}\n",
        zone.records.unwrap()
    );
    std::fs::write(folder.join(format!("{}.zone", zone.name)), text).unwrap();
}
