//! One Secret, one owner.

use jiff::Timestamp;

/// A Certificate that names a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimant {
    /// When it was created.
    pub created: Timestamp,
    /// Its name.
    pub name: String,
}

/// Which of the Certificates that name a Secret owns it.
///
/// The one the Secret itself names keeps it as long as it is among them; else the oldest, ties by name. Certificates
/// that are being deleted don't claim: leave them out. `None` without claimants.
pub fn owner<'a>(named: Option<&str>, claimants: &'a [Claimant]) -> Option<&'a str> {
    claimants
        .iter()
        .find(|claimant| Some(claimant.name.as_str()) == named)
        .or_else(|| claimants.iter().min())
        .map(|claimant| claimant.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(name: &str, created: &str) -> Claimant {
        Claimant {
            created: created.parse().unwrap(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn the_one_named_on_the_secret_keeps_it() {
        let claimants = [
            claimant("old", "2026-01-01T00:00:00Z"),
            claimant("new", "2026-02-01T00:00:00Z"),
        ];
        assert_eq!(owner(Some("new"), &claimants), Some("new"));
    }

    #[test]
    fn else_the_oldest_has_it_and_ties_go_by_name() {
        let claimants = [
            claimant("b", "2026-01-01T00:00:00Z"),
            claimant("a", "2026-01-01T00:00:00Z"),
            claimant("c", "2026-02-01T00:00:00Z"),
        ];
        assert_eq!(owner(None, &claimants), Some("a"));
        assert_eq!(owner(Some("gone"), &claimants), Some("a"));
        assert_eq!(owner(Some("gone"), &[]), None);
    }
}
