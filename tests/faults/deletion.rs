//! A Certificate is deleted while a call for it fails.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::fault::{Call, Fault, Faults, Shot};
use crate::harness::{Operator, Scene};

/// How long nothing more may happen at the end.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_certificate_takes_its_secret_along_without_a_call_of_ours() {
    let scene = Scene::new("gone").await;
    let faults = Faults::default();
    let operator = Operator::start_with(&scene, faults.clone()).await;
    for policy in [PropagationPolicy::Foreground, PropagationPolicy::Background] {
        let case = Case {
            scene: scene.elsewhere("gone").await,
            faults: faults.clone(),
            shot: None,
        };
        case.issuer().await;
        case.put_certificate(json!({ "secretDeletionPolicy": "Delete" }))
            .await;
        let outcome = Outcome::issued(1);
        case.until(async || case.stands(outcome).await.map(drop))
            .await;
        case.rest().await;
        case.arm(0);
        delete(&case, policy).await;
        gone(&case).await.unwrap();
        assert_eq!(case.calls(), []);
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_certificate_deleted_while_any_call_for_it_fails() {
    let scene = Scene::new("going").await;
    let faults = Faults::default();
    let operator = Operator::start_with(&scene, faults.clone()).await;
    let status = format!(
        "/apis/{}/certificates/web/status",
        scene.group.api_version()
    );
    let calls = [
        Call::new("PATCH", "/api/v1/secrets/web-tls"),
        Call::new("POST", "/apis/events.k8s.io/v1/events"),
        Call::new("PATCH", status),
    ];
    let shots = calls.iter().flat_map(|call| {
        Fault::ALL.map(|fault| Shot {
            call: call.clone(),
            nth: 1,
            fault,
        })
    });
    let ended = join_all(shots.map(async |shot| {
        let case = Case {
            scene: scene.elsewhere("going").await,
            faults: faults.clone(),
            shot: Some((0, shot)),
        };
        case.issuer().await;
        case.arm(0);
        case.put_certificate(json!({ "secretDeletionPolicy": "Delete" }))
            .await;
        case.until(async || match case.faults.hit(case.namespace()) {
            true => Ok(()),
            false => Err("failed".to_owned()),
        })
        .await;
        delete(&case, PropagationPolicy::Background).await;
        gone(&case).await
    }))
    .await;
    let problems: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    operator.stop().await;
}

async fn delete(case: &Case<'_>, policy: PropagationPolicy) {
    let parameters = DeleteParams {
        propagation_policy: Some(policy),
        ..DeleteParams::default()
    };
    case.scene
        .certificates()
        .delete("web", &parameters)
        .await
        .unwrap();
}

/// Waits until Certificate and Secret are gone and the operator is at rest; then both stay so.
async fn gone(case: &Case<'_>) -> Result<(), String> {
    let mut probe = async || {
        let web = case.scene.certificates().get_opt("web").await;
        let secret = case.scene.api::<Secret>().get_opt("web-tls").await;
        match (web, secret) {
            (Ok(None), Ok(None)) => Ok(()),
            (web, secret) => Err(format!(
                "gone: {:?}, {:?}",
                web.map(|web| web.is_some()),
                secret.map(|secret| secret.map(|secret| secret.metadata))
            )),
        }
    };
    case.eventually(&mut probe).await?;
    case.rest().await;
    // What came late is collected too.
    case.eventually(&mut probe).await?;
    let before = case.calls().len();
    tokio::time::sleep(QUIET).await;
    probe()
        .await
        .map_err(|stands| format!("{}: no more {stands}", case.name()))?;
    if case.calls().len() == before {
        Ok(())
    } else {
        Err(format!("{}: called once more", case.name()))
    }
}
