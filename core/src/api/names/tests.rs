use super::*;

fn problem(result: Result<String, InvalidName>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn dns_names_take_their_canonical_form() {
    for (text, name) in [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("example.com.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("_acme-challenge.example.com", "_acme-challenge.example.com"),
        ("my_service.svc", "my_service.svc"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ。com", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        // Not valid as an A-label, and still a name that DNS can hold: passed on as it is.
        ("xn--0.example", "xn--0.example"),
        ("r3---sn-abc.example", "r3---sn-abc.example"),
        ("1.example", "1.example"),
    ] {
        assert_eq!(dns_name(text), Ok(name.to_owned()), "{text}");
    }
}

#[test]
fn dns_names_that_no_verifier_matches_are_refused() {
    for (text, says) in [
        ("", "is no name"),
        (".", "is no name"),
        ("*", "the whole first label"),
        ("*.", "is no name"),
        ("a*.example.com", "the whole first label"),
        ("a.*.example.com", "the whole first label"),
        ("*.*.example.com", "the whole first label"),
        ("＊.example.com", "the whole first label"),
        ("a..b", "empty label"),
        (".example.com", "empty label"),
        ("exa mple.com", "has ' '"),
        ("example.com:443", "has ':'"),
        ("example.com/path", "has '/'"),
        ("-a.example.com", "begin or end with a hyphen"),
        ("a-.example.com", "begin or end with a hyphen"),
        ("10.0.0.1", "under ipAddresses"),
        ("10.0.0.1.", "under ipAddresses"),
        ("１０.0.0.1", "under ipAddresses"),
        ("2001:db8::1", "under ipAddresses"),
        ("https://example.com", "under uris"),
        ("ops@example.com", "under emailAddresses"),
        ("\u{fffd}.example", "UTS #46"),
    ] {
        let problem = problem(dns_name(text));
        assert!(problem.contains(says), "{text}: {problem}");
    }
    assert!(problem(dns_constraint("10.0.0.1.")).contains("ipRanges"));
}

#[test]
fn dns_lengths_count_after_encoding() {
    let label = "a".repeat(63);
    assert!(dns_name(&label).is_ok());
    assert!(dns_name(&format!("{label}a")).is_err());
    // 60 letters ü need more than 63 bytes as an A-label.
    assert!(dns_name(&"ü".repeat(60)).is_err());

    let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(name.len(), 253);
    assert_eq!(dns_name(&format!("{name}.")), Ok(name.clone()));
    assert!(dns_name(&format!("{name}a")).is_err());
    assert!(dns_name(&format!("*.{name}")).is_err());
}

#[test]
fn dns_constraints_keep_their_leading_dot() {
    assert_eq!(dns_constraint("Example.com"), Ok("example.com".into()));
    assert_eq!(
        dns_constraint(".bücher.example"),
        Ok(".xn--bcher-kva.example".into())
    );
    assert_eq!(dns_constraint(""), Ok(String::new()));
    assert!(problem(dns_constraint("*.example.com")).contains("write \"example.com\""));
    assert!(problem(dns_constraint("10.0.0.0")).contains("ipRanges"));
    assert!(dns_constraint(".").is_err());
    assert!(dns_constraint("..example.com").is_err());
}

#[test]
fn addresses_have_one_form() {
    assert_eq!(ip_address("192.0.2.1"), Ok("192.0.2.1".parse().unwrap()));
    assert_eq!(
        ip_address("2001:DB8:0::1"),
        Ok("2001:db8::1".parse().unwrap())
    );
    assert_eq!(
        ip_address("::ffff:192.0.2.1"),
        Ok("192.0.2.1".parse().unwrap())
    );
    for text in [
        "",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.256",
        "fe80::1%eth0",
        "[::1]",
        "localhost",
        " 192.0.2.1",
    ] {
        assert!(ip_address(text).is_err(), "{text}");
    }
    assert!(
        ip_address("192.0.2.0/24")
            .unwrap_err()
            .to_string()
            .contains("is a range")
    );
}

#[test]
fn ranges_lose_their_host_bits() {
    for (text, address, prefix) in [
        ("10.0.0.0/8", "10.0.0.0", 8),
        ("10.1.2.3/8", "10.0.0.0", 8),
        ("10.1.2.3/32", "10.1.2.3", 32),
        ("10.1.2.3/0", "0.0.0.0", 0),
        ("2001:db8::1/32", "2001:db8::", 32),
        ("2001:db8::1/128", "2001:db8::1", 128),
        ("2001:db8::1/0", "::", 0),
        ("::ffff:10.1.2.3/104", "10.0.0.0", 8),
        ("::ffff:10.1.2.3/40", "::", 40),
    ] {
        assert_eq!(
            ip_range(text),
            Ok((address.parse().unwrap(), prefix)),
            "{text}"
        );
    }
    for text in [
        "",
        "10.0.0.0/33",
        "2001:db8::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "/8",
        "10.0.0.0/256",
    ] {
        assert!(ip_range(text).is_err(), "{text}");
    }
    assert!(
        ip_range("10.0.0.1")
            .unwrap_err()
            .to_string()
            .contains("write 10.0.0.1/32")
    );
    assert!(
        ip_range("::1")
            .unwrap_err()
            .to_string()
            .contains("write ::1/128")
    );
}

#[test]
fn absolute_uris_are_kept_as_written() {
    for text in [
        "spiffe://cluster.local/ns/team/sa/web",
        "HTTPS://Example.com/Path?q=1#f",
        "https://user@example.com:8443/",
        "https://[2001:db8::1]:443/",
        "https://192.0.2.1/",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "file:///etc/passwd",
        "mailto:ops@example.com",
        "https://example.com/%C3%A9",
    ] {
        assert_eq!(uri(text), Ok(text.to_owned()));
    }
}

#[test]
fn uris_that_break_a_certificate_are_refused() {
    for (text, says) in [
        ("", "no scheme"),
        ("example.com/path", "no scheme"),
        ("//example.com", "no scheme"),
        ("1a:b", "no scheme"),
        ("https:", "says nothing"),
        ("https://bücher.example/", "beyond ASCII"),
        ("https://example.com/a b", "write it as %20"),
        ("https://example.com/{id}", "write it as %7B"),
        ("https://example.com/100%", "write %25"),
        ("https://example.com/%zz", "write %25"),
        ("https://example.com:port/", "is not a host"),
        ("https://example..com/", "is not a host"),
        ("https://example.com./", "is not a host"),
        ("https://[::1/", "is not a host"),
        ("https://[::1]x/", "is not a host"),
        ("https://[192.0.2.1]/", "is not a host"),
    ] {
        let problem = problem(uri(text));
        assert!(problem.contains(says), "{text}: {problem}");
    }
}

#[test]
fn uri_constraints_are_hosts() {
    assert_eq!(uri_constraint("Example.com"), Ok("example.com".into()));
    assert_eq!(uri_constraint(".example.com"), Ok(".example.com".into()));
    assert!(problem(uri_constraint("https://example.com")).contains("only its host"));
    assert!(problem(uri_constraint("192.0.2.1")).contains("is an IP address"));
}

#[test]
fn mailboxes_encode_their_domain_and_keep_their_local_part() {
    assert_eq!(
        email_address("Ops.Team+tls@Example.com"),
        Ok("Ops.Team+tls@example.com".into())
    );
    assert_eq!(
        email_address("ops@bücher.example"),
        Ok("ops@xn--bcher-kva.example".into())
    );
    assert_eq!(
        email_address(r#""a @ b\"c"@example.com"#),
        Ok(r#""a @ b\"c"@example.com"#.into())
    );
    for text in [
        "",
        "ops",
        "@example.com",
        "ops@",
        ".a@example.com",
        "a..b@example.com",
        "Ops <ops@example.com>",
        "a b@example.com",
        r#""a"b"@example.com"#,
        r#""a\"@example.com"#,
        "a@*.example.com",
    ] {
        assert!(email_address(text).is_err(), "{text}");
    }
    assert!(problem(email_address("bücher@example.com")).contains("1.3.6.1.5.5.7.8.9"));
}

#[test]
fn mailbox_constraints_are_mailboxes_hosts_or_domains() {
    for (text, says) in [
        ("ops@Example.com", "ops@example.com"),
        ("Example.com", "example.com"),
        (".Example.com", ".example.com"),
    ] {
        assert_eq!(email_constraint(text), Ok(says.to_owned()));
    }
}

#[test]
fn object_identifiers_are_dotted_numbers() {
    assert_eq!(
        object_identifier("1.3.6.1.4.1.311.20.2.3"),
        Ok("1.3.6.1.4.1.311.20.2.3".into())
    );
    for text in [
        "",
        "1",
        "1.",
        "3.1.2",
        "1.40.1",
        "1.3.a",
        "UPN",
        "1..3",
        "1.3.6.1.4.1.99999999999",
    ] {
        assert!(object_identifier(text).is_err(), "{text}");
    }
}
