//! The acts. Each tells something, and fails unless it is so.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::stage::{Stage, say};

/// A second roll would come within seconds of the first.
const WATCHED: Duration = Duration::from_secs(12);

/// Plays them all.
pub(crate) async fn all(stage: &Stage) -> anyhow::Result<()> {
    title(1, "From kubectl apply to a TLS Secret");
    first_certificate(stage)
        .await
        .context("act 1, the first certificate")?;
    title(2, "What is in it");
    chain(stage).await.context("act 2, the chain")?;
    title(3, "A renewal asked for by hand");
    renewal(stage).await.context("act 3, the renewal")?;
    title(4, "The Deployment that mounts it is rolled, once");
    roll(stage).await.context("act 4, the roll")?;
    title(5, "What can't be right is refused at once");
    refused(stage).await.context("act 5, the refusal")?;
    title(6, "What only the cluster can tell is said in a condition");
    foreign(stage).await.context("act 6, the foreign Secret")?;
    println!("\nEach act was seen.");
    Ok(())
}

fn title(number: usize, words: &str) {
    println!("\n── Act {number}: {words} ──");
}

async fn first_certificate(stage: &Stage) -> anyhow::Result<()> {
    stage.apply("issuers.yaml").await?;
    stage.apply("web.yaml").await?;
    stage
        .wait("the certificate", "certificate/web", |web| {
            ready(web).then_some(())
        })
        .await?;
    stage
        .wait("the Deployment", "deployment/web", |web| {
            (web["status"]["availableReplicas"] == 2).then_some(())
        })
        .await?;
    // Pods that start are given a baseline; it restarts nothing.
    stage
        .wait("the rollout's status", "certificate/web", up_to_date)
        .await?;
    stage.show(&["get", "certificates,issuers,secrets"]).await?;
    Ok(())
}

async fn chain(stage: &Stage) -> anyhow::Result<()> {
    let text = stage.inspect("web-tls").await?;
    for expected in ["shop.example.com", "www.shop.example.com", "Demo Root"] {
        ensure!(
            text.contains(expected),
            "{expected} is not in what inspect says"
        );
    }
    Ok(())
}

async fn renewal(stage: &Stage) -> anyhow::Result<()> {
    let before = stage.object("certificate/web").await?;
    let serial = |web: &Value| web["status"]["serialNumber"].as_str().map(str::to_owned);
    let old = serial(&before).context("there is no serial number")?;
    stage
        .show(&["annotate", "certificate/web", "certwright.dev/renew=today"])
        .await?;
    let new = stage
        .wait("a new serial number", "certificate/web", |web| {
            serial(web).filter(|new| ready(web) && *new != old)
        })
        .await?;
    say(&format!(
        "  serial number {old}\n           then {new}, and Ready all the while"
    ));
    Ok(())
}

async fn roll(stage: &Stage) -> anyhow::Result<()> {
    let fingerprint = stage.object("certificate/web").await?["status"]["fingerprint"].clone();
    say(
        "  The Pods read the old certificate. They are replaced, as kubectl rollout restart does, a few seconds later:",
    );
    let marked = |web: &Value| {
        let marks = &web["spec"]["template"]["metadata"]["annotations"];
        let done = web["status"]["observedGeneration"] == web["metadata"]["generation"]
            && web["status"]["updatedReplicas"] == 2;
        (marks["certwright.dev/secret-web-tls"] == fingerprint && done).then_some(())
    };
    stage.wait("the roll", "deployment/web", marked).await?;
    stage.show(&["rollout", "status", "deployment/web"]).await?;
    stage
        .wait("the rollout's status", "certificate/web", up_to_date)
        .await?;
    let rolls = || async {
        let sets: Value =
            serde_json::from_str(&stage.here(&["get", "replicasets", "-o", "json"]).await?)?;
        anyhow::Ok(
            sets["items"]
                .as_array()
                .map_or(0, Vec::len)
                .saturating_sub(1),
        )
    };
    ensure!(
        rolls().await? == 1,
        "the Deployment was rolled {} times",
        rolls().await?
    );
    say(&format!(
        "  Watching for {} seconds that it is not rolled again …",
        WATCHED.as_secs()
    ));
    tokio::time::sleep(WATCHED).await;
    ensure!(
        rolls().await? == 1,
        "the Deployment was rolled {} times",
        rolls().await?
    );
    say("  Rolled exactly once.");
    Ok(())
}

async fn refused(stage: &Stage) -> anyhow::Result<()> {
    let words = stage.apply_refused("refused.yaml").await?;
    ensure!(
        words.contains("renewBefore"),
        "the refusal does not name the field"
    );
    Ok(())
}

async fn foreign(stage: &Stage) -> anyhow::Result<()> {
    stage.apply("foreign.yaml").await?;
    let message = stage
        .wait("the refusal", "certificate/legacy", |legacy| {
            let condition = condition(legacy, "Ready")?;
            (condition["reason"] == "ForeignSecret")
                .then(|| condition["message"].as_str().map(str::to_owned))?
        })
        .await?;
    say(&format!("\n  Ready=False, ForeignSecret: {message}"));
    stage.show(&["delete", "secret/legacy-tls"]).await?;
    stage
        .wait("the recovery", "certificate/legacy", |legacy| {
            ready(legacy).then_some(())
        })
        .await?;
    say("  With the Secret gone the Certificate went on by itself: Ready.");
    Ok(())
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == type_)
}

fn ready(object: &Value) -> bool {
    let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    current && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
}

fn up_to_date(certificate: &Value) -> Option<()> {
    let rollout = &certificate["status"]["rollout"];
    let held = rollout["fingerprint"] == certificate["status"]["fingerprint"];
    (held && rollout["upToDate"] == 1).then_some(())
}
