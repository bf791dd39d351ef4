//! An operator that is killed at a request to the CA, whichever it is and whether or not the CA heard it: the next one takes
//! the order up where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use certwright_core::api::Certificate;
use certwright_core::pki::PublicKey;
use certwright_core::plan::next_key;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};

use crate::each_request::REQUESTS;
use crate::faulty::{Fault, Faulty, Part};
use crate::operator::{World, eventually, held};
use crate::pebble::Ways;

/// Where the CA is asked for an order.
const NEW_ORDER: &str = "/order-plz";

/// A CA that leaves one request without an answer, and all that come after it, until the operator was killed.
pub(crate) struct Stop {
    pub(crate) what: String,
    /// Which request: where it goes, and the how-manieth to there it is.
    pub(crate) request: (&'static str, usize),
    /// Whether the CA heard the one.
    pub(crate) heard: bool,
    pub(crate) server: Faulty,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Clone, Default)]
struct Seen {
    /// Whether requests are counted.
    begun: bool,
    /// How many requests came to where the one is to come.
    there: usize,
    /// Whether it came.
    stopped: bool,
    /// Whether the operator was killed since.
    killed: bool,
    /// How many orders the CA heard of.
    orders: usize,
    /// The orders that were asked for.
    looked_at: BTreeSet<String>,
}

impl Stop {
    /// Counts from the first request to `begin` on.
    pub(crate) fn at(
        server: Faulty,
        begin: &'static str,
        request: (&'static str, usize),
        heard: bool,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (path, place) = request;
        let shared = Arc::clone(&seen);
        server.fails(move |_, asked| {
            let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
            seen.begun |= asked.path.starts_with(begin);
            if !seen.begun {
                return None;
            }
            if seen.stopped && !seen.killed {
                return Some(Fault::Silent);
            }
            if asked.path.starts_with("/my-order/") {
                seen.looked_at.insert(asked.path.clone());
            }
            let there = asked.path.starts_with(path);
            let stops = there && !seen.stopped && seen.there == place;
            seen.there += usize::from(there);
            seen.stopped |= stops;
            seen.orders += usize::from(asked.path == NEW_ORDER && (heard || !stops));
            stops.then_some(match heard {
                true => Fault::Hangs(Part::Nothing),
                false => Fault::Silent,
            })
        });
        let words = if heard { "heard" } else { "not heard" };
        Self {
            what: format!("{path} {place}, {words}"),
            request,
            heard,
            server,
            seen,
        }
    }

    fn seen(&self) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// The operator was killed: all is answered from now on.
    pub(crate) fn goes_on(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.killed = true;
    }
}

/// Waits until the operator hangs at all of these.
pub(crate) async fn are_reached(world: &World, stops: impl Iterator<Item = &Stop> + Clone) {
    eventually("all requests came that are not answered", async || {
        let open = stops.clone().filter(|stop| !stop.seen().stopped);
        let open: Vec<_> = open.map(|stop| stop.what.as_str()).collect();
        match open.is_empty() {
            true => Ok(()),
            false => Err(format!("{open:?}\n{}", world.log())),
        }
    })
    .await;
}

/// How a Certificate was left by an operator that was killed.
struct Left {
    /// Where its order is, if its status says so.
    order: Option<String>,
    /// The next certificate's key, if it is stored.
    next_key: Option<PublicKey>,
}

async fn left(world: &World, name: &str) -> Left {
    let certificates: Api<Certificate> = world.of();
    let found = certificates.get(name).await.unwrap();
    let secrets: Api<Secret> = world.secrets();
    let kept = next_key::name(&found.uid().unwrap());
    let kept = secrets.get_opt(&kept).await.unwrap();
    let order = found.status.and_then(|status| status.order);
    Left {
        order: order.and_then(|order| order.url),
        next_key: kept.map(|kept| next_key::read(&kept).unwrap().public().clone()),
    }
}

#[tokio::test]
async fn an_operator_killed_at_any_request_has_its_order_taken_up_with_the_key_that_was_stored() {
    let mut world = World::new(Ways::default()).await;
    let mut stops = BTreeMap::new();
    for request in REQUESTS {
        for heard in [true, false] {
            let name = format!("stop-{}", stops.len());
            let server = Faulty::before(world.pebble.listens).await;
            stops.insert(name, Stop::at(server, "/", request, heard));
        }
    }
    for (name, stop) in &stops {
        world
            .issuer_at(name, &stop.server.directory, &stop.server.bundle)
            .await;
        world
            .certificate_of(name, name, &[&format!("{name}.example.com")])
            .await;
    }
    are_reached(&world, stops.values()).await;
    world.kill().await;
    let mut before = BTreeMap::new();
    for (name, stop) in &stops {
        before.insert(name, left(&world, name).await);
        stop.goes_on();
    }
    world.start().await;

    let number = |path: &str, place: usize| {
        let mut all = REQUESTS.iter();
        all.position(|request| *request == (path, place)).unwrap()
    };
    let new_order = number(NEW_ORDER, 0);
    for (name, stop) in &stops {
        let (key, chain) = held(&world.ready(name, 1).await);
        assert_eq!(chain[0].public_key, *key.public(), "{}", stop.what);
        let (left, seen) = (&before[name], stop.seen());
        let number = number(stop.request.0, stop.request.1);
        if number >= new_order {
            assert_eq!(left.next_key.as_ref(), Some(key.public()), "{}", stop.what);
        }
        // Only the answer to the request for an order can be lost with the order.
        let lost = number == new_order && stop.heard;
        let orders = 1 + usize::from(lost);
        assert_eq!(seen.orders, orders, "{}", stop.what);
        assert_eq!(left.order.is_some(), number > new_order, "{}", stop.what);
        let looked_at = Vec::from_iter(&seen.looked_at);
        assert_eq!(looked_at.len(), 1, "{}: {looked_at:?}", stop.what);
        if let Some(order) = &left.order {
            assert!(order.ends_with(looked_at[0]), "{}: {order}", stop.what);
        }
    }
    world.is_tidy().await;
    world.has_no_ways_in().await;
}
