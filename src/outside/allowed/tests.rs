use super::*;

/// The API server of these tests.
const API_SERVER: &str = "10.1.0.1:443";

fn checked(allowed: &Allowed, address: &str) -> &'static str {
    match allowed.check(address.parse().unwrap()) {
        Ok(()) => "public",
        Err(Forbidden::Own(_)) => "own",
        Err(Forbidden::Private(_)) => "private",
        Err(other) => panic!("{address}: {other}"),
    }
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_person_may_ask_any_address() {
    let any = Allowed::any();
    for address in [
        "192.0.2.1",
        "127.0.0.1",
        "10.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "64:ff9b::7f00:1",
    ] {
        assert_eq!(checked(&any, address), "public", "{address}");
    }
}

#[test]
fn only_public_addresses_are_asked_whatever_they_are_wrapped_in() {
    let allowed = Allowed::default();
    for (address, what) in [
        ("192.0.2.1", "public"),
        ("2001:db8::1", "public"),
        ("127.0.0.1", "own"),
        ("127.9.9.9", "own"),
        ("169.254.169.254", "own"),
        ("0.0.0.0", "own"),
        ("0.1.2.3", "own"),
        ("224.0.0.1", "own"),
        ("255.255.255.255", "own"),
        ("::1", "own"),
        ("::", "own"),
        ("fe80::1", "own"),
        ("ff02::1", "own"),
        ("10.0.0.1", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.1", "public"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("::ffff:127.0.0.1", "own"),
        ("::127.0.0.1", "own"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::192.0.2.1", "public"),
        ("64:ff9b::169.254.169.254", "own"),
        ("64:ff9b:1::127.0.0.1", "private"),
        ("2002:7f00:1::", "own"),
        ("2002:a00:1::", "private"),
    ] {
        assert_eq!(checked(&allowed, address), what, "{address}");
        assert_eq!(is_public(address.parse().unwrap()), what == "public");
    }
}

#[test]
fn an_administrator_can_allow_networks() {
    let allowed = Allowed::new(networks(&["10.1.0.0/16", "127.0.0.0/8"]));
    for (address, what) in [
        ("10.1.2.3", "public"),
        ("10.2.2.3", "private"),
        ("127.0.0.1", "public"),
        ("::ffff:10.1.2.3", "public"),
    ] {
        assert_eq!(checked(&allowed, address), what, "{address}");
    }
    let own: Vec<_> = allowed.own_host().map(ToString::to_string).collect();
    assert_eq!(own, ["127.0.0.0/8"]);
}

#[test]
fn the_own_host_is_allowed_by_its_name_only_not_by_all_there_is() {
    let allowed = Allowed::new(networks(&["0.0.0.0/0", "::/0"]));
    for (address, what) in [
        ("10.1.2.3", "public"),
        ("fd00::1", "public"),
        ("127.0.0.1", "own"),
        ("169.254.169.254", "own"),
        ("::ffff:169.254.169.254", "own"),
        ("::1", "own"),
        ("fe80::1", "own"),
    ] {
        assert_eq!(checked(&allowed, address), what, "{address}");
    }
    assert_eq!(allowed.own_host().count(), 0);
}

/// Holds one address, or can't tell.
struct Only(Option<SocketAddr>);

impl Addresses for Only {
    fn hold(&self, address: SocketAddr) -> BoxFuture<'_, anyhow::Result<bool>> {
        let holds = self.0.map(|only| only == address);
        Box::pin(std::future::ready(
            holds.ok_or_else(|| anyhow::anyhow!("nobody knows")),
        ))
    }
}

fn only(address: &str) -> Arc<dyn Addresses> {
    Arc::new(Only(Some(address.parse().unwrap())))
}

async fn admitted(allowed: &Allowed, address: &str) -> Result<(), Forbidden> {
    allowed.admit(address.parse().unwrap()).await
}

#[tokio::test]
async fn ones_own_addresses_are_asked_only_where_they_are_private() {
    for (own, address, admits) in [
        ("10.1.2.3:443", "10.1.2.3:443", true),
        ("10.1.2.3:443", "[::ffff:10.1.2.3]:443", true),
        ("10.1.2.3:443", "10.1.2.4:443", false),
        ("[fd00::1]:443", "[fd00::1]:443", true),
        ("127.0.0.1:443", "127.0.0.1:443", false),
        ("169.254.169.254:443", "169.254.169.254:443", false),
        (API_SERVER, API_SERVER, false),
        ("10.1.2.3:443", "192.0.2.1:443", true),
    ] {
        let allowed = Allowed::default().and_own(only(own));
        let allowed = allowed.but_not(only(API_SERVER));
        let answer = admitted(&allowed, address).await;
        assert_eq!(answer.is_ok(), admits, "{address}: {answer:?}");
    }
    let unknown = Allowed::default().and_own(Arc::new(Only(None)));
    let private = Forbidden::Private([10, 1, 2, 3].into());
    assert_eq!(admitted(&unknown, "10.1.2.3:443").await, Err(private));
    assert_eq!(admitted(&unknown, "192.0.2.1:443").await, Ok(()));
}

#[tokio::test]
async fn a_pods_address_may_be_private_and_nothing_else_that_is_refused() {
    let allowed = Allowed::default().but_not(only(API_SERVER));
    for (address, admits) in [
        ("10.1.2.3:80", true),
        ("[fd00::1]:80", true),
        ("192.0.2.1:80", true),
        (API_SERVER, false),
        ("127.0.0.1:80", false),
        ("[::ffff:127.0.0.1]:80", false),
        ("169.254.169.254:80", false),
    ] {
        let answer = allowed.admit_pod(address.parse().unwrap()).await;
        assert_eq!(answer.is_ok(), admits, "{address}: {answer:?}");
    }
}

#[tokio::test]
async fn the_api_server_is_asked_by_nobodys_leave_and_nobody_who_may_be_it() {
    let all = networks(&["0.0.0.0/0", "127.0.0.0/8"]);
    for (api_server, address, admits) in [
        (API_SERVER, API_SERVER, false),
        (API_SERVER, "[::ffff:10.1.0.1]:443", false),
        (API_SERVER, "10.1.0.1:80", true),
        (API_SERVER, "10.1.0.2:443", true),
        ("127.0.0.1:6443", "127.0.0.1:6443", false),
        ("203.0.113.1:443", "203.0.113.1:443", false),
    ] {
        let allowed = Allowed::new(all.clone()).but_not(only(api_server));
        let answer = admitted(&allowed, address).await;
        let api_server = api_server.parse().unwrap();
        let wanted = admits.then_some(()).ok_or(Forbidden::ApiServer(api_server));
        assert_eq!(answer, wanted, "{address}");
    }
    let unknown = Allowed::new(all).but_not(Arc::new(Only(None)));
    let untold = Forbidden::Untold(API_SERVER.parse().unwrap());
    assert_eq!(admitted(&unknown, API_SERVER).await, Err(untold));
}
