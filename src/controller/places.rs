//! Places at what is done outside the cluster: a CA that hangs holds up those who wait for it, and nobody else.
//!
//! Each step of a Certificate takes a place of the controller's until it is over, and one that asks a CA may take a minute
//! and more. So those who ask CAs may not take all places, and those who ask the same CA never all of these: the fewer are free,
//! the fewer a line may hold, so that there is always one for a line that has none. Whoever finds none waits in its line,
//! and is woken when one is free.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use certwright_core::plan::request::IssuerName;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::cluster::secrets::Named;

/// One part in so many of all places is kept for those who ask nobody outside.
const KEPT: u16 = 4;
/// A line may hold so many times what is free: one alone two thirds, two together four fifths, and so on (A. K. Choudhury and
/// E. L. Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998).
const SHARE: usize = 2;

/// The places, and who waits for one.
#[derive(Debug)]
pub struct Places {
    /// So many may be taken.
    all: usize,
    lines: Mutex<Lines>,
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

#[derive(Debug, Default)]
struct Lines {
    of: HashMap<Whose, Line>,
    /// Wakes who waits, while there is a controller that listens.
    wake: Option<UnboundedSender<Named>>,
}

#[derive(Debug, Default)]
struct Line {
    taken: usize,
    waiting: VecDeque<Named>,
    /// The same, to find them.
    waits: HashSet<Named>,
}

impl Places {
    /// Places where a controller works on so many Certificates at once.
    pub fn new(concurrency: u16) -> Self {
        let kept = (concurrency / KEPT).max(1);
        Self {
            all: usize::from(concurrency.saturating_sub(kept).max(1)),
            lines: Mutex::default(),
        }
    }

    /// Forgets who waited, and returns who is woken from now on.
    pub(super) fn begin_anew(&self) -> UnboundedReceiver<Named> {
        let (wake, woken) = unbounded();
        let mut lines = self.lines();
        lines.wake = Some(wake);
        lines.of.retain(|_, line| {
            line.waiting.clear();
            line.waits.clear();
            line.taken > 0
        });
        woken
    }

    /// A place for this Certificate, which is to ask this issuer. `None` if all that may be are taken: then it waits in
    /// line, and is woken.
    pub(super) fn take(&self, certificate: &Named, issuer: &IssuerName) -> Option<Place<'_>> {
        let whose = match issuer.cluster {
            true => Whose::ClusterIssuer(issuer.name.clone()),
            false => Whose::Namespace(certificate.namespace.clone()),
        };
        self.take_of(certificate, whose)
    }

    /// The same for something else that the people of its namespace chose.
    pub(super) fn take_for(&self, object: &Named) -> Option<Place<'_>> {
        self.take_of(object, Whose::Namespace(object.namespace.clone()))
    }

    fn take_of(&self, object: &Named, whose: Whose) -> Option<Place<'_>> {
        let mut lines = self.lines();
        let most = lines.most(self.all);
        let line = lines.of.entry(whose.clone()).or_default();
        if line.taken >= most {
            line.stand_in(object);
            return None;
        }
        line.taken += 1;
        // One that was woken before may have gone without taking its place.
        lines.wake_one(self.all);
        Some(Place {
            places: self,
            whose,
        })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self, whose: &Whose) {
        let mut lines = self.lines();
        if let Some(line) = lines.of.get_mut(whose) {
            line.taken -= 1;
        }
        lines.wake_one(self.all);
        lines
            .of
            .retain(|_, line| line.taken > 0 || !line.waiting.is_empty());
    }
}

impl Lines {
    /// How many a line may hold and yet take another, of this many.
    fn most(&self, all: usize) -> usize {
        let taken = self.of.values().map(|line| line.taken).sum();
        all.saturating_sub(taken) * SHARE
    }

    /// If there is a place for one who waits, wakes the first of the line that has taken the fewest.
    fn wake_one(&mut self, all: usize) {
        let most = self.most(all);
        let lines = self.of.values_mut();
        let may = lines.filter(|line| line.taken < most && !line.waiting.is_empty());
        let next = may.min_by_key(|line| line.taken);
        let Some(first) = next.and_then(Line::step_out) else {
            return;
        };
        if let Some(wake) = &self.wake {
            // The other end only goes when the term ends, and the next looks at all of them.
            let _ = wake.unbounded_send(first);
        }
    }
}

impl Line {
    fn stand_in(&mut self, certificate: &Named) {
        if self.waits.insert(certificate.clone()) {
            self.waiting.push_back(certificate.clone());
        }
    }

    fn step_out(&mut self) -> Option<Named> {
        let first = self.waiting.pop_front()?;
        self.waits.remove(&first);
        Some(first)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.free(&self.whose);
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

    fn certificate(namespace: &str, name: &str) -> Named {
        Named::new(namespace, name)
    }

    /// As many places as there are for certificates of this namespace; one more waits.
    fn take_all<'a>(places: &'a Places, namespace: &str, issuer: &IssuerName) -> Vec<Place<'a>> {
        let names = (0..).map(|count| certificate(namespace, &format!("web-{count}")));
        names.map_while(|name| places.take(&name, issuer)).collect()
    }

    fn woken(woken: &mut UnboundedReceiver<Named>) -> Vec<String> {
        std::iter::from_fn(|| woken.try_recv().ok())
            .map(|name| format!("{}/{}", name.namespace, name.name))
            .collect()
    }

    #[test]
    fn there_is_one_for_each_who_has_none_however_many_hang() {
        let places = Places::new(32);
        let hanging = [
            take_all(&places, "a", &issuer(true, "slow")),
            take_all(&places, "a", &issuer(false, "one")),
            take_all(&places, "b", &issuer(false, "one")),
        ];
        assert_eq!(hanging.each_ref().map(Vec::len), [16, 6, 2]);
        let places = Places::new(32);
        let alone = take_all(&places, "a", &issuer(false, "one"));
        let same_namespace = places.take(&certificate("a", "other"), &issuer(false, "two"));
        assert!(same_namespace.is_none());
        let other = places.take(&certificate("b", "other"), &issuer(false, "one"));
        assert!(other.is_some());
        drop(alone);
        let again = take_all(&places, "a", &issuer(false, "two"));
        assert_eq!(again.len(), 16);
    }

    #[test]
    fn who_waits_is_woken_in_turn_where_there_is_a_place() {
        let places = Places::new(8);
        let mut freed = places.begin_anew();
        let (slow, quick) = (issuer(true, "slow"), issuer(true, "quick"));
        let mut held = take_all(&places, "a", &slow);
        let mut others = take_all(&places, "b", &quick);
        assert_eq!([held.len(), others.len()], [4, 2]);
        for name in ["first", "second", "first"] {
            assert!(places.take(&certificate("c", name), &slow).is_none());
        }
        assert!(woken(&mut freed).is_empty());
        // Those who hold fewer come first.
        others.pop();
        assert_eq!(woken(&mut freed), ["b/web-2"]);
        others.pop();
        assert!(woken(&mut freed).is_empty());
        held.pop();
        held.pop();
        held.pop();
        assert_eq!(woken(&mut freed), ["a/web-4", "c/first", "c/second"]);
        held.clear();
        assert!(woken(&mut freed).is_empty());
        assert!(places.lines().of.is_empty());
    }

    #[test]
    fn one_who_was_woken_and_went_costs_nobody_a_place() {
        let places = Places::new(8);
        let mut freed = places.begin_anew();
        let slow = issuer(true, "slow");
        let mut held = take_all(&places, "a", &slow);
        for name in ["gone", "second", "third"] {
            assert!(places.take(&certificate("b", name), &slow).is_none());
        }
        held.truncate(2);
        assert_eq!(woken(&mut freed), ["a/web-4", "b/gone"]);
        held.extend(places.take(&certificate("a", "web-4"), &slow));
        assert_eq!(woken(&mut freed), ["b/second"]);
    }

    #[test]
    fn who_waited_in_another_term_is_forgotten() {
        let places = Places::new(4);
        let _before = places.begin_anew();
        let held = take_all(&places, "a", &issuer(true, "slow"));
        let mut freed = places.begin_anew();
        drop(held);
        assert!(woken(&mut freed).is_empty());
        assert!(places.lines().of.is_empty());
    }

    #[test]
    fn there_is_one_however_few_are_worked_on() {
        for concurrency in 1..8 {
            let places = Places::new(concurrency);
            assert!(!take_all(&places, "a", &issuer(true, "ca")).is_empty());
        }
    }
}
