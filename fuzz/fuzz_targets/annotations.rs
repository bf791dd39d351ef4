//! Our annotations, as anybody may have written them: lines of `name=value`.
#![no_main]

use std::collections::BTreeMap;

use certwright_core::api::Group;
use certwright_core::pki::facts::Fingerprint;
use certwright_core::plan::Request;
use certwright_core::plan::marks::Marks;
use certwright_core::rollout::{Source, is_mark, mark_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let group = Group::default();
    let annotations: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (group.key(name), value.to_owned()))
        .collect();
    let marks = Marks::read(&annotations, &group);
    let mut written = BTreeMap::new();
    marks.write(&mut written, &group);
    assert_eq!(Marks::read(&written, &group), marks);
    assert!(written.keys().all(|key| annotations.contains_key(key)));

    for (key, value) in &annotations {
        for source in [Source::secret(value), Source::config_map(value)] {
            let mark = mark_key(&group, &source);
            assert!(is_mark(&group, &mark));
            assert!(mark.len() <= group.prefix().len() + 63);
        }
        let _ = is_mark(&group, key);
        if let Some(version) = Request::version_of(value) {
            assert!(value.starts_with(&format!("v{version}-")));
        }
        if let Ok(fingerprint) = value.parse::<Fingerprint>() {
            assert_eq!(fingerprint.to_string(), value.to_ascii_lowercase());
        }
    }
});
