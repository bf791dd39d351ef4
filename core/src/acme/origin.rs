//! Which URLs belong to a CA.
//!
//! A CA names the URLs of its objects, and a Certificate's status keeps some: both could name any server. What is
//! asked, with our signature, is only what shares an origin (RFC 6454) with the directory or with a URL that it lists.

use std::collections::BTreeSet;

use http::Uri;

use super::wire::Directory;

/// A longer URL is not followed: a status could not hold it.
pub const MAX_URL: usize = 2048;
/// A longer token is no token.
pub const MAX_TOKEN: usize = 128;

/// The origins of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(BTreeSet<Origin>);

/// Where a URL leads: always by `https`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    host: String,
    port: u16,
}

/// Why a URL is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// It is no URL as ACME has them.
    #[error("{url:?} is not an https URL")]
    Unsound {
        /// What was written, cut.
        url: String,
    },
    /// It leads to a server that the directory does not name.
    #[error("{url:?} leads to a server that the CA's directory does not name")]
    Foreign {
        /// What was written.
        url: String,
    },
}

impl Origins {
    /// The origins of the directory at `url`, and of all that it lists.
    ///
    /// # Errors
    /// `Unsound` when one of these is no `https` URL.
    pub fn of(url: &str, directory: &Directory) -> Result<Self, UrlProblem> {
        let optional = [
            &directory.revoke_cert,
            &directory.key_change,
            &directory.renewal_info,
        ];
        let listed = [
            url,
            &directory.new_nonce,
            &directory.new_account,
            &directory.new_order,
        ];
        listed
            .into_iter()
            .chain(optional.into_iter().flatten().map(String::as_str))
            .map(origin)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a URL belongs to the CA.
    ///
    /// # Errors
    /// When it is no `https` URL, or leads elsewhere.
    pub fn check(&self, url: &str) -> Result<(), UrlProblem> {
        if self.0.contains(&origin(url)?) {
            Ok(())
        } else {
            Err(UrlProblem::Foreign {
                url: url.to_owned(),
            })
        }
    }
}

/// Whether a text is a token: 1 to 128 characters of base64url (RFC 8555 section 8.3), so that it can stand in a path,
/// in a label or in a file's name without meaning anything else there.
pub fn token_is_sound(token: &str) -> bool {
    (1..=MAX_TOKEN).contains(&token.len())
        && token
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// Read as the client reads it that will follow it, so that both mean the same server.
fn origin(url: &str) -> Result<Origin, UrlProblem> {
    sound_origin(url).ok_or_else(|| UrlProblem::Unsound {
        url: url[..url.floor_char_boundary(MAX_URL)].to_owned(),
    })
}

fn sound_origin(url: &str) -> Option<Origin> {
    if url.len() > MAX_URL || !url.bytes().all(|octet| octet.is_ascii_graphic()) {
        return None;
    }
    // A fragment is never sent; other readers end the host at a backslash.
    if url.contains(['#', '\\']) {
        return None;
    }
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let host = uri.host()?.to_ascii_lowercase();
    let behind_host = authority.as_str().get(host.len()..)?;
    let port = match behind_host {
        "" => 443,
        _ => behind_host.strip_prefix(':')?.parse().ok()?,
    };
    let named = !host.is_empty() && !host.contains(['@', '%', '*']);
    (uri.scheme_str() == Some("https") && named && port > 0).then_some(Origin { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(new_order: &str) -> Directory {
        serde_json::from_value(serde_json::json!({
            "newNonce": "https://acme.example/nonce",
            "newAccount": "https://acme.example/account",
            "newOrder": new_order,
            "renewalInfo": "https://ari.example:8443/info",
        }))
        .unwrap()
    }

    fn origins() -> Origins {
        Origins::of(
            "https://directory.example/",
            &directory("https://acme.example/order"),
        )
        .unwrap()
    }

    #[test]
    fn what_the_directory_names_belongs_to_it() {
        for url in [
            "https://directory.example/anything",
            "https://acme.example/order/1",
            "https://ACME.example:443/order/1?x=y",
            "HTTPS://acme.example",
            "https://ari.example:8443/info/abc.def",
        ] {
            assert_eq!(origins().check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_leads_elsewhere_does_not() {
        for url in [
            "https://acme.example.evil.example/order/1",
            "https://evil.example/acme.example",
            "https://acme.example:8443/order/1",
            "https://ari.example/info",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://acme.example./order",
        ] {
            let problem = origins().check(url).unwrap_err();
            assert!(
                matches!(problem, UrlProblem::Foreign { .. }),
                "{url}: {problem:?}"
            );
        }
    }

    #[test]
    fn what_is_no_https_url_is_unsound() {
        let long = format!("https://acme.example/{}", "a".repeat(MAX_URL));
        for url in [
            "",
            "/order/1",
            "acme.example",
            "http://acme.example/order/1",
            "https:///order/1",
            "https://",
            "ftp://acme.example/",
            "https://user@acme.example/",
            "https://evil.example@acme.example/",
            "https://acme.example@evil.example/",
            "https://acme.example:/order",
            "https://acme.example:0/order",
            "https://acme.example:65536/order",
            "https://acme.example:443:443/order",
            "https://acme.example\\@evil.example/",
            "https://acme.example/#fragment",
            "https://acme.example/a b",
            "https://acme.example/\r\nHost: evil.example",
            "https://bücher.example/",
            "https://acme.example%2f.evil.example/",
            long.as_str(),
        ] {
            let problem = origins().check(url).unwrap_err();
            assert!(
                matches!(problem, UrlProblem::Unsound { .. }),
                "{url}: {problem:?}"
            );
            assert!(problem.to_string().len() < 2 * MAX_URL);
        }
    }

    #[test]
    fn a_directory_that_lists_anything_but_https_is_refused() {
        for url in ["http://acme.example/order", "", "file:///etc/passwd"] {
            assert!(Origins::of("https://directory.example/", &directory(url)).is_err());
        }
        assert!(Origins::of("http://directory.example/", &directory("https://a.example")).is_err());
    }

    #[test]
    fn tokens_are_base64url_of_bounded_length() {
        for token in [
            "a",
            "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0",
            &"-_".repeat(64),
        ] {
            assert!(token_is_sound(token), "{token}");
        }
        for token in [
            "",
            "a.b",
            "../../etc",
            "a/b",
            "a b",
            "a=",
            "a\r\nb",
            "ä",
            &"a".repeat(129),
        ] {
            assert!(!token_is_sound(token), "{token}");
        }
    }
}
