//! What a CA that was asked too often means.
//!
//! ACME has no field for it. The texts are those of Boulder, which Let's Encrypt documents and other CAs run; a text
//! that nobody knows holds up what was asked for and nothing else.

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::retry_after::{bounded, in_utc};
use crate::api::names;

/// What was asked for too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This exact set of names.
    Names,
    /// All names of this domain, itself and below.
    Domain(String),
    /// This one name: it failed too often.
    Name(String),
    /// Everything of this account.
    Account,
    /// New accounts, from our address.
    NewAccounts,
}

/// What a text is about.
pub(super) fn scope(detail: &str) -> Scope {
    let lower = detail.to_ascii_lowercase();
    let has = |text: &str| lower.contains(text);
    if has("new registrations") || has("new accounts") {
        return Scope::NewAccounts;
    }
    if has("exact set of") {
        return Scope::Names;
    }
    let named = named(&lower);
    if has("failed authorizations") {
        return named.map_or(Scope::Names, Scope::Name);
    }
    if has("certificates") && has("already issued for") {
        return named.map_or(Scope::Names, Scope::Domain);
    }
    // `from this account` follows what was counted; texts of before 2024 leave it out.
    if has("new orders") || has("pending authorizations") || has("pending orders") {
        return Scope::Account;
    }
    Scope::Names
}

/// The moment that stands after `retry after`, if one does: `2026-11-06 08:49:37 UTC` or `2026-11-06T08:49:37Z`.
pub(super) fn until(now: Timestamp, detail: &str) -> Option<Timestamp> {
    let (_, behind) = detail.split_once("retry after ")?;
    let text = behind.get(..19)?;
    let form = match text.as_bytes()[10] {
        b'T' => "%Y-%m-%dT%H:%M:%S",
        _ => "%Y-%m-%d %H:%M:%S",
    };
    let moment = in_utc(DateTime::strptime(form, text).ok()?)?;
    Some(bounded(now, moment))
}

/// The name that is quoted, or that follows `issued for`; only if it is one.
fn named(lower: &str) -> Option<String> {
    let quoted = lower
        .split_once('"')
        .and_then(|(_, behind)| behind.split_once('"'))
        .map(|(name, _)| name);
    let following = || {
        let (_, behind) = lower.split_once("issued for")?;
        let end = |c: char| c.is_whitespace() || c == ',';
        behind
            .trim_start_matches([':', ' '])
            .split(end)
            .next()
            .map(|name| name.trim_end_matches([':', '.']))
    };
    let name = names::dns_name(quoted.or_else(following)?).ok()?;
    // A single word of the sentence is no domain that anybody registers.
    name.contains('.').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_what_it_names() {
        let domain = |name: &str| Scope::Domain(name.to_owned());
        let name = |name: &str| Scope::Name(name.to_owned());
        for (detail, expected) in [
            (
                "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-07 09:13:16 UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-exact-set-of-identifiers",
                Scope::Names,
            ),
            (
                "Error creating new order :: too many certificates (5) already issued for this exact set of domains in the last 168 hours: a.example, retry after 2026-11-07T18:54:27Z: see https://letsencrypt.org/docs/duplicate-certificate-limit/",
                Scope::Names,
            ),
            (
                "too many certificates (50) already issued for \"example.co.uk\" in the last 168h0m0s, retry after 2026-11-07 00:00:00 UTC",
                domain("example.co.uk"),
            ),
            (
                "Error creating new order :: too many certificates already issued for: example.com: see https://letsencrypt.org/docs/rate-limits/",
                domain("example.com"),
            ),
            (
                "too many certificates (50) already issued for \"2001:db8::/64\" in the last 168h0m0s",
                Scope::Names,
            ),
            (
                "too many failed authorizations (5) for \"WWW.example.com\" in the last 1h0m0s, retry after 2026-11-07 00:00:00 UTC",
                name("www.example.com"),
            ),
            (
                "Error creating new order :: too many failed authorizations recently: see https://letsencrypt.org/docs/failed-validation-limit/",
                Scope::Names,
            ),
            (
                "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-07 00:00:00 UTC",
                Scope::Account,
            ),
            (
                "Error creating new order :: too many new orders recently: see https://letsencrypt.org/docs/rate-limits/",
                Scope::Account,
            ),
            ("too many currently pending authorizations", Scope::Account),
            (
                "too many new registrations (10) from this IP address in the last 3h0m0s, retry after 2026-11-07 00:00:00 UTC",
                Scope::NewAccounts,
            ),
            (
                "Your account is temporarily prevented from requesting certificates for a.example and possibly others. Please visit: https://portal.example/unpause",
                Scope::Names,
            ),
            ("Request rate exceeded", Scope::Names),
            ("already issued for \"certificates\"", Scope::Names),
            ("too many certificates already issued for", Scope::Names),
            ("too many certificates already issued for \"", Scope::Names),
            ("too many failed authorizations for \"a b\"", Scope::Names),
            ("", Scope::Names),
        ] {
            assert_eq!(scope(detail), expected, "{detail}");
        }
    }

    #[test]
    fn the_moment_is_read_from_the_text_where_it_stands_there() {
        let now: Timestamp = "2026-11-06T08:00:00Z".parse().unwrap();
        for (detail, expected) in [
            (
                "..., retry after 2026-11-07 09:13:16 UTC: see",
                Some("2026-11-07T09:13:16Z"),
            ),
            (
                "..., retry after 2026-11-07T18:54:27Z: see",
                Some("2026-11-07T18:54:27Z"),
            ),
            (
                "retry after 2020-01-01 00:00:00 UTC",
                Some("2026-11-06T08:00:00Z"),
            ),
            (
                "retry after 2099-01-01 00:00:00 UTC",
                Some("2026-11-13T08:00:00Z"),
            ),
            ("retry after 2026-13-07 09:13:16 UTC", None),
            ("retry after a while, or so it is said", None),
            ("retry after 2026-11-0ä 09:13:16", None),
            ("retry after ", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(until(now, detail), expected, "{detail}");
        }
    }
}
