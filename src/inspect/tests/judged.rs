use super::*;

/// Who reads a Secret trusts its ca.crt.
#[test]
fn a_secret_is_judged_by_what_its_readers_have() {
    let shop = Shop::new();
    let other = Shop::new();
    let judged = |key: &str, entries: &[(&str, String)]| {
        let mut data: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, pem)| ((*key).to_owned(), ByteString(pem.clone().into_bytes())))
            .collect();
        data.insert("tls.key".to_owned(), ByteString(key.as_bytes().to_vec()));
        let secret = Secret {
            data: Some(data),
            ..Secret::default()
        };
        let found = read::secret("shop", "web-tls", &secret);
        let settings = InspectSettings {
            target: Target::Secret("web-tls".to_owned()),
            namespace: None,
            context: None,
            server_name: None,
            starttls: None,
            outside: OutsideSettings::default(),
        };
        let outside = Outside::new(&settings.outside).unwrap();
        let trust = Trust::new(&settings, &outside, &found).unwrap();
        let name = server_name("shop.example.com").unwrap();
        let shown = trust.shown(Some(&name), at("2026-12-02T10:00:00Z"));
        let faults = judge(&found, &shown).unwrap().faults;
        faults.iter().map(Fault::code).collect::<Vec<_>>()
    };
    let chain = || ("tls.crt", pem(&[&shop.leaf, &shop.intermediate]));
    let root = || ("ca.crt", pem(&[&shop.root]));
    assert_eq!(judged(&shop.key_pem(), &[chain(), root()]), [""; 0]);
    assert_eq!(judged(&shop.key_pem(), &[chain()]), ["unknown-ca"]);
    let short = ("tls.crt", pem(&[&shop.leaf]));
    assert_eq!(
        judged(&shop.key_pem(), &[short, root()]),
        ["missing-intermediate"]
    );
    assert_eq!(
        judged(&other.key_pem(), &[chain(), root()]),
        ["key-mismatch"]
    );
}
