//! `certwright status`, beside an operator at work.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Operator, Scene};

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_command_tells_how_a_certificate_stands_until_nothing_is_under_way() {
    let scene = Scene::new("told").await;
    scene.issuer("itself", json!({ "selfSigned": {} })).await;
    let spec = json!({
        "secretName": "web-tls", "dnsNames": ["web.example.com"], "issuerRef": { "name": "itself" },
    });
    scene.certificate("web", spec).await;
    let mut watching = status(&scene, &["certificate/web", "--watch"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut first = Vec::new();
    while !first
        .iter()
        .any(|line: &String| line.contains("the operator has not looked at it yet"))
    {
        let read = timeout(PATIENCE, told.next_line()).await;
        let line = read.map(|line| line.unwrap().expect("it goes on"));
        first.push(line.unwrap_or_else(|_| panic!("{first:#?}")));
    }

    let operator = Operator::start(&scene).await;
    let mut rest = String::new();
    let mut told = told.into_inner();
    let read = timeout(PATIENCE, told.read_to_string(&mut rest)).await;
    read.expect("it ends when the certificate is there")
        .unwrap();
    assert!(watching.wait().await.unwrap().success(), "{rest}");
    let held = scene.held("web-tls").await;
    let serial = format!("  serial       {}", held.serial());
    let last = rest.rsplit("Certificate ").next().unwrap();
    assert!(last.contains(&serial), "{rest}");
    assert!(last.contains("  Ready        True, Ready ("), "{rest}");

    let once = status(&scene, &["web"]).output().await.unwrap();
    let once = String::from_utf8(once.stdout).unwrap();
    assert_eq!(once.matches("Certificate ").count(), 1, "{once}");
    assert!(once.contains(&serial), "{once}");
    let nobody = status(&scene, &["certificate/api"]).output().await.unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    let said = String::from_utf8(nobody.stderr).unwrap();
    let place = format!("there is no Certificate {}/api", scene.namespace);
    assert!(said.contains(&place), "{said}");
    operator.stop().await;
}

fn status(scene: &Scene<'_>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certwright"));
    command
        .arg("status")
        .args(arguments)
        .args(["--namespace", &scene.namespace])
        .args(["--api-group", scene.group.name()])
        .env("KUBECONFIG", scene.cluster.kubeconfig("admin").unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
