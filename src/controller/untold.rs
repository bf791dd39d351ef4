//! Orders that were made and that no status tells of, because it could not be written.
//!
//! A CA counts each order, and none can be taken back. What one came to is kept until it is written down; with the
//! process it is lost, and another order is made.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use certwright_core::api::Certificate;
use certwright_core::api::certificate::OrderStatus;

use crate::cluster::secrets::Named;

/// What unfinished issuances hold outside the cluster, by Certificate, where the status could not be told.
#[derive(Debug, Default)]
pub struct Untold(Mutex<HashMap<Named, Order>>);

#[derive(Debug)]
struct Order {
    /// Of the Certificate.
    uid: Option<String>,
    held: OrderStatus,
}

impl Untold {
    /// What the issuance for this Certificate holds, if its status could not be told.
    pub(super) fn of(&self, certificate: &Certificate) -> Option<OrderStatus> {
        let orders = self.lock();
        let order = orders.get(&Named::of(&certificate.metadata))?;
        (order.uid == certificate.metadata.uid).then(|| order.held.clone())
    }

    /// Keeps what the issuance for this Certificate holds until its status is written.
    pub(super) fn keep(&self, certificate: &Certificate, held: &OrderStatus) {
        let uid = certificate.metadata.uid.clone();
        let held = held.clone();
        let name = Named::of(&certificate.metadata);
        self.lock().insert(name, Order { uid, held });
    }

    /// The status was written, or the Certificate is gone.
    pub fn forget(&self, certificate: &Named) {
        self.lock().remove(certificate);
    }

    /// Forgets all: another replica may have gone on meanwhile.
    pub(super) fn begin_anew(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Named, Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn an_order_is_kept_for_this_very_certificate_until_it_is_told() {
        let held = OrderStatus {
            attempted: "a".to_owned(),
            url: Some("https://ca.example/order/1".to_owned()),
            started_at: Time(Timestamp::UNIX_EPOCH),
            challenges: Vec::new(),
            look_again: None,
            waits_for: None,
        };
        let mut certificate = Certificate::default();
        certificate.metadata.namespace = Some("shop".to_owned());
        certificate.metadata.name = Some("web".to_owned());
        certificate.metadata.uid = Some("1".to_owned());
        let untold = Untold::default();
        assert_eq!(untold.of(&certificate), None);
        untold.keep(&certificate, &held);
        assert_eq!(untold.of(&certificate), Some(held.clone()));

        let mut another = certificate.clone();
        another.metadata.uid = Some("2".to_owned());
        assert_eq!(untold.of(&another), None);
        untold.forget(&Named::of(&certificate.metadata));
        assert_eq!(untold.of(&certificate), None);
        untold.keep(&certificate, &held);
        untold.begin_anew();
        assert_eq!(untold.of(&certificate), None);
    }
}
