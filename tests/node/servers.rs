//! Servers of others, as their users run them: two replicas each, whose Pods go only when nobody is sent to them any more.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use certwright_test_cluster::{Binaries, Image, Program as Fetched, unpacked};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::installed::Installed;

/// Where all of them listen.
const PORT: u16 = 8443;
/// Where Traefik answers without TLS.
const PLAIN: u16 = 8080;

const NGINX: &str = r#"
daemon off;
pid /tmp/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server {
        listen 8443 ssl;MORE
        ssl_certificate /served/tls.crt;
        ssl_certificate_key /served/tls.key;
        location / { return 200 "nginx\n"; }
    }
}
"#;

/// What nginx says more for clients that know RSA only, as appliances do: with another key no handshake comes to its end.
const RSA_ONLY: &str = "
        ssl_protocols TLSv1.2;
        ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384;";

/// Traefik reads its files again when anything changes in their folder.
const TRAEFIK: &str = r#"
http:
  routers:
    all: {rule: "PathPrefix(`/`)", entryPoints: [websecure], service: ping@internal, tls: {}}
    plain: {rule: "PathPrefix(`/`)", entryPoints: [web], service: ping@internal}
tls:
  certificates: [{certFile: /served/tls.crt, keyFile: /served/tls.key}]
"#;

/// HAProxy starts a new worker, which takes the connections over, at a signal to its first process. It looks for the key
/// beside the certificate.
const HAPROXY: &str = "
global
    stats socket /tmp/haproxy.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend web
    bind :8443 ssl crt /served/tls.crt
    http-request return status 200 content-type text/plain string haproxy
";

/// What the sidecar runs when it is called.
const RELOAD: &str = "#!/bin/sh
read pid < /tmp/haproxy.pid
if kill -USR2 \"$pid\"; then status='200 OK'; else status='500 Internal Server Error'; fi
printf 'Status: %s\\r\\nContent-Type: text/plain\\r\\n\\r\\n' \"$status\"
";

/// A server: a workload behind a Service, both of its name, with the Secret `NAME-tls`.
pub(crate) struct Deployed<'o> {
    operator: &'o Installed<'o>,
    namespace: String,
    kind: &'static str,
    pub(crate) name: &'static str,
    /// Of the Service.
    pub(crate) address: SocketAddr,
}

/// What a server runs, and how it is told what to do.
pub(crate) struct Software {
    image: Image,
    arguments: Vec<String>,
    /// The name of its configuration file, and what is in it.
    configuration: (&'static str, String),
    /// What the workload says of its rollout.
    annotations: Value,
    /// Whose Secret it reads, if that isn't called like the workload.
    certificate: Option<&'static str>,
    /// Beside it in each Pod, if there is one.
    sidecar: Option<Value>,
    /// Whether its Pods are replaced for a new certificate.
    pub(crate) rolls: bool,
}

impl Software {
    /// nginx, which reads its certificate when it starts.
    pub(crate) fn nginx() -> Self {
        Self {
            // At this signal only, it lets the connections that it has come to their ends.
            image: debian("nginx").stop_signal("SIGQUIT"),
            arguments: arguments(&["-c", "/served/nginx.conf"]),
            configuration: ("nginx.conf", NGINX.replace("MORE", "")),
            annotations: json!({}),
            certificate: None,
            sidecar: None,
            rolls: true,
        }
    }

    /// nginx that can't do with a key other than RSA.
    pub(crate) fn nginx_for_rsa() -> Self {
        Self {
            configuration: ("nginx.conf", NGINX.replace("MORE", RSA_ONLY)),
            ..Self::nginx()
        }
    }

    /// nginx that is said to read its files again, and doesn't until somebody tells it to.
    pub(crate) fn nginx_by_hand() -> Self {
        Self {
            annotations: json!({ "certwright.dev/rollout": "Reload" }),
            rolls: false,
            ..Self::nginx()
        }
    }

    /// nginx as an image of another name.
    pub(crate) fn nginx_as(image: &str) -> Self {
        Self {
            image: debian_as("nginx", image).stop_signal("SIGQUIT"),
            ..Self::nginx()
        }
    }

    /// nginx with the Secret of this Certificate, in the wave after that of others.
    pub(crate) fn nginx_later(certificate: &'static str) -> Self {
        Self {
            annotations: json!({ "certwright.dev/rollout-wave": "1" }),
            certificate: Some(certificate),
            ..Self::nginx()
        }
    }

    /// Its image.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Traefik with its file provider, which reads its certificate again by itself.
    pub(crate) fn traefik() -> Self {
        let program = Binaries::locate().unwrap().path(Fetched::Traefik).unwrap();
        Self {
            image: Image::new("certwright.test/traefik:1", ["/traefik"]).file("/traefik", program),
            arguments: arguments(&[
                "--global.checknewversion=false",
                "--global.sendanonymoususage=false",
                "--entrypoints.websecure.address=:8443",
                "--entrypoints.web.address=:8080",
                "--ping=true",
                "--ping.manualrouting=true",
                "--providers.file.directory=/served",
            ]),
            configuration: ("routes.yaml", TRAEFIK.to_owned()),
            annotations: json!({ "certwright.dev/rollout": "Reload" }),
            certificate: None,
            sidecar: None,
            rolls: false,
        }
    }

    /// HAProxy, which reads its certificate again when its sidecar is called.
    pub(crate) fn haproxy(busybox: &str) -> Self {
        let sidecar = json!({
            "name": "reload",
            "image": busybox,
            "command": ["/bin/busybox", "httpd", "-f", "-p", "9000", "-h", "/commands"],
            "ports": [{ "name": "reload", "containerPort": 9000 }],
            "volumeMounts": [
                { "name": "commands", "mountPath": "/commands", "readOnly": true },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        });
        Self {
            image: debian("haproxy").stop_signal("SIGUSR1"),
            arguments: arguments(&["-W", "-p", "/tmp/haproxy.pid", "-f", "/served/haproxy.cfg"]),
            configuration: ("haproxy.cfg", HAPROXY.to_owned()),
            annotations: json!({
                "certwright.dev/rollout": "Call",
                "certwright.dev/rollout-call": "POST :reload/cgi-bin/reload",
            }),
            certificate: None,
            sidecar: Some(sidecar),
            rolls: false,
        }
    }
}

impl Software {
    /// The template of its Pods, which read the Secret `NAME-tls` unless another Certificate is named.
    fn template(&self, name: &str) -> Value {
        let secret = format!("{}-tls", self.certificate.unwrap_or(name));
        let (file, _) = &self.configuration;
        let get = json!({ "path": "/", "port": PORT, "scheme": "HTTPS" });
        let container = json!({
            "name": name,
            "image": self.image.name(),
            "args": self.arguments,
            "ports": [{ "name": "https", "containerPort": PORT }],
            "readinessProbe": { "httpGet": get, "periodSeconds": 1 },
            // By then nobody sends new connections.
            "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
            "volumeMounts": [
                { "name": "served", "mountPath": "/served", "readOnly": true },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        });
        // What a server reads stands in one folder, whose files change all at once.
        let sources = json!([
            { "secret": { "name": secret, "items": [
                { "key": "tls.crt", "path": "tls.crt" },
                { "key": "tls.key", "path": "tls.key" },
                { "key": "tls.key", "path": "tls.crt.key" },
            ] } },
            { "configMap": { "name": name, "items": [{ "key": file, "path": file }] } },
        ]);
        let commands = json!([{ "key": "reload", "path": "cgi-bin/reload", "mode": 0o755 }]);
        let containers: Vec<_> = [Some(container), self.sidecar.clone()]
            .into_iter()
            .flatten()
            .collect();
        json!({
            "metadata": { "labels": { "app": name } },
            "spec": {
                "terminationGracePeriodSeconds": 30,
                "securityContext": { "runAsUser": 1000, "runAsNonRoot": true },
                // A sidecar signals its neighbour.
                "shareProcessNamespace": true,
                "containers": containers,
                "volumes": [
                    { "name": "served", "projected": { "sources": sources } },
                    { "name": "commands", "configMap": { "name": name, "items": commands } },
                    { "name": "tmp", "emptyDir": {} },
                ],
            },
        })
    }
}

fn arguments(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

impl<'o> Deployed<'o> {
    /// Starts it as a Deployment or StatefulSet, and waits until it answers at its Service.
    pub(crate) async fn start(
        operator: &'o Installed<'o>,
        namespace: &str,
        (kind, name): (&'static str, &'static str),
        software: &Software,
    ) -> Self {
        operator.cluster.import(&software.image).await.unwrap();
        let (file, content) = &software.configuration;
        let labels = json!({ "app": name });
        let mut spec = json!({
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "template": software.template(name),
        });
        // A StatefulSet replaces one Pod after the other; a Deployment's new ones can come first.
        match kind {
            "StatefulSet" => spec["serviceName"] = json!(name),
            _ => {
                spec["strategy"] =
                    json!({ "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } })
            }
        }
        let workload = json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": { "name": name, "annotations": software.annotations }, "spec": spec,
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "selector": labels, "ports": [{ "port": 443, "targetPort": PORT }] },
        });
        let config_map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { *file: content, "reload": RELOAD },
        });
        let apply = format!("apply --namespace {namespace} -f -");
        let manifests = format!("{config_map}\n---\n{workload}\n---\n{service}");
        operator.kubectl(&apply, &manifests).await;
        let service = operator.api::<Service>(namespace).get(name).await.unwrap();
        let address = service.spec.unwrap().cluster_ip.unwrap();
        let deployed = Self {
            operator,
            namespace: namespace.to_owned(),
            kind,
            name,
            address: SocketAddr::new(address.parse().unwrap(), 443),
        };
        deployed.has_rolled().await;
        deployed
    }

    /// Has an ingress controller outside lead `NAME.example.com` to its port without TLS, with the Secret `NAME-tls`.
    pub(crate) async fn is_led_to(&self, name: &str, class: &str) {
        let Self { namespace, .. } = self;
        let host = format!("{name}.example.com");
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "selector": { "app": self.name }, "ports": [{ "port": 80, "targetPort": PLAIN }] },
        });
        let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
        let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": name },
            "spec": {
                "ingressClassName": class,
                "tls": [{ "hosts": [host], "secretName": format!("{name}-tls") }],
                "rules": [{ "host": host, "http": { "paths": [path] } }],
            },
        });
        let apply = format!("apply --namespace {namespace} -f -");
        let manifests = format!("{service}\n---\n{ingress}");
        self.operator.kubectl(&apply, &manifests).await;
    }

    /// Waits until all Pods are as the template says, and no others are left.
    pub(crate) async fn has_rolled(&self) {
        let Self {
            kind,
            name,
            namespace,
            ..
        } = self;
        let status = format!("rollout status {kind}/{name} --namespace {namespace} --timeout=3m");
        self.operator.kubectl(&status, "").await;
    }

    /// The number of its newest revision, which each change of its Pods' template counts up.
    pub(crate) async fn revision(&self) -> i64 {
        let Self {
            kind,
            name,
            namespace,
            ..
        } = self;
        let history = format!("rollout history {kind}/{name} --namespace {namespace}");
        let printed = self.operator.kubectl(&history, "").await;
        let first_words = printed.lines().filter_map(|line| line.split(' ').next());
        let revisions = first_words.filter_map(|word| word.parse().ok());
        revisions.max().unwrap()
    }

    /// Where each of its Pods listens that is not on its way out.
    pub(crate) async fn pods(&self) -> Vec<(String, SocketAddr)> {
        let named = ListParams::default().labels(&format!("app={}", self.name));
        let pods = self.operator.api::<Pod>(&self.namespace).list(&named).await;
        let mut pods = pods.unwrap().items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.iter()
            .filter_map(|pod| {
                let address = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
                Some((pod.name_any(), SocketAddr::new(address, PORT)))
            })
            .collect()
    }
}

/// A server as Debian has it, with the libraries that it needs: installed, or unpacked by `tests/run needs`.
fn debian(name: &str) -> Image {
    debian_as(name, &format!("certwright.test/{name}:1"))
}

/// The same as an image of this name.
fn debian_as(name: &str, image: &str) -> Image {
    let roots = [PathBuf::new(), unpacked(name)].map(|root| root.display().to_string());
    let root = roots
        .iter()
        .find(|root| Path::new(&format!("{root}/usr/sbin/{name}")).exists())
        .unwrap_or_else(|| panic!("there is no {name}; unpack it with: tests/run needs"));
    let program = format!("{root}/usr/sbin/{name}");
    let inside = format!("/{name}");
    with_libraries(image, &inside, &program, root)
}

/// A program of this machine with the libraries that it needs, some of which may lie below a folder of their own.
pub(crate) fn with_libraries(name: &str, inside: &str, program: &str, root: &str) -> Image {
    let folder = format!("{root}/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let output = Program::new("ldd")
        .arg(program)
        .env("LD_LIBRARY_PATH", folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let libraries = String::from_utf8(output.stdout).unwrap();
    libraries
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .fold(Image::new(name, [inside]), |image, library| {
            image.file(library.strip_prefix(root).unwrap_or(library), library)
        })
        .file(inside, program)
}
