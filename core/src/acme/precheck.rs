//! What DNS has against a certificate before it is ordered: CAA records that leave the CA out (RFC 8659), and names that don't
//! exist.
//!
//! DNS is asked elsewhere. Only what is certain stops an order: whatever is not known, the CA will find out itself. Answers
//! are not validated by DNSSEC.

use std::fmt;

use super::ChallengeKind;
use super::problem::plain;

/// One property of a domain's CAA records (RFC 8659 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Whether a CA that does not know the tag must not sign.
    pub critical: bool,
    /// What it is about, such as `issue`.
    pub tag: String,
    /// What it says of that.
    pub value: String,
}

/// What DNS answered for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There are records of the kind that was asked for; of CAA, what they say.
    Records(Vec<Property>),
    /// There is none of that kind.
    Nothing,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// Nobody said anything that counts.
    Unknown,
}

/// Who would sign, and how a name would be proven.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// By which names CAA records know the CA.
    pub identities: &'a [String],
    /// The account's URL.
    pub account: &'a str,
    /// How the name is proven, if that is known.
    pub kind: Option<ChallengeKind>,
}

/// Why a certificate is not ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The CAA records of a domain leave the CA out.
    Excluded {
        /// The name, as it is asked for.
        name: String,
        /// Whose records they are.
        domain: String,
        /// What is in the way.
        why: Exclusion,
    },
    /// The name does not exist, and HTTP-01 needs it.
    NoSuchName {
        /// The name.
        name: String,
    },
}

/// What of CAA records is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// They let others sign, or nobody.
    Others {
        /// What they say.
        found: Vec<String>,
        /// What has to be there besides.
        add: String,
    },
    /// They let the CA sign, but not for this account or not by this kind of proof (RFC 8657).
    Conditions {
        /// What they say.
        found: Vec<String>,
        /// What has to be there besides.
        add: String,
    },
    /// One of them is critical and of a kind that no CA knows.
    Critical {
        /// Its tag.
        tag: String,
    },
}

/// So many records are quoted, and so much of each, in bytes.
const MAX_QUOTED: usize = 5;
const MAX_QUOTE: usize = 200;

/// Tags that CAs know: RFC 8659 section 4, RFC 9495, and the registry of RFC 8659 section 7.
const KNOWN_TAGS: [&str; 7] = [
    ISSUE,
    ISSUE_WILD,
    "iodef",
    "issuemail",
    "issuevmc",
    "contactemail",
    "contactphone",
];
const ISSUE: &str = "issue";
const ISSUE_WILD: &str = "issuewild";

/// Names below these are nobody's in public DNS (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476), or are used as if they
/// were nobody's.
const NOT_PUBLIC: [&str; 13] = [
    "alt",
    "arpa",
    "corp",
    "example",
    "home",
    "internal",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "test",
];

/// Whether a name can be one of public DNS.
pub fn is_public(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(before, top)| !before.is_empty() && !NOT_PUBLIC.contains(&top))
}

/// Whose CAA records count for a name, in this order: those of the first that has any (RFC 8659 section 3).
pub fn climb(name: &str) -> impl Iterator<Item = &str> {
    let first = name.strip_prefix("*.").unwrap_or(name);
    std::iter::successors(Some(first), |domain| {
        domain.split_once('.').map(|(_, parent)| parent)
    })
}

/// What the CAA records of `domain`, the first above `name` that has any, have against its certificate.
pub fn excludes(
    name: &str,
    domain: &str,
    properties: &[Property],
    signer: &Signer<'_>,
) -> Option<Stop> {
    let why = exclusion(name.starts_with("*."), domain, properties, signer)?;
    Some(Stop::Excluded {
        name: name.to_owned(),
        domain: domain.to_owned(),
        why,
    })
}

fn exclusion(
    wildcard: bool,
    domain: &str,
    properties: &[Property],
    signer: &Signer<'_>,
) -> Option<Exclusion> {
    let identity = signer.identities.first()?;
    let unknown = |property: &&Property| {
        property.critical && !KNOWN_TAGS.iter().any(|known| property.is(known))
    };
    if let Some(property) = properties.iter().find(unknown) {
        return Some(Exclusion::Critical {
            tag: plain(&property.tag, MAX_QUOTE),
        });
    }
    let of = |tag: &str| -> Vec<&Property> {
        let same = |property: &&Property| property.is(tag);
        properties.iter().filter(same).collect()
    };
    // For a wildcard, what is said of wildcards counts alone (section 4.3).
    let (tag, relevant) = match of(ISSUE_WILD) {
        wild if wildcard && !wild.is_empty() => (ISSUE_WILD, wild),
        _ => (ISSUE, of(ISSUE)),
    };
    let fits: Vec<_> = relevant
        .iter()
        .map(|property| fit(&property.value, signer))
        .collect();
    if relevant.is_empty() || fits.contains(&Fit::Allows) {
        return None;
    }
    let found = relevant.iter().take(MAX_QUOTED).map(|property| {
        let flags = if property.critical { 128 } else { 0 };
        let value = plain(&property.value, MAX_QUOTE);
        format!("{flags} {tag} {value:?}")
    });
    let found = found.collect();
    let identity = plain(identity, MAX_QUOTE);
    let add = |value: String| format!("{domain}. CAA 0 {tag} {value:?}");
    Some(if fits.contains(&Fit::Conditions) {
        let account = plain(signer.account, MAX_QUOTE);
        let add = add(format!("{identity}; accounturi={account}"));
        Exclusion::Conditions { found, add }
    } else {
        let add = add(identity);
        Exclusion::Others { found, add }
    })
}

/// How a signer stands to what an `issue` property says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Allows,
    Conditions,
    Other,
}

/// Section 4.2, and RFC 8657 sections 3 and 4. What can't be read lets nobody sign.
fn fit(value: &str, signer: &Signer<'_>) -> Fit {
    let blank = [' ', '\t'];
    let mut parts = value.split(';').map(|part| part.trim_matches(blank));
    let domain = parts.next().unwrap_or_default();
    let is_domain = |identity: &String| identity.eq_ignore_ascii_case(domain);
    if domain.is_empty() || !signer.identities.iter().any(is_domain) {
        return Fit::Other;
    }
    let mut accounts = Vec::new();
    let mut methods = Vec::new();
    for parameter in parts.filter(|part| !part.is_empty()) {
        let Some((tag, value)) = parameter.split_once('=') else {
            return Fit::Other;
        };
        let value = value.trim_matches(blank);
        match tag.trim_matches(blank).to_ascii_lowercase().as_str() {
            "accounturi" => accounts.push(value),
            "validationmethods" => methods.push(value),
            _ => {}
        }
    }
    let account = match accounts[..] {
        [] => true,
        [account] => account == signer.account,
        _ => false,
    };
    let method = match (&methods[..], signer.kind) {
        ([], _) | ([_], None) => true,
        ([methods], Some(kind)) => methods
            .split(',')
            .any(|method| method.trim_matches(blank) == kind.as_str()),
        _ => false,
    };
    if account && method {
        Fit::Allows
    } else {
        Fit::Conditions
    }
}

impl Property {
    fn is(&self, tag: &str) -> bool {
        self.tag.eq_ignore_ascii_case(tag)
    }
}

/// What is in the way and what to add, without a full stop.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName { name } => write!(
                f,
                "{name} does not exist, say the servers of its zone, and HTTP-01 needs it. Add an A or AAAA record for {name}. \
                 with the address at which the cluster's port 80 is reached"
            ),
            Self::Excluded { name, domain, why } => match why {
                Exclusion::Others { found, add } => write!(
                    f,
                    "CAA records of {domain} do not let this CA sign for {name}: they say {}. Add the record {add}, or use \
                     another issuer",
                    found.join(" and ")
                ),
                Exclusion::Conditions { found, add } => write!(
                    f,
                    "CAA records of {domain} let this CA sign for {name}, but not for this account, or not by this kind of \
                     proof: they say {}. Correct accounturi and validationmethods there, or add the record {add}",
                    found.join(" and ")
                ),
                Exclusion::Critical { tag } => write!(
                    f,
                    "A CAA record of {domain} is critical and of a kind that no CA knows, {tag:?}, so that none may sign for \
                     {name}. Correct or remove it"
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests;
