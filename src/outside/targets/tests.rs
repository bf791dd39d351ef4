use std::net::SocketAddr;

use super::*;
use crate::outside::Forbidden;

fn targets(list: &[&str]) -> AllowedTargets {
    AllowedTargets::new(list.iter().map(|text| text.parse().unwrap()).collect())
}

/// Which of these addresses are admitted for a host at port 443; `None` if the host isn't even looked up.
async fn admitted<'a>(
    targets: &AllowedTargets,
    host: &str,
    addresses: &[&'a str],
) -> Option<Vec<&'a str>> {
    let allowed = targets.addresses(host, 443)?;
    let mut admitted = Vec::new();
    for address in addresses {
        let at = SocketAddr::new(address.parse().unwrap(), 443);
        if allowed.admit(at).await.is_ok() {
            admitted.push(*address);
        }
    }
    Some(admitted)
}

const ADDRESSES: [&str; 6] = [
    "203.0.113.9",
    "10.1.2.3",
    "10.200.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "::ffff:10.1.2.3",
];

#[tokio::test]
async fn a_name_that_is_listed_leads_to_private_addresses_too_but_never_to_the_operators_own() {
    let listed = targets(&["DB.Shop.svc:443", "10.200.0.0/16:443"]);
    let db = admitted(&listed, "db.shop.svc", &ADDRESSES).await;
    let all_but_own = ["203.0.113.9", "10.1.2.3", "10.200.0.1", "::ffff:10.1.2.3"];
    assert_eq!(db.as_deref(), Some(&all_but_own[..]));
    assert!(listed.addresses("db.shop.svc", 5432).is_none());
}

#[tokio::test]
async fn one_that_is_listed_by_a_wildcard_leads_to_public_addresses_and_listed_networks() {
    let listed = targets(&["*.example.com:443", "10.200.0.0/16:443", "10.1.0.0/16:8443"]);
    for host in ["www.example.com", "a.b.example.com"] {
        let led = admitted(&listed, host, &ADDRESSES).await;
        assert_eq!(led.as_deref(), Some(&["203.0.113.9", "10.200.0.1"][..]));
    }
    let any = targets(&["*:443"]);
    for host in ["www.example.org", "203.0.113.9", "10.1.2.3"] {
        let led = admitted(&any, host, &ADDRESSES).await;
        assert_eq!(led.as_deref(), Some(&["203.0.113.9"][..]), "{host}");
    }
}

#[tokio::test]
async fn any_other_name_or_address_leads_to_listed_networks_and_nowhere_else() {
    let listed = targets(&[
        "*.example.com:443",
        "10.200.0.0/16:443",
        "[2001:db8::/32]:443",
    ]);
    // Neither is below the domain.
    for host in [
        "example.com",
        "evil-example.com",
        ".example.com",
        "shop.corp",
    ] {
        let led = admitted(&listed, host, &ADDRESSES).await;
        assert_eq!(led.as_deref(), Some(&["10.200.0.1"][..]), "{host}");
    }
    assert!(listed.addresses("10.200.0.1", 443).is_some());
    assert!(listed.addresses("2001:db8::1", 443).is_some());
    for host in ["10.1.2.3", "203.0.113.9", "127.0.0.1", "::1"] {
        assert!(listed.addresses(host, 443).is_none(), "{host}");
    }
    let allowed = listed.addresses("10.200.0.1", 443).unwrap();
    let public = SocketAddr::from(([203, 0, 113, 9], 443));
    assert_eq!(
        allowed.admit(public).await,
        Err(Forbidden::Unlisted(public.ip()))
    );
    assert!(AllowedTargets::default().addresses("a", 443).is_none());
}

#[tokio::test]
async fn the_operators_own_host_is_reached_only_where_a_part_of_it_is_listed() {
    for (list, reached) in [("0.0.0.0/0:*", false), ("127.0.0.1:*", true)] {
        let listed = targets(&[list]);
        let led = admitted(&listed, "127.0.0.1", &["127.0.0.1"]).await;
        assert_eq!(led.is_some_and(|led| !led.is_empty()), reached, "{list}");
        assert_eq!(!listed.own_host().is_empty(), reached, "{list}");
    }
}

#[test]
fn what_is_no_target_is_said() {
    for (text, why) in [
        ("", "no port"),
        ("www.example.com", "no port"),
        ("www.example.com:", "port is not"),
        ("www.example.com:0", "port is not"),
        ("www.example.com:65536", "port is not"),
        ("10.0.0.0/33:443", "no network"),
        ("10.0.0:443", "no network"),
        ("[10.0.0.0/8:443", "no network"),
        ("fd00::/8:443", "no network"),
        ("2001:db8::1:443", "no network"),
        ("[www.example.com]:443", "no network"),
        ("www.example.com/8:443", "no network"),
        ("*example.com:443", "neither"),
        ("www.*.com:443", "neither"),
        ("*.:443", "no network"),
        ("a..b:443", "neither"),
        ("https://www.example.com:443", "no network"),
    ] {
        let problem = text.parse::<AllowedTarget>().unwrap_err();
        assert!(problem.contains(why), "{text}: {problem}");
    }
}
