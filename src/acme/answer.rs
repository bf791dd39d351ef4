//! What an answer says: what was asked for, or what is wrong.

use certwright_core::acme::links::links;
use certwright_core::acme::origin::{self, UrlProblem};
use certwright_core::acme::problem::plain;
use certwright_core::acme::wire::Problem;
use http::header::{CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Uri};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;

use super::{AcmeError, Offer};

/// More than this, in bytes, no header of ours holds.
const MAX_HEADER: usize = 4 << 10;

/// So much is said of an answer that makes no sense, in bytes.
const MAX_WHY: usize = 512;

pub(super) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
pub(super) const CHAIN: &str = "application/pem-certificate-chain";

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An object of a CA's, and what came with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// The object.
    pub object: T,
    /// Its URL: where the CA says that it is, or else where it was asked for.
    pub url: String,
    /// When to come back, as it came.
    pub retry_after: Option<String>,
}

impl Answer {
    /// The type of its body, without parameters, in lower case.
    pub(super) fn content_type(&self) -> String {
        let text = self.header(&CONTENT_TYPE).unwrap_or_default();
        let kind = text.split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.header(&LOCATION)
    }

    pub(super) fn retry_after(&self) -> Option<&str> {
        self.header(&RETRY_AFTER)
    }

    /// A nonce to sign with, if it came with a sound one (RFC 8555 section 6.5.1).
    pub(super) fn nonce(&self) -> Option<&str> {
        self.header(&http::HeaderName::from_static("replay-nonce"))
            .filter(|nonce| {
                let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                (1..=512).contains(&nonce.len()) && nonce.bytes().all(sound)
            })
    }

    /// The URLs of its links with this relation (RFC 8288), ten at most.
    pub(super) fn links(&self, relation: &str) -> Vec<String> {
        let values = self.headers.get_all(LINK).into_iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        texts
            .filter(|text| text.len() <= MAX_HEADER)
            .flat_map(|text| links(text, relation))
            .map(str::to_owned)
            .take(10)
            .collect()
    }

    fn header(&self, name: &http::HeaderName) -> Option<&str> {
        let text = self.headers.get(name)?.to_str().ok()?;
        (text.len() <= MAX_HEADER).then_some(text)
    }
}

/// A URL that may be asked.
pub(super) fn parse(url: &str) -> Result<Uri, AcmeError> {
    origin::check_sound(url)?;
    url.parse().map_err(|_| {
        let url = url.to_owned();
        UrlProblem::Unsound { url }.into()
    })
}

/// What is said of an answer may quote it, so it is made plain and cut.
pub(super) fn nonsense(uri: &Uri, why: String) -> AcmeError {
    AcmeError::Nonsense {
        host: uri.authority().map(ToString::to_string).unwrap_or_default(),
        why: plain(&why, MAX_WHY),
    }
}

/// An answer that says yes; of another, what it says is wrong.
pub(super) fn success(uri: &Uri, answer: Answer) -> Result<Answer, AcmeError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    if !answer.status.is_client_error() && !answer.status.is_server_error() {
        return Err(nonsense(uri, format!("status {}", answer.status.as_u16())));
    }
    // Whatever stands before a CA answers in its own way: then the status is all that counts.
    let problem = (answer.content_type() == PROBLEM)
        .then(|| serde_json::from_slice::<Problem>(&answer.body).ok())
        .flatten()
        .unwrap_or_default();
    Err(AcmeError::Problem {
        status: answer.status.as_u16(),
        problem: Box::new(problem),
        retry_after: answer.retry_after().map(str::to_owned),
    })
}

/// An object, where it was asked for unless the answer says otherwise.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri, answer: Answer) -> Result<Found<T>, AcmeError> {
    if answer.content_type() != JSON {
        let why = format!("an object of type {:?}", answer.content_type());
        return Err(nonsense(uri, why));
    }
    let object = serde_json::from_slice(&answer.body)
        .map_err(|problem| nonsense(uri, format!("an object that can't be read: {problem}")))?;
    Ok(Found {
        object,
        url: answer
            .location()
            .map_or_else(|| uri.to_string(), str::to_owned),
        retry_after: answer.retry_after().map(str::to_owned),
    })
}

/// An object that was made or found, where the answer says that it is; which must be at the CA's.
pub(super) fn located<T: DeserializeOwned>(
    offer: &Offer,
    url: &str,
    answer: Answer,
) -> Result<Found<T>, AcmeError> {
    let uri = parse(url)?;
    let location = answer
        .location()
        .ok_or_else(|| nonsense(&uri, "an object without a URL".to_owned()))?;
    offer.origins.check(location)?;
    read(&uri, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    let name = http::HeaderName::from_static(name);
                    (name, http::HeaderValue::from_str(value).unwrap())
                })
                .collect(),
            body: Bytes::from(body.to_owned()),
        }
    }

    #[test]
    fn a_nonce_is_base64url_of_bounded_length() {
        let (long, longer) = ("n".repeat(512), "n".repeat(513));
        for (nonce, sound) in [
            ("oFvnlFP1wIhRlYS2jTaXbA", true),
            ("-_", true),
            (long.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("a=", false),
            ("a+b/c", false),
            ("a b", false),
            ("a\"b", false),
        ] {
            let answer = answer(200, &[("replay-nonce", nonce)], "");
            assert_eq!(answer.nonce().is_some(), sound, "{nonce}");
        }
        assert_eq!(answer(200, &[], "").nonce(), None);
    }

    #[test]
    fn links_come_from_all_headers_and_are_ten_at_most() {
        let one = "<https://ca/1>;rel=alternate, <https://ca/2>;rel=alternate";
        let headers = [
            ("link", one),
            ("link", "<https://ca/dir>;rel=index"),
            ("link", one),
        ];
        let urls = answer(200, &headers, "").links("alternate");
        assert_eq!(
            urls,
            [
                "https://ca/1",
                "https://ca/2",
                "https://ca/1",
                "https://ca/2"
            ]
        );
        let many = vec!["<https://ca/1>;rel=alternate"; 50].join(",");
        let headers = [("link", many.as_str())];
        assert_eq!(answer(200, &headers, "").links("alternate").len(), 10);
        let long = format!("<https://ca/{}>;rel=alternate", "a".repeat(MAX_HEADER));
        let headers = [("link", long.as_str())];
        assert!(answer(200, &headers, "").links("alternate").is_empty());
    }

    #[test]
    fn an_answer_is_a_yes_a_problem_or_nonsense() {
        let uri: Uri = "https://ca.example:8443/order".parse().unwrap();
        let text = r#"{"type":"urn:ietf:params:acme:error:caa","detail":"no"}"#;
        let kinds = |status, kind, body| {
            let headers = [("content-type", kind), ("retry-after", "7")];
            match success(&uri, answer(status, &headers, body)) {
                Ok(_) => "yes".to_owned(),
                Err(AcmeError::Problem {
                    status,
                    problem,
                    retry_after,
                }) => {
                    format!("{status} {} {}", problem.detail, retry_after.unwrap())
                }
                Err(other) => other.to_string(),
            }
        };
        for (status, kind, expected) in [
            (200, PROBLEM, "yes"),
            (204, "", "yes"),
            (403, PROBLEM, "403 no 7"),
            (403, "Application/Problem+JSON; charset=utf-8", "403 no 7"),
            (503, JSON, "503  7"),
            (
                302,
                "",
                "ca.example:8443 answered something that is not ACME: status 302",
            ),
            (
                999,
                "",
                "ca.example:8443 answered something that is not ACME: status 999",
            ),
        ] {
            assert_eq!(kinds(status, kind, text), expected);
        }
    }
}
