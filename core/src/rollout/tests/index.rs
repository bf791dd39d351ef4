use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn secret(name: &str) -> SourceName {
    Source::secret(name).within("shop")
}

fn readers(index: &Index, name: &str) -> Vec<String> {
    index
        .readers(&secret(name))
        .map(|workload| workload.name.clone())
        .collect()
}

fn touched(names: &[&str]) -> BTreeSet<SourceName> {
    names.iter().map(|name| secret(name)).collect()
}

#[test]
fn finds_readers_by_namespace_and_name() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    assert_eq!(
        index.applied(&read(&deployment())),
        touched(&["api-tls", "web-tls"])
    );
    assert_eq!(readers(&index, "web-tls"), ["web"]);
    assert_eq!(readers(&index, "other"), [""; 0]);
    let elsewhere = web().within("bank");
    assert_eq!(index.readers(&elsewhere).count(), 0);
}

#[test]
fn a_reference_that_goes_touches_its_secret_once_more() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    index.applied(&read(&deployment()));
    let mut object = deployment();
    object["spec"]["template"]["spec"]["volumes"] = json!([]);
    assert_eq!(
        index.applied(&read(&object)),
        touched(&["api-tls", "web-tls"])
    );
    assert_eq!(readers(&index, "web-tls"), [""; 0]);
    assert_eq!(index.applied(&read(&object)), touched(&["api-tls"]));
}

#[test]
fn a_deleted_workload_is_forgotten() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    let workload = read(&deployment());
    index.applied(&workload);
    assert_eq!(
        index.deleted(&(&workload).into()),
        touched(&["api-tls", "web-tls"])
    );
    assert_eq!(readers(&index, "web-tls"), [""; 0]);
    assert_eq!(index.deleted(&(&workload).into()), touched(&[]));
}

#[test]
fn a_new_list_drops_what_it_lacks_of_its_own_kind_only() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    let gone = read(&deployment());
    let mut object = deployment();
    object["metadata"]["name"] = json!("stays");
    let stays = read(&object);
    let other_kind = Workload::from_object(WorkloadKind::StatefulSet, &deployment());
    for workload in [&gone, &stays, &other_kind] {
        index.applied(workload);
    }
    index.list_begins(&WorkloadKind::Deployment);
    index.applied(&stays);
    assert_eq!(
        index.list_ends(&WorkloadKind::Deployment),
        touched(&["api-tls", "web-tls"])
    );
    let left: Vec<WorkloadName> = index.readers(&secret("web-tls")).cloned().collect();
    assert_eq!(left, [(&stays).into(), (&other_kind).into()]);
}

#[test]
fn a_list_that_broke_off_drops_nothing() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    let workload = read(&deployment());
    index.applied(&workload);
    index.list_begins(&WorkloadKind::Deployment);
    index.list_begins(&WorkloadKind::Deployment);
    index.applied(&workload);
    assert_eq!(index.list_ends(&WorkloadKind::Deployment), touched(&[]));
    assert_eq!(readers(&index, "web-tls"), ["web"]);
}

#[test]
fn it_is_complete_once_every_kind_was_listed() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    for kind in &WorkloadKind::BUILT_IN {
        assert!(!index.is_complete());
        index.list_begins(kind);
        assert!(!index.is_complete());
        index.list_ends(kind);
    }
    index.list_begins(&WorkloadKind::Deployment);
    assert!(index.is_complete());
}

#[test]
fn the_readers_of_a_namespace_are_those_in_it() {
    let mut index = Index::new(WorkloadKind::BUILT_IN);
    let mut elsewhere = deployment();
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    let mut unrelated = deployment();
    unrelated["metadata"]["name"] = json!("unrelated");
    unrelated["spec"]["template"]["spec"] = json!({});
    for workload in [&deployment(), &elsewhere, &unrelated] {
        index.applied(&read(workload));
    }
    let within: Vec<&str> = index
        .within("shop")
        .map(|name| name.name.as_str())
        .collect();
    assert_eq!(within, ["web"]);
}
