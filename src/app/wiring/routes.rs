//! Who hears from whom: which objects have to look when something else changed.

use std::sync::Arc;

use certwright_core::api::{Certificate, ClusterIssuer};
use certwright_core::rollout::Source;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Event;

use crate::cluster::namespaces::Changed;
use crate::cluster::readable::Broken;
use crate::cluster::secrets::{Change, IssuerKey, Named};
use crate::controller::watches::IssuersSeen;
use crate::controller::{CERTIFICATE, Context, IssuerKind};
use crate::rollout::Notice;

/// Where to tell each kind of listener what it has to look at.
///
/// Unbounded, since each listener keeps an object only once, however often it is named.
#[derive(Clone)]
pub(super) struct Routes {
    pub(super) context: Arc<Context>,
    pub(super) certificates: UnboundedSender<Named>,
    issuers: UnboundedSender<Named>,
    cluster_issuers: UnboundedSender<Named>,
    rollout: UnboundedSender<Notice>,
    pub(super) namespaces: UnboundedSender<String>,
    answers: UnboundedSender<Named>,
    pub(super) broken: UnboundedSender<Broken>,
}

/// The other ends.
pub(super) struct Ends {
    pub(super) certificates: UnboundedReceiver<Named>,
    pub(super) issuers: UnboundedReceiver<Named>,
    pub(super) cluster_issuers: UnboundedReceiver<Named>,
    pub(super) rollout: UnboundedReceiver<Notice>,
    pub(super) namespaces: UnboundedReceiver<String>,
    pub(super) answers: UnboundedReceiver<Named>,
    pub(super) broken: UnboundedReceiver<Broken>,
}

impl Routes {
    pub(super) fn new(context: Arc<Context>) -> (Self, Ends) {
        let (to_certificates, certificates) = unbounded();
        let (to_issuers, issuers) = unbounded();
        let (to_cluster_issuers, cluster_issuers) = unbounded();
        let (to_rollout, rollout) = unbounded();
        let (to_namespaces, namespaces) = unbounded();
        let (to_answers, answers) = unbounded();
        let (to_broken, broken) = unbounded();
        let routes = Self {
            context,
            certificates: to_certificates,
            issuers: to_issuers,
            cluster_issuers: to_cluster_issuers,
            rollout: to_rollout,
            namespaces: to_namespaces,
            answers: to_answers,
            broken: to_broken,
        };
        let ends = Ends {
            certificates,
            issuers,
            cluster_issuers,
            rollout,
            namespaces,
            answers,
            broken,
        };
        (routes, ends)
    }

    /// A Secret changed: the Certificates that name it, the issuers that read it with all their Certificates, and the
    /// workloads that read it have to look. The Certificate for which we wrote it has looked already.
    pub(super) fn secret_changed(&self, Change { secret, own }: &Change) {
        if !own {
            for certificate in self.context.certificates.of_secret(secret) {
                send(&self.certificates, certificate);
            }
        }
        for issuer in self.context.issuers.readers(secret) {
            self.wake(&issuer);
            self.wake_certificates_of(&issuer);
        }
        let Named { namespace, name } = secret.clone();
        if self.context.secrets.held(secret).is_some() {
            send(&self.namespaces, namespace.clone());
        }
        send(
            &self.rollout,
            Notice::Source(Source::secret(name).within(namespace)),
        );
    }

    /// What namespaces say has changed: the workloads in them and their Certificates have to look.
    pub(super) fn namespace_changed(&self, changed: Changed) {
        let notice = match changed {
            Changed::All => Notice::Everything,
            Changed::One(namespace) => Notice::Namespace(namespace),
        };
        send(&self.rollout, notice);
    }

    /// The watch of Certificates showed something, and its store has it.
    pub(super) fn certificate_changed(
        &self,
        store: &Store<Certificate>,
        event: &Event<Certificate>,
    ) {
        for certificate in self.context.certificates.observe(event) {
            send(&self.certificates, certificate);
        }
        match event {
            Event::Apply(certificate) | Event::Delete(certificate) => {
                send(&self.answers, Named::of(&certificate.metadata));
            }
            Event::InitDone => {
                for certificate in store.state() {
                    send(&self.answers, Named::of(&certificate.metadata));
                }
                // Nobody tells of what was deleted before it was listed again.
                self.context.left_over.notify_one();
            }
            Event::Init | Event::InitApply(_) => {}
        }
        match event {
            Event::Apply(certificate) => self.tell_rollout(certificate),
            Event::Delete(certificate) => {
                self.context.forget(CERTIFICATE, &certificate.metadata);
                let status = certificate.status.as_ref();
                // The key of one that holds no order goes with its owner.
                if status.is_some_and(|status| status.order.is_some()) {
                    self.context.left_over.notify_one();
                }
                self.tell_rollout(certificate);
            }
            Event::InitDone => store
                .state()
                .iter()
                .for_each(|certificate| self.tell_rollout(certificate)),
            Event::Init | Event::InitApply(_) => {}
        }
    }

    /// The watch of issuers showed something, and its store has it.
    pub(super) fn issuer_changed<K: IssuerKind>(
        &self,
        seen: &mut IssuersSeen,
        store: &Store<K>,
        event: &Event<K>,
    ) {
        let cluster = K::KIND == ClusterIssuer::KIND;
        match event {
            Event::Apply(issuer) => self.wake_issuer(cluster, Named::of(issuer.meta())),
            Event::Delete(issuer) => self.context.forget(K::CONTROLLER, issuer.meta()),
            Event::InitDone => {
                for issuer in store.state() {
                    self.wake_issuer(cluster, Named::of(issuer.meta()));
                }
            }
            Event::Init | Event::InitApply(_) => {}
        }
        let changed = seen.observe(store, event);
        if !changed.is_empty() {
            self.context.issuers.forget_unread();
        }
        for issuer in changed {
            self.wake_certificates_of(&issuer);
        }
    }

    /// An issuer has to look.
    pub(super) fn wake(&self, (issuer, namespace): &IssuerKey) {
        self.wake_issuer(issuer.cluster, Named::new(namespace, &issuer.name));
    }

    fn wake_issuer(&self, cluster: bool, issuer: Named) {
        let to = if cluster {
            &self.cluster_issuers
        } else {
            &self.issuers
        };
        send(to, issuer);
    }

    fn wake_certificates_of(&self, issuer: &IssuerKey) {
        for certificate in self.context.certificates.of_issuer(issuer) {
            // With another account, CAs are answered otherwise.
            send(&self.answers, certificate.clone());
            send(&self.certificates, certificate);
        }
    }

    fn tell_rollout(&self, certificate: &Certificate) {
        let Named { namespace, name } = Named::of(&certificate.metadata);
        let secret = Source::secret(&certificate.spec.secret_name).within(&namespace);
        send(&self.rollout, Notice::Certificate { namespace, name });
        send(&self.rollout, Notice::Source(secret));
    }
}

/// Sends to a listener. The other end only goes when the process stops.
fn send<T>(to: &UnboundedSender<T>, what: T) {
    let _ = to.unbounded_send(what);
}
