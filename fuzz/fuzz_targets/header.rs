//! What stands in headers and short fields of a CA's answers: `kind:text`.
#![no_main]

use certwright_core::acme::links::links;
use certwright_core::acme::origin::{MAX_TOKEN, MAX_URL, check_sound};
use certwright_core::acme::problem::{MAX_RETRY_AFTER, plain, retry_after};
use certwright_core::acme::token_is_sound;
use certwright_core::http01::Challenge;
use certwright_fuzz::{is_plain, now};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((kind, text)) = text.split_once(':') else {
        return;
    };
    match kind {
        "retry-after" => {
            if let Some(until) = retry_after(now(), text) {
                let wait = until.duration_since(now());
                assert!(!wait.is_negative() && wait <= MAX_RETRY_AFTER, "{wait:?}");
            }
        }
        "link" => {
            for url in links(text, "alternate") {
                assert!(text.contains(&format!("<{url}")) || text.contains(url));
                assert!(!url.contains('>'));
                assert!(text.to_ascii_lowercase().contains("alternate"));
            }
        }
        "token" => {
            let sound = token_is_sound(text);
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            assert_eq!(
                sound,
                !text.is_empty() && text.len() <= MAX_TOKEN && text.chars().all(letters)
            );
            // What is shown under it stands in a path of one segment.
            let shown = Challenge::new("www.example.com", text);
            assert!(sound || shown.is_err());
        }
        "url" => {
            if check_sound(text).is_ok() {
                assert!(text.len() <= MAX_URL && text.is_ascii());
                assert!(!text.contains(char::is_whitespace));
                let host = text[8..].split(['/', '?', '#']).next().unwrap_or_default();
                assert!(!host.is_empty() && !host.contains('@'));
            }
        }
        "words" => {
            for most in [0, 1, 10, 512] {
                // The mark that something was cut comes on top.
                let words = plain(text, most);
                assert!(is_plain(&words, most + '…'.len_utf8()));
                assert_eq!(plain(&words, usize::MAX), words);
            }
        }
        _ => {}
    }
});
