use super::*;

fn name(relative_names: &[&[(&str, &str)]]) -> DistinguishedName {
    let attribute = |(oid, value): &(&str, &str)| Attribute {
        oid: (*oid).into(),
        value: (*value).into(),
    };
    DistinguishedName(
        relative_names
            .iter()
            .map(|attributes| attributes.iter().map(attribute).collect())
            .collect(),
    )
}

#[test]
fn the_subject_is_encoded_as_go_does() {
    let subject = profile(|spec| {
        spec.common_name = Some("name".into());
        spec.subject = Some(Subject {
            organizations: strings(&["Beta", "Alpha", "Beta"]),
            countries: strings(&["DE"]),
            organizational_units: strings(&["Unit"]),
            localities: strings(&["Berlin"]),
            provinces: strings(&["BE"]),
            street_addresses: strings(&["Street 1"]),
            postal_codes: strings(&["10115"]),
            serial_number: Some("42".into()),
        });
    })
    .subject;
    assert_eq!(
        subject,
        name(&[
            &[("2.5.4.6", "DE")],
            &[("2.5.4.10", "Alpha"), ("2.5.4.10", "Beta")],
            &[("2.5.4.11", "Unit")],
            &[("2.5.4.7", "Berlin")],
            &[("2.5.4.8", "BE")],
            &[("2.5.4.9", "Street 1")],
            &[("2.5.4.17", "10115")],
            &[("2.5.4.3", "name")],
            &[("2.5.4.5", "42")],
        ])
    );
}

#[test]
fn texts_that_say_nothing_are_absent_or_refused() {
    let profile = profile(|spec| {
        spec.common_name = Some(String::new());
        spec.literal_subject = Some(String::new());
        spec.subject = Some(Subject {
            serial_number: Some(String::new()),
            ..Subject::default()
        });
    });
    assert!(profile.subject.is_empty());
    let refused = refused(|spec| {
        spec.subject = Some(Subject {
            organizations: strings(&["a", ""]),
            ..Subject::default()
        })
    });
    assert_eq!(refused.field, "spec.subject.organizations[1]");
}

#[test]
fn common_names_have_at_most_64_characters() {
    assert!(
        !profile(|spec| spec.common_name = Some("ü".repeat(64)))
            .subject
            .is_empty()
    );
    assert_eq!(
        refused(|spec| spec.common_name = Some("a".repeat(65))).field,
        "spec.commonName"
    );
}

#[test]
fn literal_subjects_turn_round() {
    let cn = "2.5.4.3";
    for (text, expected) in [
        (
            "CN=name,OU=team,O=company,C=DE",
            name(&[
                &[("2.5.4.6", "DE")],
                &[("2.5.4.10", "company")],
                &[("2.5.4.11", "team")],
                &[(cn, "name")],
            ]),
        ),
        (
            "OU=b,OU=a",
            name(&[&[("2.5.4.11", "a")], &[("2.5.4.11", "b")]]),
        ),
        (
            "CN=name+UID=7,O=o",
            name(&[
                &[("2.5.4.10", "o")],
                &[("0.9.2342.19200300.100.1.1", "7"), (cn, "name")],
            ]),
        ),
        ("CN=a+CN=a", name(&[&[(cn, "a")]])),
        ("CN=a;O=b", name(&[&[("2.5.4.10", "b")], &[(cn, "a")]])),
        (
            " CN = a b , O = c \n",
            name(&[&[("2.5.4.10", "c")], &[(cn, "a b")]]),
        ),
        (
            "cn=a,Dc=example,STREET=s,st=p,l=c",
            name(&[
                &[("2.5.4.7", "c")],
                &[("2.5.4.8", "p")],
                &[("2.5.4.9", "s")],
                &[("0.9.2342.19200300.100.1.25", "example")],
                &[(cn, "a")],
            ]),
        ),
        (
            "SERIALNUMBER=1,POSTALCODE=2",
            name(&[&[("2.5.4.17", "2")], &[("2.5.4.5", "1")]]),
        ),
        (
            "2.5.4.97=VATDE-1,CN=a",
            name(&[&[(cn, "a")], &[("2.5.4.97", "VATDE-1")]]),
        ),
        (
            r"CN=Foo\, Inc\+\;\=\<\>\#\\\22",
            name(&[&[(cn, r##"Foo, Inc+;=<>#\""##)]]),
        ),
        (r"CN=\#1\20\ ", name(&[&[(cn, "#1  ")]])),
        (r"CN=a\\ ", name(&[&[(cn, r"a\")]])),
        (r"CN=Lu\C4\8Di\C4\87", name(&[&[(cn, "Lučić")]])),
        (
            "CN=Jörg,O=東京",
            name(&[&[("2.5.4.10", "東京")], &[(cn, "Jörg")]]),
        ),
        ("CN=a=b#<c>", name(&[&[(cn, "a=b#<c>")]])),
        (
            "CN=James \\\"Jim\\\" Smith\\, III",
            name(&[&[(cn, "James \"Jim\" Smith, III")]]),
        ),
    ] {
        assert_eq!(
            profile(|spec| spec.literal_subject = Some(text.into())).subject,
            expected,
            "{text}"
        );
    }
}

#[test]
fn literal_subjects_that_cannot_be_read_say_why() {
    for (text, says) in [
        ("name", "not an attribute"),
        ("CN=a,", "not an attribute"),
        ("CN=a,,O=b", "not an attribute"),
        ("CN=Foo, Inc", "written \\,"),
        ("CN=", "at least one character"),
        ("CN= ,O=a", "at least one character"),
        ("=a", "not a known attribute"),
        (
            "X=a",
            "\"X\" is not a known attribute; write one of CN, C, O",
        ),
        ("EMAIL=a", "not a known attribute"),
        ("2.5.4.=a", "not an object identifier"),
        ("CN=#0C0161", "hexadecimal"),
        ("O=\"Foo, Inc\"", "quotation marks"),
        ("CN=a\\", "backslash"),
        ("CN=a\\4", "backslash"),
        ("CN=a\\zz", "backslash"),
        ("CN=a\\é", "backslash"),
        ("CN=\\FF", "not UTF-8"),
    ] {
        let refused = refused(|spec| spec.literal_subject = Some(text.into()));
        assert_eq!(refused.field, "spec.literalSubject");
        assert!(refused.problem.contains(says), "{text}: {refused}");
    }
}

#[test]
fn a_literal_subject_stands_alone() {
    let literal = |change: fn(&mut CertificateSpec)| {
        refused(|spec| {
            spec.literal_subject = Some("CN=a".into());
            change(spec);
        })
    };
    assert_eq!(
        literal(|spec| spec.common_name = Some("a".into())).field,
        "spec.literalSubject"
    );
    assert_eq!(
        literal(|spec| spec.subject = Some(Subject {
            countries: strings(&["DE"]),
            ..Subject::default()
        }))
        .field,
        "spec.literalSubject"
    );
}
