//! A CA's directory. What it lists belongs to it, by https, and nothing else does.
#![no_main]

use certwright_core::acme::Origins;
use certwright_core::acme::origin::{MAX_URL, UrlProblem, check_sound};
use certwright_core::acme::wire::{Account, Directory};
use libfuzzer_sys::fuzz_target;

const URL: &str = "https://ca.example:14000/dir";

fuzz_target!(|json: &[u8]| {
    let _ = serde_json::from_slice::<Account>(json);
    let Ok(directory) = serde_json::from_slice::<Directory>(json) else {
        return;
    };
    let listed = [
        &directory.new_nonce,
        &directory.new_account,
        &directory.new_order,
    ];
    let more = [
        &directory.revoke_cert,
        &directory.key_change,
        &directory.renewal_info,
    ];
    let listed: Vec<_> = listed
        .into_iter()
        .chain(more.into_iter().flatten())
        .collect();
    let origins = match Origins::of(URL, &directory) {
        Ok(origins) => origins,
        Err(problem) => {
            assert!(matches!(problem, UrlProblem::Unsound { .. }));
            assert!(listed.iter().any(|url| check_sound(url).is_err()));
            assert!(problem.to_string().len() < 12 * MAX_URL);
            return;
        }
    };
    for url in &listed {
        origins.check(url).unwrap();
        assert!(url.len() <= MAX_URL);
        assert!(url.get(..8).unwrap().eq_ignore_ascii_case("https://"));
    }
    origins.check(URL).unwrap();
    assert!(
        origins
            .check("https://nobody-lists.this.example:1/")
            .is_err()
            || listed.iter().any(|url| url.contains("nobody-lists"))
    );
});
