//! The operator between a real API server and Pebble: from `kubectl apply` to a Secret.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use certwright_core::api::{Certificate, Group, Issuer, condition};
use certwright_core::pki::{Facts, PrivateKey, chain};
use certwright_test_cluster::{ControlPlane, Options, OwnAddresses};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicResourceScope, GroupVersionKind};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::pebble::{Pebble, Ways, free_ports};

/// The name that leads to the front door of [`World::behind_traefik`].
pub(crate) const NAME: &str = "www.example.com";
/// A program with an `/etc/hosts` of its own.
const WITH_HOSTS: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
/// Some waits of the operator are a minute long.
const PATIENCE: Duration = Duration::from_secs(240);

/// A cluster, a CA and the operator.
pub(crate) struct World {
    pub(crate) control_plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) pebble: Pebble,
    /// Where the operator answers the CA's questions.
    pub(crate) answers: SocketAddr,
    operator: Option<Child>,
    /// Where the world finds [`NAME`]: Traefik's HTTP, on port 80.
    addresses: Option<OwnAddresses>,
    /// Who tells the operator what public DNS says.
    resolver: SocketAddr,
    /// How many Certificates the operator works on at once. Many of one namespace may wait for CAs here.
    pub(crate) concurrency: usize,
}

/// Nobody: what is true of these names in the world is none of the tests' business.
const NO_RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

impl World {
    pub(crate) async fn new(ways: Ways) -> Self {
        Self::asking(ways, NO_RESOLVER).await
    }

    /// One in which this resolver tells the operator what public DNS says.
    pub(crate) async fn resolving(resolver: SocketAddr) -> Self {
        Self::asking(Ways::default(), resolver).await
    }

    async fn asking(ways: Ways, resolver: SocketAddr) -> Self {
        let options = Options::new().without_workloads();
        let control_plane = ControlPlane::start(options).await.unwrap();
        // Pebble asks the operator itself.
        let [http_port] = free_ports();
        let pebble = Pebble::start(Ways { http_port, ..ways }).await;
        let answers = SocketAddr::from((Ipv4Addr::LOCALHOST, http_port));
        Self::around(control_plane, pebble, answers, (None, resolver)).await
    }

    /// One in which Pebble asks Traefik, which leads it to the operator.
    pub(crate) async fn behind_traefik() -> Self {
        let options = Options::new().without_workloads().traefik();
        let control_plane = ControlPlane::start(options).await.unwrap();
        let http_port = control_plane.front_door().unwrap().http().port();
        let pebble = Pebble::start(Ways {
            http_port,
            ..Ways::default()
        })
        .await;
        let addresses = OwnAddresses::take().unwrap();
        let outer = TcpListener::bind((addresses.ipv4(), 80)).await.unwrap();
        tokio::spawn(lead(outer, http_port));
        let [port] = free_ports();
        let answers = SocketAddr::from((addresses.ipv4(), port));
        let ways_in = (Some(addresses), NO_RESOLVER);
        Self::around(control_plane, pebble, answers, ways_in).await
    }

    /// One in which [`NAME`] leads to this listener, at port 80 of an address that nobody else has.
    pub(crate) async fn with_own_port_80() -> (Self, TcpListener) {
        let options = Options::new().without_workloads();
        let control_plane = ControlPlane::start(options).await.unwrap();
        let pebble = Pebble::start(Ways::default()).await;
        let addresses = OwnAddresses::take().unwrap();
        let door = TcpListener::bind((addresses.ipv4(), 80)).await.unwrap();
        let [port] = free_ports();
        let answers = SocketAddr::from((addresses.ipv4(), port));
        let ways_in = (Some(addresses), NO_RESOLVER);
        let world = Self::around(control_plane, pebble, answers, ways_in).await;
        (world, door)
    }

    async fn around(
        control_plane: ControlPlane,
        pebble: Pebble,
        answers: SocketAddr,
        (addresses, resolver): (Option<OwnAddresses>, SocketAddr),
    ) -> Self {
        let mut world = Self {
            client: control_plane.client().unwrap(),
            control_plane,
            pebble,
            answers,
            operator: None,
            addresses,
            resolver,
            concurrency: 128,
        };
        let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds");
        for file in ["certificates", "issuers", "clusterissuers"] {
            let text = std::fs::read_to_string(crds.join(format!("{file}.yaml"))).unwrap();
            let crd: Value = serde_yaml::from_str(&text).unwrap();
            world.apply(&crd).await;
        }
        for namespace in ["certwright", "shop"] {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
            });
            world.apply(&namespace).await;
        }
        // Where the operator's own Service would lead. What is reached directly needs no way in.
        let (address, port) = match answers.ip() {
            ip if ip.is_loopback() => ("198.51.100.7".to_owned(), 8089),
            ip => (ip.to_string(), answers.port()),
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "certwright-http01-0", "namespace": "certwright",
                "labels": { "kubernetes.io/service-name": "certwright-http01" },
            },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
            "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
        });
        world.apply(&slice).await;
        world.permits().await;
        world.start().await;
        world.holds_to_policies().await;
        world
    }

    pub(crate) async fn start(&mut self) {
        self.operator = Some(self.replica(self.answers, &[]).await);
    }

    /// Another operator, which answers the CA's questions there, with these arguments. It runs until it is dropped.
    pub(crate) async fn replica(&self, answers: SocketAddr, more: &[&str]) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.control_plane.folder().join("operator.log"))
            .unwrap();
        let [listen] = free_ports();
        let program = env!("CARGO_BIN_EXE_certwright");
        let mut command = match &self.addresses {
            None => Command::new(program),
            Some(addresses) => {
                let hosts = self.control_plane.folder().join("hosts");
                std::fs::write(&hosts, format!("{} {NAME}\n", addresses.ipv4())).unwrap();
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", WITH_HOSTS]).arg(hosts);
                command.arg(program);
                command
            }
        };
        command
            .args(["run", "--private-networks=127.0.0.0/8,198.51.100.0/24"])
            .args(["--resolvers", &self.resolver.to_string()])
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--listen", &format!("127.0.0.1:{listen}")])
            .args(["--http01-listen", &answers.to_string()])
            .args(more)
            .env("KUBECONFIG", self.operators_kubeconfig().await)
            .env("POD_NAMESPACE", "certwright")
            // What is found at a start is asked about at once.
            .env("CERTWRIGHT_RENEWAL_INFO_SPREAD", "0s")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub(crate) async fn kill(&mut self) {
        self.operator.take().unwrap().kill().await.unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.control_plane.folder().join("operator.log")).unwrap()
    }

    pub(crate) async fn apply(&self, object: &Value) {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        eventually(&format!("{kind} {name} is taken"), async || {
            let applied = self.try_out(object).await;
            applied.map_err(|problem| problem.to_string())
        })
        .await;
    }

    /// Applies an object once.
    pub(crate) async fn try_out(&self, object: &Value) -> kube::Result<()> {
        let kind = object["kind"].as_str().unwrap();
        let (group, version) = object["apiVersion"]
            .as_str()
            .unwrap()
            .rsplit_once('/')
            .unwrap_or_else(|| ("", object["apiVersion"].as_str().unwrap()));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let name = object["metadata"]["name"].as_str().unwrap();
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let parameters = PatchParams::apply("user").force();
        let applied = api.patch(name, &parameters, &Patch::Apply(object)).await;
        applied.map(|_| ())
    }

    /// An Issuer that asks Pebble.
    pub(crate) async fn issuer(&self) {
        // Pebble's names lead elsewhere than everybody else's.
        self.issuer_that_solves_by(json!({
            "waitInsteadOfSelfCheck": "0s",
            "http01": { "ingress": { "ingressClassName": "public" } },
        }))
        .await;
    }

    /// An Issuer that asks Pebble, and proves names this way.
    pub(crate) async fn issuer_that_solves_by(&self, solver: Value) {
        let issuer = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Issuer",
            "metadata": { "name": "pebble", "namespace": "shop" },
            "spec": { "acme": {
                "server": self.pebble.directory,
                "email": "ops@example.com",
                "caBundle": self.pebble.bundle,
                "privateKeySecretRef": { "name": "account" },
                "solvers": [solver],
            } },
        });
        self.apply(&issuer).await;
    }

    pub(crate) async fn certificate(&self, name: &str, names: &[&str]) {
        let certificate = json!({
            "apiVersion": "certwright.dev/v1alpha1", "kind": "Certificate",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": {
                "secretName": format!("{name}-tls"), "dnsNames": names, "issuerRef": { "name": "pebble" },
            },
        });
        self.apply(&certificate).await;
    }

    pub(crate) fn of<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = Group, Scope = DynamicResourceScope> + DeserializeOwned,
    {
        Api::namespaced_with(self.client.clone(), "shop", &Group::default())
    }

    /// Waits until a Certificate is ready at this revision; its Secret.
    pub(crate) async fn ready(&self, name: &str, revision: i64) -> Secret {
        let certificates: Api<Certificate> = self.of();
        eventually(&format!("{name} is ready"), async || {
            let certificate = certificates.get(name).await.map_err(|p| p.to_string())?;
            let status = certificate.status.unwrap_or_default();
            let done = condition::is_true(&status.conditions, "Ready")
                && status.revision == Some(revision)
                && status.order.is_none();
            if done {
                Ok(())
            } else {
                Err(format!("{status:#?}\n{}", self.log()))
            }
        })
        .await;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "shop");
        secrets.get(&format!("{name}-tls")).await.unwrap()
    }

    /// Waits until nothing is left of any order.
    pub(crate) async fn is_tidy(&self) {
        eventually("nothing is left over", async || {
            // Users have Ingresses of their own.
            let records = ListParams::default().labels("certwright.dev/http01-solver");
            let ingresses: Api<Ingress> = Api::namespaced(self.client.clone(), "shop");
            let ingresses = ingresses.list(&records).await.map_err(|p| p.to_string())?;
            let keys = ListParams::default().labels("certwright.dev/next-key");
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "shop");
            let keys = secrets.list(&keys).await.map_err(|p| p.to_string())?;
            let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "certwright");
            let records = maps.list(&records).await.map_err(|p| p.to_string())?;
            let left: Vec<_> = ingresses
                .iter()
                .map(|i| i.name_any())
                .chain(keys.iter().map(|s| s.name_any()))
                .chain(records.iter().map(|r| r.name_any()))
                .collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        })
        .await;
    }
}

/// Leads whoever comes there to a port of loopback, as a router does.
pub(crate) async fn lead(outer: TcpListener, inner: u16) {
    while let Ok((mut stream, _)) = outer.accept().await {
        tokio::spawn(async move {
            if let Ok(mut other) = TcpStream::connect((Ipv4Addr::LOCALHOST, inner)).await {
                // One side may break off at any time.
                let _ = copy_bidirectional(&mut stream, &mut other).await;
            }
        });
    }
}

pub(crate) async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(stands) if start.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} in vain for this: {what}\n{stands}")
            }
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

pub(crate) fn field(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    Some(secret.data.as_ref()?.get(key)?.0.clone())
}

pub(crate) fn held(secret: &Secret) -> (PrivateKey, Vec<Facts>) {
    let key = PrivateKey::from_pem(&field(secret, "tls.key").unwrap()).unwrap();
    (
        key,
        chain::read_pem(&field(secret, "tls.crt").unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn a_certificate_from_an_acme_ca_is_stored_and_nothing_is_left_over() {
    let world = World::new(Ways {
        bad_nonces: 20,
        ..Ways::default()
    })
    .await;
    world.issuer().await;
    let issuers: Api<Issuer> = world.of();
    let issuer = eventually("the issuer is ready", async || {
        let issuer = issuers.get("pebble").await.map_err(|p| p.to_string())?;
        let status = issuer.status.clone().unwrap_or_default();
        if condition::is_true(&status.conditions, "Ready") {
            Ok(issuer)
        } else {
            Err(format!("{status:#?}\n{}", world.log()))
        }
    })
    .await;
    let told = issuer.status.unwrap().acme.unwrap();
    assert!(told.uri.unwrap().starts_with("https://127.0.0.1:"));
    assert_eq!(told.caa_identities, ["pebble.example"]);
    assert_eq!(told.profiles, ["default", "shortlived"]);
    assert_eq!(
        told.last_registered_email.as_deref(),
        Some("ops@example.com")
    );

    world
        .certificate("web", &["www.example.com", "api.example.com"])
        .await;
    let secret = world.ready("web", 1).await;
    let (key, certificates) = held(&secret);
    assert_eq!(certificates[0].public_key, *key.public());
    assert_eq!(certificates[0].names.dns.len(), 2);
    assert!(certificates[0].is_signed_by(&certificates[1]));
    assert_eq!(field(&secret, "ca.crt"), None);
    world.is_tidy().await;

    // A renewal brings another key, and nothing between breaks what is held.
    world.renew("web").await;
    let (next, _) = held(&world.ready("web", 2).await);
    assert_ne!(next.public().as_der(), key.public().as_der());
    world.is_tidy().await;
    assert!(!world.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn what_the_ca_refuses_is_told_in_words_and_left_alone_for_a_while() {
    let world = World::new(Ways::default()).await;
    world.issuer().await;
    world.certificate("blocked", &["blocked.example.com"]).await;
    let certificates: Api<Certificate> = world.of();
    let failure = eventually("it is told", async || {
        let certificate = certificates
            .get("blocked")
            .await
            .map_err(|p| p.to_string())?;
        let status = certificate.status.unwrap_or_default();
        status
            .last_failure
            .ok_or_else(|| format!("{:#?}\n{}", status.conditions, world.log()))
    })
    .await;
    assert!(
        failure.message.contains("blocked.example.com"),
        "{failure:?}"
    );
    let wait = failure.next_try.0.duration_since(failure.time.0);
    assert!((11..=15).contains(&wait.as_mins()), "{failure:?}");
}
