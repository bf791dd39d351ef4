use super::super::refused::Looks;
use super::*;

const REPLICA_SETS: &str = "GET /apis/apps/v1/namespaces/shop/replicasets";

/// One that was restarted at noon for the certificate `new`, and did not come up.
fn failed() -> Value {
    let mut deployment = deployment();
    let metadata = &mut deployment["metadata"]["annotations"];
    metadata[MARK] = json!("new");
    metadata["certwright.dev/rolled-at"] = json!("2026-11-02T12:00:00Z");
    deployment["spec"]["template"]["metadata"]["annotations"][MARK] = json!("new");
    deployment["status"]["replicas"] = json!(2);
    deployment
}

fn goes_back(around: &Around) {
    around.held.lock().unwrap().policy = policy(&json!({ "rollBack": "Enabled" }));
}

#[tokio::test]
async fn what_can_not_be_found_out_is_asked_later_and_the_halt_is_told_all_the_same() {
    let (server, around) = (Server::new(failed()), Around::new());
    goes_back(&around);
    let context = context_with_all(&server, &around);
    for _ in 0..3 {
        let newest = around.newer.lock().unwrap().clone();
        let seen = newest.unwrap_or_else(|| Arc::new(certificate()));
        let next = status::reconcile(seen, &context).await.unwrap();
        // A quarter of an hour since it was issued is more than ten minutes.
        assert_eq!(next, Action::requeue(Duration::from_secs(600)));
    }
    // The server knows no ReplicaSets.
    let asked = server.calls().into_iter();
    assert_eq!(asked.filter(|call| call == REPLICA_SETS).count(), 1);
    let writes = server.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].1["status"]["conditions"][0]["reason"], "Halted");
}

#[tokio::test]
async fn nothing_is_asked_where_nothing_is_to_go_back_or_this_replica_follows() {
    for leads in [true, false] {
        let (server, around) = (Server::new(failed()), Around::new());
        if !leads {
            goes_back(&around);
            around.leads.store(false, Ordering::SeqCst);
        }
        let context = context_with_all(&server, &around);
        status::reconcile(Arc::new(certificate()), &context)
            .await
            .unwrap();
        let asked = server.calls();
        assert!(!asked.iter().any(|call| call == REPLICA_SETS), "{asked:?}");
    }
}

#[test]
fn a_look_says_nothing_of_another_certificate_and_is_forgotten_after_a_while() {
    let looks = Looks::default();
    let (secret, other) = (
        Source::secret("web-tls").within("shop"),
        Source::secret("api-tls").within("shop"),
    );
    looks.note(at("12:00:00"), &secret, &held("new"), at("12:00:15"));
    assert_eq!(looks.next(&secret, &held("new")), Some(at("12:00:15")));
    assert_eq!(looks.next(&secret, &held("newer")), None);
    assert_eq!(looks.next(&other, &held("new")), None);
    looks.note(at("12:10:00"), &other, &held("new"), at("12:10:15"));
    assert_eq!(looks.next(&secret, &held("new")), Some(at("12:00:15")));
    looks.note(at("12:10:15"), &other, &held("new"), at("12:10:30"));
    assert_eq!(looks.next(&secret, &held("new")), None);
}
