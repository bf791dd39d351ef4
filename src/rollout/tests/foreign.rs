use certwright_core::rollout::SourceKind;
use k8s_openapi::api::core::v1::ConfigMap;

use super::super::{context, foreign};
use super::*;

/// The operator's view of the ConfigMap `trust`.
struct Trust {
    around: Arc<Around>,
    context: Context<Around>,
    sources: context::Sources,
}

impl Trust {
    fn new() -> Self {
        let around = Around::new();
        let (context, sources) = Context::new(rollout(&Server::new(deployment()), &around));
        for kind in &WorkloadKind::BUILT_IN {
            context.index().list_ends(kind);
        }
        Self {
            around,
            context,
            sources,
        }
    }

    /// The watch shows it.
    fn shows(&mut self, label: &str, annotations: Value, data: &str) -> Foreign {
        let object = json!({
            "metadata": {
                "name": "trust", "namespace": "shop", "labels": { "certwright.dev/rollout": label }, "annotations": annotations,
                "managedFields": [{ "time": "2026-11-02T10:00:00Z", "fieldsV1": { "f:data": {} } }],
            },
            "data": { "ca.crt": data },
        });
        let config_map: ConfigMap = serde_json::from_value(object).unwrap();
        let trust = Foreign::of_config_map(&Group::default(), &config_map);
        let event = Event::Apply(trust.clone());
        foreign::note(&self.context, &event);
        self.sources
            .foreign
            .config_maps
            .writer
            .apply_watcher_event(&event);
        trust
    }

    fn held(&self) -> Option<Held> {
        let name = Source::config_map("trust").within("shop");
        self.context.held_in(&name)
    }
}

#[tokio::test]
async fn what_was_there_before_is_told_from_what_changed() {
    let mut trust = Trust::new();
    assert_eq!(trust.held(), None);
    trust.shows("true", json!({}), "one");
    let first = trust.held().unwrap();
    assert_eq!(
        (first.first_seen, first.issued_at),
        (true, Some(at("10:00:00")))
    );
    assert_eq!((first.certificate, first.not_after), (None, None));
    trust.shows("true", json!({ "certwright.dev/rollout": "Reload" }), "one");
    assert!(trust.held().unwrap().first_seen);
    trust.shows("true", json!({}), "two");
    let second = trust.held().unwrap();
    assert_ne!(second.fingerprint, first.fingerprint);
    assert_eq!(
        (second.first_seen, second.issued_at),
        (false, Some(at("13:00:00")))
    );
    trust.shows("false", json!({}), "two");
    assert_eq!(trust.held(), None);
    // It has not changed since.
    trust.shows("true", json!({}), "two");
    assert!(!trust.held().unwrap().first_seen);
}

#[tokio::test]
async fn what_is_ours_is_ours_whatever_its_labels_say() {
    let trust = Trust::new();
    let ours = trust
        .context
        .held_in(&Source::secret("web-tls").within("shop"));
    assert_eq!(ours.unwrap().certificate.as_deref(), Some("web"));
    let same_name = Source {
        kind: SourceKind::ConfigMap,
        name: "web-tls".to_owned(),
    };
    assert_eq!(trust.context.held_in(&same_name.within("shop")), None);
}

#[tokio::test]
async fn what_cant_be_read_is_told_once_and_only_by_who_leads() {
    let mut trust = Trust::new();
    trust.around.leads.store(false, Ordering::SeqCst);
    let wrong = trust.shows("Restart", json!({}), "one");
    foreign::reconcile(&wrong, &trust.context).await;
    assert_eq!(trust.around.reports(), []);
    trust.around.leads.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        foreign::reconcile(&wrong, &trust.context).await;
    }
    let reports = std::mem::take(&mut *trust.around.reports.lock().unwrap());
    assert_eq!(reports.len(), 1);
    let about = &reports[0].about;
    let about = [
        &about.api_version,
        &about.kind,
        &about.namespace,
        &about.name,
    ];
    assert_eq!(
        about.map(|text| text.as_deref().unwrap()),
        ["v1", "ConfigMap", "shop", "trust"]
    );
    assert_eq!(reports[0].reason, "Misconfigured");
    assert!(
        reports[0]
            .note
            .contains("label certwright.dev/rollout: \"Restart\""),
        "{reports:?}"
    );

    let wrong = trust.shows("true", json!({ "certwright.dev/rollout": "Reboot" }), "one");
    foreign::reconcile(&wrong, &trust.context).await;
    let note = trust.around.reports().remove(0).1;
    assert!(
        note.contains("annotation certwright.dev/rollout of the ConfigMap: "),
        "{note}"
    );
}
