//! What the API server can take: the operator's writes, without the operator.

use std::time::Instant;

use anyhow::Context;
use certwright_core::api::Group;
use certwright_test_cluster::ControlPlane;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::load::{Template, api, create};

pub(crate) struct Floor {
    /// Certificates per second, the best of several numbers of requests under way.
    pub(crate) best: f64,
}

impl Floor {
    /// Writes Secret, status and Event of `count` certificates, with 16, 32 and 64 under way, each in a fresh namespace.
    pub(crate) async fn measure(
        cluster: &ControlPlane,
        template: &Template,
        count: usize,
    ) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        // Admission asks who it is: what the operator's account has to pass, this passes too.
        let mut account = cluster
            .service_account_config("certwright", "certwright")
            .await?;
        account.default_retry = false;
        let operator = Client::try_from(account)?;
        let mut best: f64 = 0.0;
        for at_once in [16, 32, 64] {
            let namespace = cluster.namespace("floor").await?;
            let made = (0..count).map(|number| {
                let mut object = template.certificate.clone();
                object["metadata"] = json!({ "name": name(number), "namespace": namespace });
                let client = client.clone();
                async move { create(&client, "Certificate", &object).await }
            });
            stream::iter(made)
                .buffer_unordered(64)
                .try_collect::<Vec<()>>()
                .await?;
            let began = Instant::now();
            let written =
                (0..count).map(|number| write(operator.clone(), &namespace, template, number));
            stream::iter(written)
                .buffer_unordered(at_once)
                .try_collect::<Vec<()>>()
                .await?;
            best = best.max(count as f64 / began.elapsed().as_secs_f64());
            super::load::remove_namespace(&client, &namespace).await?;
        }
        Ok(Self { best })
    }
}

fn name(number: usize) -> String {
    format!("web-{number}")
}

async fn write(
    client: Client,
    namespace: &str,
    template: &Template,
    number: usize,
) -> anyhow::Result<()> {
    let name = name(number);
    let mut secret = template.secret.clone();
    secret["metadata"]["name"] = name.clone().into();
    secret["metadata"]["namespace"] = namespace.into();
    secret["metadata"]["resourceVersion"] = "1".into();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    secrets
        .patch(
            &name,
            &PatchParams::apply("certwright"),
            &Patch::Apply(&secret),
        )
        .await
        .context("Secret")?;

    let event: Event = serde_json::from_value(with(
        &template.event,
        "metadata",
        json!({ "name": format!("{name}.1"), "namespace": namespace }),
    ))?;
    let mut event = event;
    if let Some(about) = &mut event.regarding {
        about.name = Some(name.clone());
        about.namespace = Some(namespace.to_owned());
    }
    Api::<Event>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &event)
        .await
        .context("Event")?;

    let status = json!({
        "apiVersion": Group::default().api_version(), "kind": "Certificate",
        "metadata": { "name": name, "namespace": namespace }, "status": template.status,
    });
    let force = PatchParams::apply("certwright").force();
    api(&client, namespace, "Certificate")
        .patch_status(&name, &force, &Patch::Apply(&status))
        .await
        .context("status")?;
    Ok(())
}

fn with(object: &Value, field: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[field] = value;
    object
}
