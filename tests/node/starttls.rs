//! Servers that lead to TLS by a protocol of their own, as Debian has them.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use certwright_test_cluster::{free_ports, unpacked};
use rcgen::{CertificateParams, KeyPair};
use tokio::process::{Child, Command};

use crate::harness::eventually;

/// Has a package that is only unpacked lie over this machine's files, for this process and its children. What a server writes
/// goes into memory, and with it.
const UNPACKED: &str = r#"
mount -t tmpfs tmpfs /mnt
for folder in usr etc var; do
    mkdir -p "/mnt/$folder/upper" "/mnt/$folder/work"
    lower=/$folder
    if [ -d "$ROOT/$folder" ]; then lower=$ROOT/$folder:/$folder; fi
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=/mnt/$folder/upper,workdir=/mnt/$folder/work" "/$folder"
done
cp "$FOLDER/cert.pem" "$FOLDER/key.pem" /mnt/
chmod 644 /mnt/key.pem
"#;

const EXIM: &str = r#"
useradd -r Debian-exim
mkdir /mnt/spool
chown Debian-exim /mnt/spool
cat > /etc/exim.conf <<END
primary_hostname = localhost
spool_directory = /mnt/spool
log_file_path = /mnt/spool/%slog
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = /mnt/cert.pem
tls_privatekey = /mnt/key.pem
END
exec exim4 -C /etc/exim.conf -bdf -oX "$PORT"
"#;

const DOVECOT: &str = r#"
useradd -r dovenull
useradd -r dovecot
mkdir /mnt/run
cat > /etc/dovecot.conf <<END
protocols = imap
listen = 127.0.0.1
base_dir = /mnt/run
log_path = /dev/stderr
ssl = required
ssl_cert = </mnt/cert.pem
ssl_key = </mnt/key.pem
passdb {
  driver = static
  args = password=x
}
service imap-login {
  inet_listener imap {
    port = $PORT
  }
  inet_listener imaps {
    port = 0
  }
}
END
exec dovecot -F -c /etc/dovecot.conf
"#;

const POSTGRES: &str = r#"
chown nobody /mnt/key.pem
chmod 600 /mnt/key.pem
mkdir /mnt/data
chown nobody /mnt/data
cd /mnt/data
programs=$(echo /usr/lib/postgresql/*/bin)
as_nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
$as_nobody "$programs/initdb" --pgdata=/mnt/data/all --auth=trust
exec $as_nobody "$programs/postgres" -D /mnt/data/all -p "$PORT" -k /mnt/data -c listen_addresses=127.0.0.1 \
    -c ssl=on -c ssl_cert_file=/mnt/cert.pem -c ssl_key_file=/mnt/key.pem
"#;

const MARIADB: &str = r#"
mkdir /mnt/data
exec mariadbd --no-defaults --user=root --datadir=/mnt/data --skip-grant-tables --skip-networking=0 \
    --bind-address=127.0.0.1 --port="$PORT" --socket=/mnt/data/socket --ssl-cert=/mnt/cert.pem --ssl-key=/mnt/key.pem
"#;

const OPENLDAP: &str = r#"
mkdir /mnt/data
cat > /etc/slapd.conf <<END
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile /mnt/cert.pem
TLSCertificateKeyFile /mnt/key.pem
database mdb
suffix "dc=example"
directory /mnt/data
END
exec slapd -f /etc/slapd.conf -h "ldap://127.0.0.1:$PORT" -d 0
"#;

#[tokio::test]
async fn what_real_servers_show_behind_their_protocols_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
    let trusted = folder.path().join("cert.pem");
    fs::write(&trusted, certificate.unwrap().pem()).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let servers = [
        ("smtp", "exim4-daemon-light", EXIM),
        ("imap", "dovecot-core", DOVECOT),
        ("postgres", "postgresql-15", POSTGRES),
        ("mysql", "mariadb-server-core", MARIADB),
        ("ldap", "slapd", OPENLDAP),
    ];
    let ports: [u16; 5] = free_ports().unwrap();
    let mut started = Vec::new();
    for ((_, package, script), port) in servers.iter().zip(ports) {
        started.push(start(package, script, port, folder.path()));
    }
    for ((protocol, package, _), port) in servers.iter().zip(ports) {
        eventually(&format!("{package} shows its certificate"), async || {
            let said = inspected(protocol, port, &trusted).await?;
            let shown = said.contains("trusted      yes, as localhost");
            shown.then_some(()).ok_or(said)
        })
        .await;
        // The same without its protocol is no TLS.
        let plain = inspected("", port, &trusted).await;
        assert!(plain.is_err(), "{package}: {plain:?}");
    }
}

/// A server in namespaces of its own, which end with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The first process of the namespace; all others go with it. One that changes its user doesn't go with its parent.
        let first = self.0.id().and_then(|id| {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            children.split_whitespace().next().map(str::to_owned)
        });
        if let Some(first) = first {
            let kill = format!("kill -KILL {first}");
            let _ = std::process::Command::new("sh")
                .args(["-c", &kill])
                .status();
        }
    }
}

fn start(package: &str, script: &str, port: u16, folder: &Path) -> Running {
    let child = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc"])
        .arg(format!("{UNPACKED}{script}"))
        .env("ROOT", unpacked(package))
        .env("FOLDER", folder)
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    Running(child.unwrap())
}

/// What `certwright inspect` says of a server, or why it can't.
async fn inspected(protocol: &str, port: u16, trusted: &Path) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certwright"));
    command
        .args(["inspect", &format!("127.0.0.1:{port}")])
        .args(["--server-name", "localhost", "--extra-ca-file"])
        .arg(trusted)
        .env_remove("HTTPS_PROXY");
    if !protocol.is_empty() {
        command.args(["--starttls", protocol]);
    }
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}
