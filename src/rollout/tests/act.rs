//! One workload, looked after by itself.

use super::super::act;
use super::*;

#[tokio::test]
async fn a_new_certificate_costs_one_write_and_is_told_once() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    let stale = server.observed();
    assert_eq!(
        act::reconcile(&stale, &context).await.unwrap(),
        Action::await_change()
    );
    assert_eq!(
        server.calls(),
        [
            "GET /api/v1/namespaces/shop/pods".to_owned(),
            format!("PATCH {DEPLOYMENT}"),
        ],
    );
    let new = json!({ MARK: "new" });
    let noted = json!({
        MARK: "new",
        "certwright.dev/rolled-at": "2026-11-02T13:00:00Z",
        "certwright.dev/runs-until": "2027-01-31T12:00:00Z",
    });
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "shop", "uid": "u-web", "resourceVersion": "41", "annotations": noted },
        "spec": { "template": { "metadata": { "annotations": new } } },
    });
    assert_eq!(
        server.writes(),
        [(
            "&force=true&fieldManager=certwright-rollout".to_owned(),
            body
        )]
    );
    let note = "New certificate in Secret web-tls: its Pods are replaced".to_owned();
    assert_eq!(around.reports(), [("RolledOut", note)]);

    // What the watch has not shown yet is known from the write.
    assert_eq!(
        act::reconcile(&stale, &context).await.unwrap(),
        Action::await_change()
    );
    assert_eq!(server.calls(), [""; 0]);
    // And once it has shown it, nothing is asked.
    assert_eq!(
        act::reconcile(&server.observed(), &context).await.unwrap(),
        Action::await_change()
    );
    assert_eq!(
        (server.calls(), server.writes(), around.reports()),
        (vec![], vec![], vec![])
    );
}

#[tokio::test]
async fn who_was_faster_wins_and_the_next_try_carries_what_they_wrote() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    server.interfere.store(true, Ordering::SeqCst);
    let seen = server.observed();
    let refused = act::reconcile(&seen, &context).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Reread, "{refused:?}");
    assert_eq!((server.writes(), around.reports()), (vec![], vec![]));
    context
        .backoff
        .after(&WorkloadName::from(&seen), refused.retry());
    // Though the watch shows no news of it.
    act::reconcile(&seen, &context).await.unwrap();
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].1["metadata"]["resourceVersion"], "99");
}

#[tokio::test]
async fn an_unhealthy_workload_costs_no_call_and_is_told_once() {
    let mut object = deployment();
    object["spec"]["replicas"] = json!(2);
    object["status"]["replicas"] = json!(2);
    object["status"]["updatedReplicas"] = json!(2);
    let (server, around) = (Server::new(object), Around::new());
    let context = context(&server, &around);
    for _ in 0..2 {
        assert_eq!(
            act::reconcile(&server.observed(), &context).await.unwrap(),
            Action::await_change()
        );
    }
    assert_eq!(server.calls(), [""; 0]);
    let reports = around.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].0, "RolloutSkipped");

    // Healthy again, it is rolled; skipped once more for another certificate, it is told again.
    server.deployment.lock().unwrap()["status"]["availableReplicas"] = json!(2);
    act::reconcile(&server.observed(), &context).await.unwrap();
    *around.held.lock().unwrap() = held("newer");
    server.deployment.lock().unwrap()["status"]["availableReplicas"] = json!(1);
    act::reconcile(&server.observed(), &context).await.unwrap();
    let reasons: Vec<&str> = around
        .reports()
        .into_iter()
        .map(|(reason, _)| reason)
        .collect();
    assert_eq!(reasons, ["RolledOut", "RolloutSkipped"]);
}

#[tokio::test]
async fn one_that_is_down_is_told_when_it_will_be_rolled_and_looked_at_again_then() {
    let mut object = deployment();
    object["status"]["availableReplicas"] = json!(0);
    let (server, around) = (Server::new(object), Around::new());
    around.held.lock().unwrap().issued_at = Some(at("12:55:00"));
    let context = context(&server, &around);
    let action = act::reconcile(&server.observed(), &context).await.unwrap();
    assert_eq!(action, Action::requeue(Duration::from_secs(300)));
    let reports = around.reports();
    assert!(reports[0].1.contains("2026-11-02T13:05:00Z"), "{reports:?}");

    around.held.lock().unwrap().issued_at = Some(at("12:50:00"));
    act::reconcile(&server.observed(), &context).await.unwrap();
    assert_eq!(around.reports()[0].0, "RolledOut");
}

#[tokio::test]
async fn one_that_is_called_is_marked_only_once_its_pods_have_said_yes() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    let pod = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = pod.local_addr().unwrap().port();
    let call = json!({ "path": "/-/reload", "port": port });
    around.held.lock().unwrap().policy = policy(&json!({ "strategy": "Call", "call": call }));
    let answer = async |status: &str| {
        let observed = server.observed();
        let answered = async {
            let (mut stream, _) = pod.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (acted, _stream) = tokio::join!(act::reconcile(&observed, &context), answered);
        acted
    };
    for _ in 0..2 {
        let refused = answer("503 Not Now").await.unwrap_err();
        assert_eq!(refused.retry(), Retry::Backoff, "{refused:?}");
    }
    assert_eq!(server.writes(), []);
    let note =
        "New certificate in Secret web-tls: Pod  answered with status 503; it is tried again";
    assert_eq!(
        around.reports(),
        [("Calling", note.to_owned())],
        "told once"
    );

    answer("200 OK").await.unwrap();
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].1["metadata"]["annotations"][MARK], "new");
    assert!(writes[0].1["spec"].is_null(), "a call restarts nothing");
    let note = "New certificate in Secret web-tls: its Pods were called".to_owned();
    assert_eq!(around.reports(), [("RolledOut", note)]);
}

#[tokio::test]
async fn who_waits_for_its_turn_costs_no_call() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let closed = json!({ "cron": "0 22 * * *", "windowDuration": "1h" });
    around.held.lock().unwrap().policy = policy(&json!({ "windows": [closed] }));
    let until = json!("2026-12-24T00:00:00Z");
    server.deployment.lock().unwrap()["metadata"]["annotations"]["certwright.dev/runs-until"] =
        until;
    let action = act::reconcile(&server.observed(), &context(&server, &around))
        .await
        .unwrap();
    assert_eq!(action, Action::await_change(), "its Certificate wakes it");
    assert_eq!((server.calls(), around.reports()), (vec![], vec![]));
}

#[tokio::test]
async fn without_the_lease_nothing_is_asked_or_written() {
    let (server, around) = (Server::new(deployment()), Around::new());
    around.leads.store(false, Ordering::SeqCst);
    let action = act::reconcile(&server.observed(), &context(&server, &around))
        .await
        .unwrap();
    assert_eq!(action, Action::await_change(), "or the next term");
    assert_eq!((server.calls(), around.reports()), (vec![], vec![]));
}

#[tokio::test]
async fn a_settling_certificate_is_looked_at_again_when_it_has() {
    let (server, around) = (Server::new(deployment()), Around::new());
    around.held.lock().unwrap().issued_at = Some(at("12:59:58"));
    let action = act::reconcile(&server.observed(), &context(&server, &around))
        .await
        .unwrap();
    assert_eq!(action, Action::requeue(Duration::from_secs(3)));
    assert_eq!(server.calls(), [""; 0]);
}

#[tokio::test]
async fn a_workload_that_has_gone_or_moved_on_is_left() {
    let (server, around) = (Server::new(deployment()), Around::new());
    let context = context(&server, &around);
    let seen = server.observed();
    {
        let mut deployment = server.deployment.lock().unwrap();
        deployment["metadata"]["annotations"][MARK] = json!("new");
        deployment["metadata"]["resourceVersion"] = json!("42");
    }
    let mut gone = seen.clone();
    gone.metadata.name = Some("gone".to_owned());
    let refused = act::reconcile(&gone, &context).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Gone);
    let refused = act::reconcile(&seen, &context).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Reread);
    let name = WorkloadName::from(&seen);
    context.backoff.after(&name, refused.retry());
    let action = act::reconcile(&seen, &context).await.unwrap();
    assert_eq!(action, Action::await_change());
    assert_eq!(server.writes(), []);
}
