//! An answer that says no: its status, its `Retry-After`, and the problem document as it came. There is a meaning for each,
//! in bounded words, and no moment beyond a week.
#![no_main]

use certwright_core::acme::problem::{MAX_RETRY_AFTER, MAX_WORDS, describe, describe_validation};
use certwright_core::acme::wire::{Identifier, Problem};
use certwright_core::acme::{Meaning, Pace, Scope};
use certwright_core::api::names;
use certwright_fuzz::{is_plain, now};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    status: u16,
    retry_after: Option<String>,
    /// As in its body, which may be no JSON.
    problem: String,
    #[serde(default)]
    kind: String,
}

fuzz_target!(|json: &[u8]| {
    let Ok(answer) = serde_json::from_slice::<Answer>(json) else {
        return;
    };
    let problem: Problem = serde_json::from_str(&answer.problem).unwrap_or_default();
    let retry_after = answer.retry_after.as_deref();
    let meaning = Meaning::of_answer(now(), answer.status, &problem, retry_after);
    look(&meaning);
    assert!(is_plain(&describe(&meaning, &problem), MAX_WORDS));
    // What is retried at once says so itself; nothing that nobody knows does.
    if problem == Problem::default() {
        assert_ne!(meaning.pace(), Pace::AtOnce);
    }

    let meaning = Meaning::of_validation(&problem);
    look(&meaning);
    let name = Identifier::Dns("www.example.com".to_owned());
    let words = describe_validation(&name, &answer.kind, &problem);
    assert!(is_plain(&words, MAX_WORDS) && words.contains("www.example.com"));
});

fn look(meaning: &Meaning) {
    assert!(
        meaning
            .reason()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric())
    );
    if let Some(until) = meaning.until() {
        let wait = until.duration_since(now());
        assert!(!wait.is_negative() && wait <= MAX_RETRY_AFTER, "{wait:?}");
    }
    if let Meaning::RateLimited { scope, .. } = meaning {
        match scope {
            Scope::Domain(name) | Scope::Name(name) => {
                assert_eq!(names::dns_name(name).as_ref(), Ok(name));
            }
            Scope::Names | Scope::Account | Scope::NewAccounts => {}
        }
    }
    let waits: Vec<_> = (0..40)
        .map(|failures| meaning.pace().wait(failures))
        .collect();
    assert!(waits.is_sorted());
}
