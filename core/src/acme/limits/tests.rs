use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-06T12:00:00Z")
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn set(names: &[&str]) -> BTreeSet<Identifier> {
    names
        .iter()
        .map(|name| {
            name.parse()
                .map_or_else(|_| Identifier::Dns((*name).to_owned()), Identifier::Ip)
        })
        .collect()
}

fn limited(names: &[&str], scope: Scope, until: Option<Timestamp>) -> Event {
    Event::Limited {
        identifiers: set(names),
        scope,
        until,
        replaces: false,
    }
}

/// Until when a first certificate for these names has to wait.
fn held(limits: &Limits, now: Timestamp, names: &[&str]) -> Option<Timestamp> {
    ask(limits, now, names, None)
}

fn ask(
    limits: &Limits,
    now: Timestamp,
    names: &[&str],
    life_left: Option<f64>,
) -> Option<Timestamp> {
    let identifiers = set(names);
    let wish = Wish {
        identifiers: &identifiers,
        life_left,
        replaces: false,
    };
    limits.may_order(now, &wish).err().map(|hold| hold.until)
}

fn ordered(limits: &mut Limits, times: u32, at: Timestamp) {
    for _ in 0..times {
        limits.record(at, Event::Ordered);
    }
}

#[test]
fn first_certificates_leave_a_part_of_the_orders_to_renewals() {
    let mut limits = Limits::new(Budget::default());
    ordered(&mut limits, 239, now());
    assert_eq!(held(&limits, now(), &["a.example"]), None);
    ordered(&mut limits, 1, now());
    // One order comes back every 36 seconds.
    let next = now() + SignedDuration::from_secs(36);
    assert_eq!(held(&limits, now(), &["a.example"]), Some(next));
    assert_eq!(held(&limits, next, &["a.example"]), None);

    // The less of its life is left, the deeper a renewal draws.
    let share = |limits: &Limits, share: f64| ask(limits, now(), &["a.example"], Some(share));
    assert_eq!(share(&limits, 0.9), None);
    ordered(&mut limits, 30, now());
    assert!(share(&limits, 0.9).is_some());
    assert_eq!(share(&limits, 0.3), None);
    ordered(&mut limits, 29, now());
    assert!(share(&limits, 0.3).is_some());
    assert_eq!(share(&limits, 0.0), None);
    ordered(&mut limits, 1, now());
    assert_eq!(share(&limits, 0.0), Some(next));
    // The most urgent is asked again first.
    let times: Vec<_> = [0.0, 0.3, 0.9, 1.0]
        .into_iter()
        .map(|left| share(&limits, left).unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(Some(times[3]), held(&limits, now(), &["a.example"]));
    for odd in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(share(&limits, odd).is_some(), "{odd}");
    }
}

#[test]
fn whatever_was_ordered_the_budget_is_whole_again_after_its_span() {
    let mut limits = Limits::new(Budget::default());
    ordered(&mut limits, 10_000, now());
    assert!(ask(&limits, now(), &["a.example"], Some(0.0)).is_some());
    let later = now() + SignedDuration::from_hours(3);
    ordered(&mut limits, 239, later);
    assert_eq!(held(&limits, later, &["a.example"]), None);
}

#[test]
fn a_name_that_keeps_failing_is_held_and_no_other() {
    let mut limits = Limits::new(Budget::default());
    let failed = || Event::Failed(Identifier::Dns("a.example".to_owned()));
    for _ in 0..4 {
        limits.record(now(), failed());
    }
    assert_eq!(held(&limits, now(), &["a.example"]), None);
    limits.record(now(), failed());
    let next = now() + minutes(12);
    assert_eq!(
        held(&limits, now(), &["a.example", "b.example"]),
        Some(next)
    );
    assert_eq!(ask(&limits, now(), &["a.example"], Some(0.0)), Some(next));
    assert_eq!(held(&limits, now(), &["*.a.example"]), Some(next));
    assert_eq!(held(&limits, now(), &["b.example"]), None);
    assert_eq!(held(&limits, next, &["a.example"]), None);
}

#[test]
fn a_limit_holds_what_it_names_until_it_says() {
    let until = now() + minutes(90);
    let of = |scope: Scope| {
        let mut limits = Limits::new(Budget::default());
        limits.record(
            now(),
            limited(&["a.example.com", "b.example.com"], scope, Some(until)),
        );
        limits
    };
    let same = ["a.example.com", "b.example.com"];
    let related = ["a.example.com"];
    let wildcard = ["*.example.com"];
    let other = ["c.example.org"];
    for (scope, expected) in [
        (Scope::Names, [true, false, false, false]),
        (
            Scope::Domain("example.com".to_owned()),
            [true, true, true, false],
        ),
        (
            Scope::Name("a.example.com".to_owned()),
            [true, true, false, false],
        ),
        (
            Scope::Name("example.com".to_owned()),
            [false, false, true, false],
        ),
        (Scope::Account, [true, true, true, true]),
        (Scope::NewAccounts, [false, false, false, false]),
    ] {
        let limits = of(scope.clone());
        for (names, expected) in [&same[..], &related, &wildcard, &other]
            .into_iter()
            .zip(expected)
        {
            let expected = expected.then_some(until);
            assert_eq!(held(&limits, now(), names), expected, "{scope:?} {names:?}");
            assert_eq!(held(&limits, until, names), None, "{scope:?} {names:?}");
        }
        let registers = limits.may_register(now()).is_ok();
        assert_eq!(registers, scope != Scope::NewAccounts);
        assert!(limits.may_register(until).is_ok());
    }
    assert_eq!(
        held(&of(Scope::Domain("ample.com".to_owned())), now(), &related),
        None
    );
}

#[test]
fn what_was_said_of_other_orders_does_not_hold_those_that_say_what_they_replace() {
    let until = now() + minutes(90);
    let waits = |limits: &Limits, names: &[&str], replaces: bool| {
        let identifiers = set(names);
        let wish = Wish {
            identifiers: &identifiers,
            life_left: Some(0.3),
            replaces,
        };
        limits.may_order(now(), &wish).is_err()
    };
    let names = ["a.example.com"];
    let said_to = |replaces: bool, scope: Scope| {
        let mut limits = Limits::new(Budget::default());
        let identifiers = set(&names);
        let event = Event::Limited {
            identifiers,
            scope,
            until: Some(until),
            replaces,
        };
        limits.record(now(), event);
        limits
    };
    let domain = || Scope::Domain("example.com".to_owned());
    for scope in [Scope::Names, domain(), Scope::Account] {
        let limits = said_to(false, scope.clone());
        assert!(waits(&limits, &names, false), "{scope:?}");
        assert!(!waits(&limits, &names, true), "{scope:?}");
        let limits = said_to(true, scope.clone());
        assert!(waits(&limits, &names, false), "{scope:?}");
        assert!(waits(&limits, &names, true), "{scope:?}");
    }
    // The longer of both holds who is bound by both.
    let mut both = said_to(true, domain());
    let longer = limited(&names, domain(), Some(until + minutes(60)));
    both.record(now(), longer);
    assert_eq!(held(&both, until, &names), Some(until + minutes(60)));

    // Nor does what was counted of orders, but what was counted of failures does.
    let mut limits = Limits::new(Budget::default());
    ordered(&mut limits, 10_000, now());
    assert!(waits(&limits, &names, false));
    assert!(!waits(&limits, &names, true));
    let failed = said_to(false, Scope::Name("a.example.com".to_owned()));
    assert!(waits(&failed, &names, true));
    for _ in 0..5 {
        limits.record(now(), Event::Failed(Identifier::Dns(names[0].to_owned())));
    }
    assert!(waits(&limits, &names, true));
}

#[test]
fn an_account_is_held_for_all_only_if_orders_of_all_kinds_were_refused() {
    let waits = |last_replaces: bool, replaces: bool| {
        let mut limits = Limits::new(Budget::default());
        for (name, said_to) in [("a.example", true), ("b.example.com", true)]
            .into_iter()
            .chain([("c.example.org", last_replaces)])
        {
            let event = Event::Limited {
                identifiers: set(&[name]),
                scope: Scope::Names,
                until: Some(now() + minutes(600)),
                replaces: said_to,
            };
            limits.record(now(), event);
        }
        let identifiers = set(&["other.example.net"]);
        let wish = Wish {
            identifiers: &identifiers,
            life_left: None,
            replaces,
        };
        limits.may_order(now(), &wish).is_err()
    };
    assert!(waits(true, true) && waits(true, false));
    assert!(!waits(false, true) && waits(false, false));
}

#[test]
fn a_limit_that_says_no_moment_holds_for_minutes_and_the_longest_counts() {
    let mut limits = Limits::new(Budget::default());
    limits.record(now(), limited(&["a.example"], Scope::Names, None));
    assert_eq!(
        held(&limits, now(), &["a.example"]),
        Some(now() + minutes(5))
    );
    limits.record(
        now(),
        limited(&["a.example"], Scope::Names, Some(now() + minutes(2))),
    );
    assert_eq!(
        held(&limits, now(), &["a.example"]),
        Some(now() + minutes(5))
    );
}

#[test]
fn three_unrelated_domains_within_ten_minutes_hold_the_account() {
    let record = |names: &[&[&str]], apart: SignedDuration| {
        let mut limits = Limits::new(Budget::default());
        let mut at = now();
        for names in names {
            at += apart;
            limits.record(at, limited(names, Scope::Names, Some(at + minutes(600))));
        }
        held(&limits, at, &["other.example.net"])
    };
    let unrelated: [&[&str]; 3] = [
        &["a.example.com"],
        &["a.example.org", "b.example.org"],
        &["192.0.2.1"],
    ];
    // No longer than an hour: nobody said that it is the account.
    assert_eq!(
        record(&unrelated, minutes(1)),
        Some(now() + minutes(3) + minutes(60))
    );
    assert_eq!(record(&unrelated, minutes(6)), None);
    assert_eq!(record(&unrelated[..2], minutes(1)), None);
    let related: [&[&str]; 3] = [
        &["a.example.com"],
        &["b.example.com"],
        &["c.example.com", "example.org"],
    ];
    assert_eq!(record(&related, minutes(1)), None);
}

#[test]
fn rebuilding_from_the_past_comes_to_the_same() {
    let mut past = vec![
        (
            now() - minutes(5),
            limited(&["b.example"], Scope::Names, Some(now() + minutes(30))),
        ),
        (
            now() - minutes(400),
            limited(&["c.example"], Scope::Account, Some(now() - minutes(300))),
        ),
    ];
    for n in 0..240 {
        past.push((now() - SignedDuration::from_secs(n), Event::Ordered));
    }
    for n in 0..5 {
        let name = Identifier::Dns("a.example".to_owned());
        past.push((now() - minutes(n), Event::Failed(name)));
    }
    let mut forwards = past.clone();
    forwards.sort_by_key(|(at, _)| *at);
    let mut fed = Limits::new(Budget::default());
    for (at, event) in forwards {
        fed.record(at, event);
    }
    let rebuilt = Limits::rebuilt(Budget::default(), past);
    for names in [["a.example"], ["b.example"], ["c.example"]] {
        for life_left in [None, Some(0.2)] {
            let of = |limits| ask(limits, now(), &names, life_left);
            assert_eq!(of(&rebuilt), of(&fed), "{names:?}");
        }
    }
    assert_eq!(
        ask(&rebuilt, now(), &["b.example"], Some(0.2)),
        Some(now() + minutes(30))
    );
    assert!(ask(&rebuilt, now(), &["a.example"], Some(0.2)).is_some());
    assert_eq!(ask(&rebuilt, now(), &["c.example"], Some(0.2)), None);
}

#[test]
fn a_hold_says_why_and_until_when() {
    let mut limits = Limits::new(Budget::default());
    limits.record(
        now(),
        limited(
            &["a.example.com"],
            Scope::Domain("example.com".to_owned()),
            Some(now() + minutes(60)),
        ),
    );
    let identifiers = set(&["b.example.com"]);
    let wish = Wish {
        identifiers: &identifiers,
        life_left: None,
        replaces: false,
    };
    assert_eq!(
        limits.may_order(now(), &wish).unwrap_err().to_string(),
        "the CA limits how many certificates it signs for example.com; it is asked again after 2026-11-06T13:00:00Z"
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut limits = Limits::new(Budget::default());
    for n in 0..MAX_KEPT + 100 {
        let name = format!("{n}.example");
        limits.record(now(), Event::Failed(Identifier::Dns(name.clone())));
        let hold = Hold {
            what: Held::Name(name),
            replacing: false,
        };
        limits.hold(now(), hold, now() + minutes(60));
    }
    assert!(limits.failed.len() <= MAX_KEPT && limits.holds.len() <= MAX_KEPT);
    // What is over makes room.
    let later = now() + minutes(120);
    limits.record(
        later,
        Event::Failed(Identifier::Dns("a.example".to_owned())),
    );
    limits.record(later, limited(&["a.example"], Scope::Names, None));
    assert_eq!((limits.failed.len(), limits.holds.len()), (1, 1));
}

#[test]
fn a_clock_that_was_ahead_holds_nothing() {
    let mut limits = Limits::new(Budget::default());
    let ahead = now() + SignedDuration::from_hours(30 * 24);
    ordered(&mut limits, 300, ahead);
    for _ in 0..5 {
        let name = Identifier::Dns("shop.example".to_owned());
        limits.record(ahead, Event::Failed(name));
    }
    limits.record(ahead, limited(&["shop.example"], Scope::Account, None));
    limits.record(ahead, limited(&[], Scope::NewAccounts, None));
    assert!(held(&limits, ahead, &["shop.example"]).is_some());
    assert!(limits.may_register(ahead).is_err());
    assert_eq!(held(&limits, now(), &["shop.example"]), None);
    assert!(limits.may_register(now()).is_ok());

    // What happens then counts.
    ordered(&mut limits, 300, now());
    assert!(held(&limits, now(), &["shop.example"]).is_some());
}
