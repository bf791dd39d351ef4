//! From a report to text.

use certwright_core::pki::faults::Standing;
use jiff::Timestamp;

use super::Report;
use crate::inspect::Page;
use crate::inspect::words::{shown, when};

/// The report as text for a terminal, ending in a line feed.
pub(super) fn render(report: &Report, now: Timestamp) -> String {
    let mut page = Page::default();
    page.line(shown(&report.source));
    page.field("reached at", report.reached.iter().map(|at| shown(at)));
    page.field("for", report.name.iter().map(|name| shown(name)));
    page.field("fingerprint", [format!("SHA-256 {}", report.fingerprint)]);
    page.field("valid until", [when(now, report.judgement.ends)]);
    page.field(
        "revocation",
        [match &report.standing {
            None => "not asked for; --revocation does".to_owned(),
            Some(Standing::Unnamed) => "its CA says nowhere what it revokes".to_owned(),
            Some(Standing::Good(by)) => format!("not revoked, by {}", shown(by)),
            Some(Standing::Revoked(_)) => "REVOKED".to_owned(),
            Some(Standing::Unknown(why)) => format!("UNKNOWN: {}", shown(why)),
        }],
    );
    for fault in &report.judgement.faults {
        page.line("");
        page.line(format!("FAULT {}", fault.code()));
        page.field("cause", [shown(&fault.cause())]);
        page.field("remedy", [shown(&fault.remedy())]);
    }
    page.line("");
    page.line(match report.judgement.faults.len() {
        0 => "no fault".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    });
    page.0
}
