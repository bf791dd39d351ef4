use jiff::SignedDuration;

use super::*;
use crate::pki::facts::Fingerprint;

fn fingerprint(byte: u8) -> Fingerprint {
    Fingerprint([byte; 32])
}

/// The certificate 1, below 2 and 3.
fn held_one() -> Held {
    Held {
        fingerprint: fingerprint(1).to_string(),
        above: vec![fingerprint(2), fingerprint(3)],
        ..held("")
    }
}

fn leaf(byte: u8, name: &str, above: &[u8]) -> Seen {
    Seen::Leaf(ShownLeaf {
        fingerprint: fingerprint(byte),
        names: BTreeSet::from([name.to_owned()]),
        not_after: "2026-12-24T00:00:00Z".parse().unwrap(),
        above: above.iter().copied().map(fingerprint).collect(),
    })
}

fn good() -> Seen {
    leaf(1, "web.example.com", &[3, 2])
}

fn place(name: &str, seen: impl IntoIterator<Item = Seen>) -> Place {
    let looks = seen.into_iter().map(|seen| Look {
        at: format!("{name} at 10.0.0.7:8443"),
        named: false,
        seen,
    });
    Place {
        name: name.to_owned(),
        needed: true,
        looks: looks.collect(),
    }
}

fn service(seen: Seen) -> Place {
    Place {
        needed: false,
        ..place("Service web", [seen])
    }
}

fn outcome(places: &[Place]) -> (Outcome, usize, String) {
    let verdict = verdict(&held_one(), places);
    (
        verdict.outcome,
        verdict.stale,
        verdict.message.unwrap_or_default(),
    )
}

#[test]
fn it_is_served_once_each_pod_was_seen_to_serve_it() {
    let plain = || Seen::NoCertificate("no TLS".to_owned());
    let unrelated = || leaf(9, "mesh.local", &[]);
    let both = [
        place("Pod a", [plain(), good()]),
        place("Pod b", [good(), unrelated()]),
    ];
    assert_eq!(outcome(&both), (Outcome::Served, 0, String::new()));
    let away = || Seen::Unreached("10.0.0.8:8443 can't be reached: refused".to_owned());
    let one_away = [place("Pod a", [good()]), place("Pod b", [plain(), away()])];
    let wanted = "Pod b: 10.0.0.8:8443 can't be reached: refused".to_owned();
    assert_eq!(outcome(&one_away), (Outcome::Unknown, 0, wanted));
    let silent = [place("Pod a", [plain()])];
    assert_eq!(
        outcome(&silent),
        (Outcome::Silent, 0, "Pod a: no TLS".to_owned())
    );
    let other = [place("Pod a", [unrelated()])];
    let wanted = "Pod a shows certificates for other names only".to_owned();
    assert_eq!(outcome(&other), (Outcome::Silent, 0, wanted));
    let portless = [place("Pod a", [])];
    assert_eq!(
        outcome(&portless),
        (Outcome::Silent, 0, "Pod a names no port".to_owned())
    );
    let wanted = "none of its Pods is ready".to_owned();
    assert_eq!(outcome(&[]), (Outcome::Unknown, 0, wanted));
    // Who is not reached may come to be.
    let both = [place("Pod a", []), place("Pod b", [away()])];
    assert_eq!(outcome(&both).0, Outcome::Unknown);
    // A Service that isn't reached takes nothing from its Pods, and does not stand in for them.
    let served = [place("Pod a", [good()]), service(away())];
    assert_eq!(outcome(&served).0, Outcome::Served);
    assert_eq!(outcome(&[service(good())]).0, Outcome::Unknown);
}

#[test]
fn another_certificate_for_one_of_its_names_is_stale_whatever_else_is_seen() {
    let old = || leaf(7, "web.example.com", &[2, 3]);
    let some = [
        place("Pod a", [good(), old()]),
        place("Pod b", [old()]),
        service(old()),
    ];
    let (outcome_of_some, stale, message) = outcome(&some);
    assert_eq!((outcome_of_some, stale), (Outcome::Stale, 3));
    assert_eq!(
        message,
        "Pod a at 10.0.0.7:8443 serves another certificate, for web.example.com, valid until 2026-12-24T00:00:00Z; so do 2 more"
    );
    // Where somebody said that it is served, any other is.
    let mut named = place("Pod a", [leaf(9, "default.local", &[])]);
    named.looks[0].named = true;
    assert_eq!(outcome(&[named]).0, Outcome::Stale);
}

#[test]
fn whoever_leaves_out_what_leads_to_the_ca_is_told() {
    let bare = [
        place("Pod a", [leaf(1, "web.example.com", &[3])]),
        place("Pod b", []),
    ];
    let (outcome_of_bare, _, message) = outcome(&bare);
    assert_eq!(outcome_of_bare, Outcome::Incomplete);
    assert_eq!(
        message,
        "Pod a at 10.0.0.7:8443 serves the certificate without 1 of the 2 that lead to its CA: it has to serve all of tls.crt"
    );
}

#[test]
fn names_are_asked_for() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let asked = |said: Option<&str>, all: &[&str]| {
        let asked = asked_name(said, &names(all))?;
        Some(asked.to_str().into_owned())
    };
    assert_eq!(
        asked(None, &["10.0.0.1", "web.example.com"]).unwrap(),
        "web.example.com"
    );
    assert_eq!(
        asked(None, &["*.example.com"]).unwrap(),
        "certwright-probe.example.com"
    );
    assert_eq!(asked(None, &["10.0.0.1"]).unwrap(), "10.0.0.1");
    assert_eq!(asked(Some("db"), &["web.example.com"]).unwrap(), "db");
    assert_eq!(asked(None, &[]), None);
}

#[test]
fn what_is_not_served_is_looked_at_again_sooner_and_ever_later() {
    let hour = SignedDuration::from_hours(1);
    let again = |outcome, tries| look_again(outcome, tries, hour).as_secs();
    assert_eq!(again(Outcome::Served, 7), 3600);
    assert_eq!(again(Outcome::Silent, 0), 3600);
    let waits: Vec<_> = [0, 1, 5, 6, 7, u32::MAX]
        .map(|tries| again(Outcome::Stale, tries))
        .into();
    assert_eq!(waits, [5, 10, 160, 300, 300, 300]);
    let waits: Vec<_> = [0, 1, 9, 10, u32::MAX]
        .map(|tries| again(Outcome::Unknown, tries))
        .into();
    assert_eq!(waits, [5, 10, 2560, 3600, 3600]);
}

#[test]
fn a_certificate_has_settled_once_it_must_have_reached_all_files() {
    let held = held("new");
    assert_eq!(held.settles_at(at("12:01:59")), Some(at("12:02:00")));
    assert_eq!(held.settles_at(at("12:02:00")), None);
    assert_eq!(
        held.settles_at(at("11:00:00")),
        None,
        "a clock was put back"
    );
}

#[test]
fn only_who_runs_with_it_and_is_to_is_looked_at() {
    let runs = |change: &dyn Fn(&mut Value)| {
        let mut object = deployment();
        on_workload(&mut object, WEB, "new");
        change(&mut object);
        runs_with(
            at("13:00:00"),
            &group(),
            &read(&object),
            &web(),
            &held("new"),
        )
    };
    assert!(runs(&|_| ()));
    assert!(!runs(&|object| on_workload(object, WEB, "old")));
    assert!(!runs(&|object| on_workload(
        object,
        "certwright.dev/rollout",
        "None"
    )));
    assert!(!runs(
        &|object| object["metadata"]["deletionTimestamp"] = json!("2026-11-02T12:00:00Z")
    ));
    let restarted = |object: &mut Value| {
        on_template(object, WEB, "new");
        on_workload(object, "certwright.dev/rolled-at", "2026-11-02T12:58:00Z");
        object["status"]["updatedReplicas"] = json!(1);
    };
    assert!(!runs(&restarted), "its Pods are being replaced");
}

#[test]
fn how_a_workload_is_looked_at_is_said_by_itself_a_rule_or_the_certificate() {
    let policy = policy(json!({
        "probe": { "serverName": "all.example.com", "ports": [{ "port": 443 }] },
        "rules": [{ "name": "web", "probe": { "ports": [{ "port": "db", "startTLS": "postgres" }] } }],
    }))
    .unwrap();
    let probe = |change: &dyn Fn(&mut Value)| {
        let mut object = deployment();
        change(&mut object);
        policy.probe(&group(), &read(&object))
    };
    let of_rule = probe(&|_| ()).unwrap();
    assert_eq!(
        serde_json::to_value(&of_rule).unwrap(),
        json!({ "serverName": "all.example.com", "ports": [{ "port": "db", "startTLS": "postgres" }] })
    );
    let own = probe(&|object| {
        on_workload(object, "certwright.dev/rollout-probe", "8443, 25/smtp");
        on_workload(
            object,
            "certwright.dev/rollout-server-name",
            "Own.example.com",
        );
    });
    assert_eq!(
        serde_json::to_value(own.unwrap()).unwrap(),
        json!({ "serverName": "own.example.com", "ports": [{ "port": 8443 }, { "port": 25, "startTLS": "smtp" }] })
    );
    let none = probe(&|object| on_workload(object, "certwright.dev/rollout-probe", "Disabled"));
    assert_eq!(
        serde_json::to_value(none.unwrap().policy).unwrap(),
        json!("Disabled")
    );
    for (key, value) in [
        ("rollout-probe", "0"),
        ("rollout-probe", "8443/https"),
        ("rollout-probe", ""),
        ("rollout-server-name", "10.0.0.1"),
        ("rollout-server-name", "no name"),
    ] {
        let key = format!("certwright.dev/{key}");
        let problem = probe(&|object| on_workload(object, &key, value)).unwrap_err();
        assert!(
            problem
                .to_string()
                .starts_with(&format!("annotation {key}: ")),
            "{problem}"
        );
    }
}
