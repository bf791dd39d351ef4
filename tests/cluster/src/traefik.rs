//! A real front door: Traefik, for Ingresses and for the Gateway API.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
};

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    access::{self, Access},
    binaries::{Binaries, Program},
    process::{Process, write_private},
};

/// What Ingresses and Gateways say to be served by Traefik, as `ingressClassName` and `gatewayClassName`.
const CLASS: &str = "traefik";

/// Where Traefik listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontDoor {
    pub(crate) http: u16,
    pub(crate) https: u16,
}

impl FrontDoor {
    /// Where it takes HTTP. A Gateway's listener must have the same port to be served.
    pub fn http(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.http)
    }

    /// Where it takes HTTPS.
    pub fn https(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.https)
    }

    /// The class of Ingresses and Gateways that it serves.
    pub fn class(&self) -> &'static str {
        CLASS
    }

    pub(crate) async fn is_open(self) -> bool {
        TcpStream::connect(self.http()).await.is_ok()
            && TcpStream::connect(self.https()).await.is_ok()
    }
}

/// Starts Traefik with a configuration in `folder`, which only we can read: it holds a token.
pub(crate) fn start(
    folder: &Path,
    binaries: &Binaries,
    access: &Access,
    door: FrontDoor,
) -> anyhow::Result<Process> {
    let cluster = json!({
        "endpoint": access.url(),
        "token": access.token(access::TRAEFIK)?,
        "certAuthFilePath": access.root_file(),
    });
    let configuration = json!({
        "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
        "entryPoints": {
            "web": { "address": door.http().to_string() },
            // With TLS for all that comes there, as Traefik's own chart has it.
            "websecure": { "address": door.https().to_string(), "http": { "tls": {} } },
        },
        // The default, two seconds, is a long time for a test.
        "providers": {
            "providersThrottleDuration": "100ms",
            "kubernetesIngress": cluster,
            "kubernetesGateway": cluster,
        },
    });
    let path = folder.join("traefik.yaml");
    let text = serde_yaml::to_string(&configuration).context("failed to write YAML")?;
    write_private(&path, text).context("failed to write Traefik's configuration")?;
    let name = Program::Traefik.name();
    let mut flag = OsString::from("--configfile=");
    flag.push(path);
    let log = folder.join(format!("{name}.log"));
    Process::start(name, &binaries.path(Program::Traefik)?, &[flag], log)
}

/// Installs the Gateway API, from the definitions in `folder`, and the classes of Traefik.
pub(crate) async fn install(client: &Client, folder: &Path) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("failed to list a folder")?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let definition: Value = serde_yaml::from_str(&text).context("failed to read YAML")?;
        apply(client, definition).await?;
    }
    let controller = json!({ "controller": "traefik.io/ingress-controller" });
    apply(
        client,
        class("networking.k8s.io/v1", "IngressClass", controller),
    )
    .await
}

/// Whether the Gateway API is served. Once it is, the class of Traefik's Gateways is there too.
pub(crate) async fn gateways_are_served(client: &Client) -> anyhow::Result<bool> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone())
        .list(&ListParams::default())
        .await
        .context("failed to list CustomResourceDefinitions")?;
    let established = |definition: &CustomResourceDefinition| {
        let conditions = definition
            .status
            .iter()
            .flat_map(|status| &status.conditions)
            .flatten();
        conditions
            .into_iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    };
    let mut ours = definitions
        .iter()
        .filter(|definition| definition.spec.group == GATEWAY_API);
    if !ours.all(established) {
        return Ok(false);
    }
    let controller = json!({ "controllerName": "traefik.io/gateway-controller" });
    let class = class(&format!("{GATEWAY_API}/v1"), "GatewayClass", controller);
    // It takes a moment from the condition to the first answer.
    Ok(apply(client, class).await.is_ok())
}

fn class(api_version: &str, kind: &str, spec: Value) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": CLASS }, "spec": spec })
}

/// Applies an object of a kind without namespaces.
async fn apply(client: &Client, object: Value) -> anyhow::Result<()> {
    let object: DynamicObject =
        serde_json::from_value(object).context("this is no Kubernetes object")?;
    let types = object.types.clone().context("this says no kind")?;
    let kind = GroupVersionKind::try_from(&types).context("this is no kind")?;
    let name = object.name_any();
    Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&kind))
        .patch(
            &name,
            &PatchParams::apply("certwright-test").force(),
            &Patch::Apply(&object),
        )
        .await
        .with_context(|| format!("failed to apply the {} {name}", types.kind))?;
    Ok(())
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";
