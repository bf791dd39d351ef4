//! What a test works on: an operator's responder at addresses of its own, and a front door that knows nothing of it yet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certwright::cluster::leadership::Leadership;
use certwright::http01::front_door::{Closed, FrontDoor, Presented};
use certwright::http01::responder::{Answers, Responder};
use certwright::http01::self_check::{self, Dial};
use certwright_core::api::{Certificate, Group, schema};
use certwright_core::http01::{Challenge, Host, Operator, Outcome, Owner, SOLVER};
use certwright_test_cluster::{ControlPlane, Options, OwnAddresses, SharedControlPlane};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

static CLUSTER: SharedControlPlane =
    SharedControlPlane::new(|| Options::new().without_workloads().traefik());

/// What every test's CA asks for.
pub(crate) const TOKEN: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
/// And what it has to get.
pub(crate) const ANSWER: &str =
    "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// How long anything may take. Nothing that is waited for should take a tenth of it; machines may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The operator's own Service.
const SERVICE: &str = "certwright-http01";

/// At which of its addresses the operator is reached at first.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

/// What a test works on.
pub(crate) struct Scene {
    cluster: &'static ControlPlane,
    /// The name that is proven.
    pub(crate) host: String,
    client: Client,
    group: Group,
    /// The operator's namespace.
    pub(crate) system: String,
    /// The user's.
    namespace: String,
    /// The Certificate that all is made for.
    pub(crate) certificate: Owner,
    /// What makes the way in.
    pub(crate) door: Arc<FrontDoor>,
    /// The operator's addresses at first.
    pub(crate) addresses: OwnAddresses,
    port: u16,
    /// What ends the responder at each address.
    serving: BTreeMap<IpAddr, CancellationToken>,
    tasks: JoinSet<()>,
}

impl Scene {
    /// A scene of this name, a DNS label of its own, with a group `NAME.example.org` and a Certificate `web` for `NAME.example`.
    pub(crate) async fn new(name: &str, family: Family) -> Self {
        let cluster = CLUSTER.start().await.unwrap();
        let client = cluster.client().unwrap();
        let group = Group::new(format!("{name}.example.org"), name);
        let namespace = cluster.namespace(name).await.unwrap();
        let system = cluster.namespace(&format!("{name}-system")).await.unwrap();
        let certificate = certificate(&client, &group, &namespace, name).await;

        let addresses = OwnAddresses::take().unwrap();
        let first: IpAddr = match family {
            Family::Ipv4 => addresses.ipv4().into(),
            Family::Ipv6 => addresses.ipv6().into(),
        };
        let listener = TcpListener::bind((first, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let operator = Operator {
            namespace: system.clone(),
            service: SERVICE.to_owned(),
            port,
        };
        let door = Arc::new(FrontDoor::new(client.clone(), group.clone(), operator));
        let mut scene = Self {
            cluster,
            host: format!("{name}.example"),
            client,
            group,
            system,
            namespace,
            certificate,
            door,
            addresses,
            port,
            serving: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        scene.serve(first, listener);
        scene.own_service().await;
        scene.operator_is_at(first).await;
        let door = Arc::clone(&scene.door);
        scene.tasks.spawn(async move { door.watch().await });
        scene
    }

    /// Has the EndpointSlices follow the operator, as on the replica that leads.
    pub(crate) fn follow(&mut self) {
        let door = Arc::clone(&self.door);
        self.tasks
            .spawn(async move { door.follow(&Leadership::undisputed()).await });
    }

    /// Has the operator answer at another address too.
    pub(crate) async fn serve_at(&mut self, address: IpAddr) {
        let listener = TcpListener::bind((address, self.port)).await.unwrap();
        self.serve(address, listener);
    }

    fn serve(&mut self, address: IpAddr, listener: TcpListener) {
        let stop = CancellationToken::new();
        self.serving.insert(address, stop.clone());
        let (sender, news) = watch::channel(0);
        let responder = Responder::new(Known(self.host.clone()), news);
        self.tasks.spawn(async move {
            responder.serve(listener, stop).await;
            drop(sender);
        });
    }

    /// Ends the responder at an address.
    pub(crate) fn leave(&mut self, address: IpAddr) {
        self.serving.remove(&address).unwrap().cancel();
    }

    /// Says at which one address the operator is ready, as its Service's EndpointSlice would.
    pub(crate) async fn operator_is_at(&self, address: IpAddr) {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": { "name": SERVICE, "labels": { "kubernetes.io/service-name": SERVICE } },
            "addressType": family,
            "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
            "ports": [{ "name": "http", "port": self.port }],
        });
        self.apply(self.system_api::<EndpointSlice>(), slice).await;
    }

    async fn own_service(&self) {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": SERVICE },
            "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": self.port }] },
        });
        self.apply(self.system_api::<Service>(), service).await;
    }

    /// A Gateway of Traefik in the user's namespace, with one listener.
    pub(crate) async fn gateway(&self, name: &str, allowed_routes: Value) {
        self.gateway_in(&self.namespace, name, allowed_routes).await;
    }

    /// The same elsewhere.
    pub(crate) async fn gateway_in(&self, namespace: &str, name: &str, allowed_routes: Value) {
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": { "name": name },
            "spec": { "gatewayClassName": self.class(), "listeners": [{
                "name": "http",
                "protocol": "HTTP",
                "port": self.cluster.front_door().unwrap().http().port(),
                "allowedRoutes": allowed_routes,
            }] },
        });
        let api = gateway_api(&self.client, namespace, "Gateway");
        self.apply(api, gateway).await;
    }

    /// How many HTTPRoutes in the user's namespace carry a label.
    pub(crate) async fn routes_labelled(&self, selector: &str) -> usize {
        let routes = gateway_api(&self.client, &self.namespace, "HTTPRoute");
        let parameters = ListParams::default().labels(selector);
        routes.list(&parameters).await.unwrap().items.len()
    }

    /// What Ingresses say to be served by the front door.
    pub(crate) fn class(&self) -> &'static str {
        self.cluster.front_door().unwrap().class()
    }

    /// Has a solver, as in an issuer of the cluster's own people, prove the name.
    pub(crate) async fn present(&self, solver: &Value) -> Result<(), Closed> {
        let solver = serde_json::from_value(solver.clone()).unwrap();
        let presented = Presented {
            solver: &solver,
            trusted: true,
            challenges: &[self.challenge()],
        };
        self.door.present(&self.certificate, &[presented]).await
    }

    /// Takes away all that was made, and sees that nothing of it is left.
    pub(crate) async fn clean_up(&self) {
        self.door.clean_up(&self.certificate).await.unwrap();
        self.is_not_answered().await;
        assert_eq!(self.left_over().await, [""; 0]);
    }

    /// Waits until a CA that came to the front door would get the answer.
    pub(crate) async fn is_answered(&self) {
        eventually(
            "the answer comes through the front door",
            async || match self.ask(&self.host).await {
                (200, answer) if answer == ANSWER => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }

    /// Waits until the front door leads nowhere.
    pub(crate) async fn is_not_answered(&self) {
        eventually("the front door leads nowhere", async || {
            match self.ask(&self.host).await {
                (404, _) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Asks the front door as a CA does: status and text.
    pub(crate) async fn ask(&self, host: &str) -> (u16, String) {
        let door = self.cluster.front_door().unwrap().http();
        let mut stream = TcpStream::connect(door).await.unwrap();
        let request =
            format!("GET /.well-known/acme-challenge/{TOKEN} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), text.to_owned())
    }

    /// What the operator itself sees when it looks through the front door.
    pub(crate) async fn look(&self) -> Outcome {
        self_check::look(self, &self.challenge(), ANSWER).await
    }

    fn challenge(&self) -> Challenge {
        Challenge::new(&self.host, TOKEN).unwrap()
    }

    /// All that carries our label, in both namespaces.
    pub(crate) async fn left_over(&self) -> Vec<String> {
        let mut found = Vec::new();
        for namespace in [&self.namespace, &self.system] {
            found.extend(self.labelled::<Ingress>(namespace).await);
            found.extend(self.labelled::<Service>(namespace).await);
            found.extend(self.labelled::<EndpointSlice>(namespace).await);
            found.extend(self.labelled::<ConfigMap>(namespace).await);
            let routes = gateway_api(&self.client, namespace, "HTTPRoute");
            let routes = routes.list(&self.label()).await.unwrap();
            found.extend(
                routes
                    .iter()
                    .map(|route| format!("HTTPRoute {}", route.name_any())),
            );
        }
        found
    }

    async fn labelled<K>(&self, namespace: &str) -> Vec<String>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let found = api.list(&self.label()).await.unwrap();
        // What is being deleted is still there to be seen, if its owner went first.
        let named = |object: &K| format!("{} {}", K::kind(&()), object.name_any());
        found.iter().map(named).collect()
    }

    fn label(&self) -> ListParams {
        ListParams::default().labels(&self.group.key(SOLVER))
    }

    /// Objects in the user's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects in the operator's namespace.
    pub(crate) fn system_api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.system)
    }

    /// The Certificates in the user's namespace.
    pub(crate) fn certificates(&self) -> Api<Certificate> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &self.group)
    }

    async fn apply<K>(&self, api: Api<K>, object: Value)
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let parameters = PatchParams::apply("test").force();
        api.patch(&name, &parameters, &Patch::Apply(&object))
            .await
            .unwrap();
    }
}

/// Names lead to the front door, which listens at other ports than a CA asks at.
impl Dial for Scene {
    fn dial<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        async move {
            let door = self.cluster.front_door()?;
            let address = if port == 80 {
                door.http()
            } else {
                door.https()
            };
            Ok(TcpStream::connect(address).await?)
        }
        .boxed()
    }
}

/// Knows the answer for one host.
struct Known(String);

impl Answers for Known {
    fn answer(&self, host: &Host, token: &str) -> Option<String> {
        (host.as_str() == self.0 && token == TOKEN).then(|| ANSWER.to_owned())
    }
}

/// Asks until the answer is `Ok`, and fails with the last `Err`, which says how things stood.
pub(crate) async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(()) => return,
            Err(stands) if start.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} in vain for this: {what}\n{stands}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

fn gateway_api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let resource = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&resource))
}

/// A Certificate that nobody issues: what is made for it belongs to it, and would be collected if it did not exist.
async fn certificate(client: &Client, group: &Group, namespace: &str, name: &str) -> Owner {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    for definition in schema::crds(group) {
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .unwrap();
    }
    let certificates: Api<Certificate> = Api::namespaced_with(client.clone(), namespace, group);
    eventually("Certificates are served", async || {
        let list = certificates.list(&ListParams::default().limit(1)).await;
        list.map(drop).map_err(|problem| problem.to_string())
    })
    .await;
    let object = json!({
        "apiVersion": group.api_version(),
        "kind": "Certificate",
        "metadata": { "name": "web" },
        "spec": {
            "secretName": "web-tls",
            "dnsNames": [format!("{name}.example")],
            "issuerRef": { "name": "acme" },
        },
    });
    let made = certificates
        .patch("web", &PatchParams::apply("test"), &Patch::Apply(&object))
        .await
        .unwrap();
    Owner {
        namespace: namespace.to_owned(),
        name: made.name_any(),
        uid: made.metadata.uid.unwrap(),
    }
}
