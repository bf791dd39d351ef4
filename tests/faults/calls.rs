//! Each call of each path fails, in each way.

use std::time::Duration;

use futures::future::join_all;

use crate::case::Case;
use crate::fault::{Fault, Faults, Shot};
use crate::harness::{Operator, Scene};
use crate::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_comes_once_whichever_call_fails() {
    join_all([
        each_call_fails(Path::Issuer, "fault-issuer"),
        each_call_fails(Path::First, "fault-first"),
        each_call_fails(Path::ByHand, "fault-hand"),
        each_call_fails(Path::Keep, "fault-keep"),
        each_call_fails(Path::Due, "fault-due"),
        each_call_fails(Path::Repair, "fault-repair"),
        each_call_fails(Path::Robbed, "fault-robbed"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_ca_is_followed_once_whichever_call_fails() {
    each_call_fails(Path::ReplaceCa, "fault-ca").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependent_is_rolled_once_or_not_at_all_whichever_call_fails() {
    join_all([
        each_call_fails(Path::Adopt, "fault-adopt"),
        each_call_fails(Path::Roll, "fault-roll"),
    ])
    .await;
}

/// Goes a path without faults to learn its calls, then once for each of them and each fault, all side by side.
async fn each_call_fails(path: Path, name: &str) {
    let scene = Scene::new(name).await;
    let faults = Faults::default();
    let operator = Operator::start_with(&scene, faults.clone()).await;
    let case = async |shot| Case {
        scene: scene.elsewhere(name).await,
        faults: faults.clone(),
        shot,
    };

    let shots = go(path, &scene, &[case(None).await]).await;
    assert!(!shots.is_empty(), "the path makes no calls");
    let cases: Vec<Case<'_>> = join_all(shots.into_iter().map(|shot| case(Some(shot)))).await;
    println!("{path:?}: {} cases", cases.len());
    go(path, &scene, &cases).await;
    operator.stop().await;
}

/// Goes a path in each case, and judges all of them. Returns what could fail on the way.
async fn go(path: Path, scene: &Scene<'_>, cases: &[Case<'_>]) -> Vec<(usize, Shot)> {
    join_all(cases.iter().map(|case| path.prepare(case))).await;
    let mut shots = Vec::new();
    let mut problems = Vec::new();
    for (step, span) in path.steps().iter().enumerate() {
        for case in cases {
            case.arm(step);
        }
        scene.clock.advance(*span);
        let ended = join_all(cases.iter().map(|case| one_step(path, step, case))).await;
        for (case, ended) in cases.iter().zip(ended) {
            shots.extend(shots_at(step, case));
            problems.extend(ended.err());
        }
    }
    assert!(
        problems.is_empty(),
        "{path:?}: {} of {} went wrong\n{}",
        problems.len(),
        cases.len(),
        problems.join("\n\n")
    );
    shots
}

/// Takes a step to its end; then nothing more is written, even when somebody looks again.
async fn one_step(path: Path, step: usize, case: &Case<'_>) -> Result<(), String> {
    path.act(step, case).await;
    let mut settled = async || path.settled(step, case).await;
    case.eventually(&mut settled).await?;
    case.rest().await;
    if let Some((at, shot)) = &case.shot
        && *at == step
        && !case.faults.hit(case.namespace())
        // Those after the first may have become one.
        && shot.nth == 1
    {
        return Err(format!("{}: the call was never made", case.name()));
    }
    let writes = case.writes_of("web-tls");
    if writes != path.secret_writes(step) {
        return Err(format!("{}: {writes} writes of the Secret", case.name()));
    }
    let before = case.calls().len();
    let told = case.status().await;
    if path != Path::Issuer {
        case.scene.touch("web").await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    settled()
        .await
        .map_err(|stands| format!("{}: afterwards not {stands}", case.name()))?;
    let more: Vec<_> = case.calls()[before..]
        .iter()
        .map(ToString::to_string)
        .collect();
    if more.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "{}: at rest after step {step}, but called once more: {more:?}\nbefore: {told}\nafter: {}",
            case.name(),
            case.status().await
        ))
    }
}

/// Each call of this step with each fault.
fn shots_at(step: usize, case: &Case<'_>) -> Vec<(usize, Shot)> {
    let calls = case.calls();
    let mut shots = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let nth = calls[..=index].iter().filter(|same| *same == call).count();
        for fault in Fault::ALL {
            let call = call.clone();
            shots.push((step, Shot { call, nth, fault }));
        }
    }
    shots
}
