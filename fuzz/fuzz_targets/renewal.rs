//! When a CA suggests to renew: the object, and the `Retry-After` that came along.
#![no_main]

use certwright_core::acme::ari::{
    LONGEST_POLL, SHORTEST_POLL, next_after_failure, next_poll, window,
};
use certwright_core::acme::wire::RenewalInfo;
use certwright_fuzz::now;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    retry_after: Option<String>,
    /// As in its body, which may be no JSON.
    body: String,
    #[serde(default)]
    failures: u32,
}

fuzz_target!(|json: &[u8]| {
    let Ok(answer) = serde_json::from_slice::<Answer>(json) else {
        return;
    };
    let retry_after = answer.retry_after.as_deref();
    for next in [
        next_poll(now(), retry_after),
        next_after_failure(now(), answer.failures, retry_after),
    ] {
        let wait = next.duration_since(now());
        assert!((SHORTEST_POLL..=LONGEST_POLL).contains(&wait), "{wait:?}");
    }
    let Ok(info) = serde_json::from_str::<RenewalInfo>(&answer.body) else {
        return;
    };
    let Some(window) = window(&info) else {
        assert!(info.suggested_window.end <= info.suggested_window.start);
        return;
    };
    assert!(window.start < window.end);
    // As it stands in a status.
    let json = serde_json::to_string(&window).unwrap();
    if let Ok(again) = serde_json::from_str(&json) {
        assert_eq!(window, again);
    }
});
