//! Places at what is done outside the cluster: a CA that hangs holds up those who wait for it, and nobody else.
//!
//! Each step of a Certificate takes a place of the controller's until it is over, and one that asks a CA may take a minute
//! and more. So those of one ClusterIssuer, and those of the Issuers of one namespace, may take a part of the places only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use certwright_core::plan::request::IssuerName;

/// One part in so many of all places is for the same issuers.
const PART: u16 = 4;

/// The places that are taken.
#[derive(Debug)]
pub struct Places {
    /// So many may be taken for the same issuers.
    most: usize,
    taken: Mutex<HashMap<Whose, usize>>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    places: &'a Places,
    whose: Whose,
}

/// Who chose the CA that may hang.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    /// Whoever wrote the ClusterIssuer of this name.
    ClusterIssuer(String),
    /// The people of this namespace: they can make as many Issuers as they like.
    Namespace(String),
}

impl Places {
    /// A part of this many.
    pub fn new(all: u16) -> Self {
        Self {
            most: usize::from((all / PART).max(1)),
            taken: Mutex::default(),
        }
    }

    /// A place for a Certificate of this namespace that is to ask this issuer; `None` if all that may be are taken.
    pub(super) fn take(&self, namespace: &str, issuer: &IssuerName) -> Option<Place<'_>> {
        let whose = match issuer.cluster {
            true => Whose::ClusterIssuer(issuer.name.clone()),
            false => Whose::Namespace(namespace.to_owned()),
        };
        let mut taken = self.taken();
        let count = taken.entry(whose.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place {
            places: self,
            whose,
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Whose, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(cluster: bool, name: &str) -> IssuerName {
        IssuerName {
            cluster,
            name: name.to_owned(),
        }
    }

    #[test]
    fn no_issuer_and_no_namespace_takes_more_than_its_part() {
        let places = Places::new(8);
        let (slow, other) = (issuer(true, "slow"), issuer(true, "other"));
        let held = [places.take("a", &slow), places.take("b", &slow)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take("c", &slow).is_none());
        assert!(places.take("c", &other).is_some());

        let own = ["one", "two", "three"].map(|name| places.take("a", &issuer(false, name)));
        assert_eq!(own.iter().flatten().count(), 2);
        assert!(places.take("b", &issuer(false, "one")).is_some());

        drop((held, own));
        assert!(places.taken().is_empty());
        assert!(places.take("c", &slow).is_some());
    }

    #[test]
    fn there_is_one_for_each_however_few_there_are() {
        let places = Places::new(1);
        let first = places.take("a", &issuer(false, "one"));
        assert!(first.is_some());
        assert!(places.take("a", &issuer(false, "one")).is_none());
    }
}
