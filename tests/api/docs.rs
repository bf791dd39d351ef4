//! The pages of `docs` hold what they say: each reason that the code knows is there and no other, the YAML is taken, and links
//! lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certwright_core::api::Group;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::cluster::{Kind, control_plane};

/// Where reasons are named. What is said of ACME has a page of its own.
const PLACES: &[&str] = &[
    "core/src/checks",
    "core/src/plan",
    "core/src/rollout",
    "src/app",
    "src/checks",
    "src/controller",
    "src/issuer",
    "src/rollout",
];
const ACME_PLACES: &[&str] = &["core/src/acme/problem.rs", "src/issuer/acme"];

/// Words in quotes there that are no reasons.
const OTHER_WORDS: &[&str] = &[
    // Kinds of objects.
    "Certificate",
    "ClusterIssuer",
    "ConfigMap",
    "ControllerRevision",
    "DaemonSet",
    "Deployment",
    "Ingress",
    "Issuer",
    "Object",
    "Pod",
    "ReplicaSet",
    "Secret",
    "StatefulSet",
    // Conditions.
    "Issuing",
    "Reachable",
    "RevocationChecked",
    // What an Event says was done.
    "Call",
    "Issue",
    "Keep",
    "Probe",
    "Look",
    "Read",
    "Reconcile",
    "Register",
    "Repair",
    "Restart",
    "Revoke",
    "RollBack",
    "Verify",
    // A type of Secret.
    "Opaque",
    // What the controllers of workloads and kubelets say.
    "ContainerCannotRun",
    "ContainerCreating",
    "ContainerStatusUnknown",
    "CrashLoopBackOff",
    "OOMKilled",
    "PodInitializing",
    "StartError",
    "False",
    "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded",
    "Progressing",
    "True",
    // Phases of Pods, and field managers' operations.
    "Apply",
    "Failed",
    "Succeeded",
    // What is said only within a message.
    "ClusterIssuersOff",
    // What is watched and listed, in messages.
    "Certificates",
    "EndpointSlices",
    "Ingresses",
    "Pods",
    "Secrets",
    "Services",
    // What is written in annotations.
    "Disabled",
    // What is not told, since nothing is wanted of it.
    "OptedOut",
    "ServedChecks",
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root("docs").join(name)).unwrap()
}

/// The sources in a file or folder, without those of tests.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy();
            !["tests", "golden"].contains(&stem.as_ref()) && !stem.ends_with("_tests")
        })
        .flat_map(|path| sources(&path))
        .collect()
}

/// All words in quotes that are written as reasons are, such as `ForeignSecret`, outside of tests.
fn words(places: &[&str]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for path in places.iter().flat_map(|place| sources(&root(place))) {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let quoted = line.split('"').skip(1).step_by(2);
            words.extend(quoted.filter(|word| is_reason(word)).map(str::to_owned));
        }
    }
    words
}

fn is_reason(word: &str) -> bool {
    word.len() > 2
        && word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.chars().all(|char| char.is_ascii_alphabetic())
        && word.contains(|char: char| char.is_ascii_lowercase())
}

/// The reasons in the tables of a page, which stand in one of the first two columns, in backticks.
fn listed(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|row| row.split('|').skip(1).take(2))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|word| is_reason(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_reason_is_in_the_documentation_and_no_other() {
    let acme = words(ACME_PLACES);
    assert!(
        acme.contains("DNSProblem") && acme.contains("OrderStuck"),
        "{acme:?}"
    );
    let all: BTreeSet<_> = words(PLACES).union(&acme).cloned().collect();
    assert!(
        all.contains("ForeignSecret") && all.contains("WaitsForLimit"),
        "{all:?}"
    );
    let other: BTreeSet<_> = OTHER_WORDS.iter().map(|word| (*word).to_owned()).collect();

    let on_acme_page = listed(&page("acme-messages.md"));
    let on_reasons_page = listed(&page("reasons.md"));
    let elsewhere: BTreeSet<_> = ["rollout.md", "served-checks.md"]
        .into_iter()
        .flat_map(|name| listed(&page(name)))
        .collect();
    let listed: BTreeSet<_> = on_acme_page.union(&on_reasons_page).cloned().collect();

    let missing: Vec<_> = acme
        .difference(&other)
        .filter(|word| !on_acme_page.contains(*word))
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/acme-messages.md, nor in OTHER_WORDS: {missing:?}"
    );
    let missing: Vec<_> = all
        .difference(&other)
        .filter(|word| !listed.contains(*word) && !elsewhere.contains(*word))
        .collect();
    assert!(
        missing.is_empty(),
        "not in docs/reasons.md, nor in OTHER_WORDS: {missing:?}"
    );

    let known = words(&["core/src", "src"]);
    let unknown: Vec<_> = listed.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "in the documentation, and not in the code: {unknown:?}"
    );
    let unknown: Vec<_> = other.difference(&all).collect();
    assert!(
        unknown.is_empty(),
        "in OTHER_WORDS, and not in the code: {unknown:?}"
    );
}

/// All pages for users, and those for whoever works on Certwright.
fn pages() -> Vec<PathBuf> {
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ];
    let folders = ["docs", "docs/adr", "charts/certwright"];
    let in_folders = folders.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(root(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path())
    });
    let pages: Vec<_> = in_folders
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain(names.map(root))
        .collect();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The name by which a link finds a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            links += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(path.exists(), "{}: {target}", page.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{}: {target}",
                    page.display()
                );
            }
        }
    }
    assert!(links > 50, "{links}");
}

/// The blocks of YAML of a page, with the line that each begins after.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match &mut block {
            None if line.trim() == "```yaml" => block = Some((number + 1, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(block.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks
}

/// Each block of YAML can be read, and the API server takes each whole object of ours in it.
#[tokio::test]
async fn the_yaml_of_the_documentation_is_taken() {
    let control_plane = control_plane().await;
    let group = Group::default();
    let (mut read, mut taken) = (0, 0);
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, block) in blocks(&text) {
            for document in serde_yaml::Deserializer::from_str(&block) {
                let place = format!("{}, line {line}", path.display());
                let object = Value::deserialize(document)
                    .unwrap_or_else(|problem| panic!("{place}: {problem}"));
                read += 1;
                if object["apiVersion"] != json!(group.api_version()) {
                    continue;
                }
                let kind = match object["kind"].as_str() {
                    Some("Certificate") => "Certificate",
                    Some("Issuer") => "Issuer",
                    Some("ClusterIssuer") => "ClusterIssuer",
                    Some("ServedCheck") => "ServedCheck",
                    other => panic!("{place}: there is no kind {other:?}"),
                };
                let objections = Kind::new(control_plane, &group, kind)
                    .objections(&object["spec"])
                    .await;
                assert_eq!(objections, [], "{place}");
                taken += 1;
            }
        }
    }
    assert!(read >= 10 && taken >= 5, "{read} read, {taken} taken");
}
