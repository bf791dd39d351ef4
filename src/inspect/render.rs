//! From what was found to text.

use certwright_core::pki::Facts;
use certwright_core::pki::faults::Fault;
use jiff::Timestamp;

use super::chain::signers;
use super::words::{self, shown};
use super::{Found, Key, Placed};

/// Everything worth knowing of what was found, as text for a terminal, ending in a line feed.
pub fn render(found: &Found, now: Timestamp) -> String {
    let mut page = Page::default();
    page.line(shown(&found.source));
    if let Some(service) = &found.service {
        page.field("reached at", [shown(&service.reached)]);
        let name = shown(&service.name);
        let against = |fault: &Fault| {
            let text = format!("{}; {}", fault.cause(), fault.remedy());
            format!("NO, not as {name}: {}", shown(&text))
        };
        let verdict = service.faults.iter().map(against).collect();
        page.field("trusted", or(verdict, &format!("yes, as {name}")));
    }
    for problem in &found.problems {
        page.line(format!("  Problem: {}", shown(problem)));
    }
    for placed in &found.certificates {
        page.line("");
        certificate(&mut page, placed, now);
    }
    if let Some(key) = &found.key {
        page.line("");
        page.line("private key");
        private_key(&mut page, key, &found.certificates);
    }
    if !found.certificates.is_empty() {
        page.line("");
        page.line("chain");
        tree(&mut page, &found.certificates, now);
    }
    page.0
}

/// Text for a terminal, line by line.
#[derive(Default)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// A label, then one line for each value.
    pub(crate) fn field<I: AsRef<str>>(
        &mut self,
        label: &str,
        values: impl IntoIterator<Item = I>,
    ) {
        let mut label = label;
        for value in values {
            self.line(format!("  {label:<13}{}", value.as_ref()));
            label = "";
        }
    }
}

fn certificate(page: &mut Page, placed: &Placed, now: Timestamp) {
    let facts = &placed.facts;
    page.line(placed.places.join(", "));
    page.field(
        "names",
        or(words::names(&facts.names, &facts.unknown_names), "none"),
    );
    page.field(
        "subject",
        [or_empty(words::distinguished_name(&facts.subject))],
    );
    page.field(
        "issuer",
        [or_empty(words::distinguished_name(&facts.issuer))],
    );
    page.field("valid from", [words::when(now, facts.not_before)]);
    page.field("valid until", [words::when(now, facts.not_after)]);
    if let Some(problem) = invalid_now(facts, now) {
        page.field("", [problem.to_uppercase()]);
    }
    page.field(
        "key",
        [facts
            .key
            .map_or_else(|| "of a kind that is not served".to_owned(), words::key)],
    );
    page.field("usages", [usages(facts)]);
    page.field("CA", [authority(facts)]);
    page.field("", constraints(facts));
    page.field("signed with", [shown(&facts.signature_algorithm)]);
    page.field("serial", [words::octets(&facts.serial)]);
    page.field("fingerprint", [format!("SHA-256 {}", facts.fingerprint)]);
    page.field(
        "CRL",
        facts.crl_distribution_points.iter().map(|url| shown(url)),
    );
    page.field("OCSP", facts.ocsp_servers.iter().map(|url| shown(url)));
    page.field(
        "issuer at",
        facts.issuing_certificate_urls.iter().map(|url| shown(url)),
    );
}

fn or(values: Vec<String>, otherwise: &str) -> Vec<String> {
    if values.is_empty() {
        vec![otherwise.to_owned()]
    } else {
        values
    }
}

fn or_empty(name: String) -> String {
    if name.is_empty() {
        "empty".to_owned()
    } else {
        name
    }
}

fn usages(facts: &Facts) -> String {
    let mut all: Vec<String> = facts
        .key_usages
        .iter()
        .flatten()
        .map(|&usage| words::key_usage(usage).to_owned())
        .collect();
    all.extend(
        facts
            .extended_key_usages
            .iter()
            .map(|oid| words::extended_key_usage(oid)),
    );
    // RFC 5280 sections 4.2.1.3 and 4.2.1.12: without the extensions, nothing is excluded.
    if all.is_empty() {
        "any, as it names none".to_owned()
    } else {
        all.join(", ")
    }
}

fn authority(facts: &Facts) -> String {
    match (facts.is_ca, facts.path_length) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(0)) => "yes, with no CA below it".to_owned(),
        (true, Some(1)) => "yes, with at most 1 CA below it".to_owned(),
        (true, Some(depth)) => format!("yes, with at most {depth} CAs below it"),
    }
}

fn constraints(facts: &Facts) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(constraints) = &facts.name_constraints {
        all.extend(
            words::subtrees(&constraints.permitted)
                .into_iter()
                .map(|tree| format!("only for {tree}")),
        );
        all.extend(
            words::subtrees(&constraints.excluded)
                .into_iter()
                .map(|tree| format!("never for {tree}")),
        );
    }
    all.extend(
        facts
            .unknown_constraints
            .iter()
            .map(|constraint| shown(constraint)),
    );
    all
}

fn private_key(page: &mut Page, key: &Key, certificates: &[Placed]) {
    match key {
        Key::Unreadable(problem) => page.field("problem", [shown(problem)]),
        Key::Readable { spec, public } => {
            page.field("key", [words::key(*spec)]);
            let fitting: Vec<&str> = certificates
                .iter()
                .filter(|placed| placed.facts.public_key == *public)
                .filter_map(|placed| placed.places.first().map(String::as_str))
                .collect();
            match (certificates.first(), fitting.as_slice()) {
                (None, _) => {}
                (Some(_), []) => page.field("fits", ["NO CERTIFICATE HERE"]),
                (Some(_), places) => page.field("fits", [places.join(", ")]),
            }
        }
    }
}

/// Each certificate below the one that signed it.
fn tree(page: &mut Page, certificates: &[Placed], now: Timestamp) {
    let facts: Vec<&Facts> = certificates.iter().map(|placed| &placed.facts).collect();
    let signers = signers(&facts);
    let below = |above: Option<usize>| -> Vec<usize> {
        (0..signers.len())
            .filter(|&index| signers[index] == above)
            .collect()
    };
    // Depth first, so that each stands under its own; the last of a row has its own line.
    let mut waiting: Vec<(usize, String, String)> = Vec::new();
    for top in below(None) {
        let (mut prefix, mut indent) = ("  ".to_owned(), "  ".to_owned());
        if facts[top].issuer != facts[top].subject {
            page.line(format!(
                "  {} (not here)",
                or_empty(words::distinguished_name(&facts[top].issuer))
            ));
            prefix.push_str("└─ ");
            indent.push_str("   ");
        }
        waiting.push((top, prefix, indent));
        while let Some((index, prefix, indent)) = waiting.pop() {
            page.line(format!("{prefix}{}", leaf(&certificates[index], now)));
            let children = below(Some(index));
            for (position, &child) in children.iter().enumerate().rev() {
                let is_last = position + 1 == children.len();
                let (branch, gap) = if is_last {
                    ("└─ ", "   ")
                } else {
                    ("├─ ", "│  ")
                };
                waiting.push((child, format!("{indent}{branch}"), format!("{indent}{gap}")));
            }
        }
    }
}

fn leaf(placed: &Placed, now: Timestamp) -> String {
    let facts = &placed.facts;
    let subject = words::distinguished_name(&facts.subject);
    let name = if subject.is_empty() {
        words::names(&facts.names, &facts.unknown_names)
            .into_iter()
            .next()
            .unwrap_or_else(|| "without a name".to_owned())
    } else {
        subject
    };
    let origin = match (facts.is_self_signed(), facts.issuer == facts.subject) {
        (true, _) => ", self-signed",
        // Old roots are signed with SHA-1, which is not verified here; a rolled-over CA is signed by its former key.
        (false, true) => ", names itself as its issuer",
        (false, false) => "",
    };
    let problem = invalid_now(facts, now).map_or_else(String::new, |problem| {
        format!(", {}", problem.to_uppercase())
    });
    format!("{name} ({}{origin}{problem})", placed.places.join(", "))
}

fn invalid_now(facts: &Facts, now: Timestamp) -> Option<&'static str> {
    if now < facts.not_before {
        return Some("not valid yet");
    }
    // RFC 5280 section 4.1.2.5: the last second is part of it.
    (now.as_second() > facts.not_after.as_second()).then_some("expired")
}
