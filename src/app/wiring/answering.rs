//! HTTP-01: who answers, who sees to it that we are asked, and who tidies up.

use std::sync::Arc;

use certwright_core::http01::Owner;
use futures::FutureExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::warn;

use crate::app::tasks::Tasks;
use crate::cluster::secrets::Named;
use crate::controller::{Context, issuer_key};
use crate::http01::answers::{KnownAnswers, follow};
use crate::http01::front_door::FrontDoor;
use crate::http01::responder::Responder;
use crate::http01::self_check::Dial;
use crate::outside::{Allowed, Outside};

/// Dials what tenants name, by the operator's ways out, where that is allowed.
pub(super) struct Through {
    pub(super) outside: Arc<Outside>,
    pub(super) allowed: Allowed,
}

impl Dial for Through {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        self.outside.reach(host, port, &self.allowed).boxed()
    }
}

/// Starts to answer the questions of CAs, on every replica, and to lead them here while this one leads.
pub(super) fn start(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    changed: UnboundedReceiver<Named>,
    listener: TcpListener,
) {
    let answers = KnownAnswers::default();
    let (news, heard) = watch::channel(0);
    let responder = Responder::new(answers.clone(), heard);
    tasks.serving("responder", responder.serve(listener, tasks.stop.clone()));
    tasks.following("answers", {
        let context = Arc::clone(context);
        async move {
            let find = |name: &_| context.certificates.get(name);
            let key = |issuer: &_| {
                let (context, issuer) = (Arc::clone(&context), Clone::clone(issuer));
                async move { context.issuers.account_key(&issuer).await }.boxed()
            };
            follow(answers, news, changed, find, issuer_key, key).await;
        }
    });
    let Some(front_door) = context.ways.front_door.clone() else {
        return;
    };
    tasks.following("watch of our own addresses", {
        let front_door = Arc::clone(&front_door);
        async move { front_door.watch().await }
    });
    tasks.following("addresses of the front door", {
        let (front_door, context) = (Arc::clone(&front_door), Arc::clone(context));
        async move { front_door.follow(&context.leadership).await }
    });
    tasks.following("sweep of the front door", {
        let context = Arc::clone(context);
        async move { sweep(&front_door, &context).await }
    });
}

/// At the beginning of each term, takes away what was made for Certificates that don't need it any more. It never comes
/// back.
async fn sweep(front_door: &FrontDoor, context: &Context) {
    loop {
        let term = context.leadership.term().await;
        context.readiness.complete().await;
        let needed = |owner: &Owner| {
            let name = Named::new(&owner.namespace, &owner.name);
            context.certificates.get(&name).is_some_and(|certificate| {
                certificate.metadata.uid.as_ref() == Some(&owner.uid)
                    && certificate
                        .status
                        .as_ref()
                        .is_some_and(|status| status.order.is_some())
            })
        };
        if let Err(problem) = front_door.sweep(needed).await {
            warn!(
                problem = problem.told(),
                "Something is left of HTTP-01, and is looked for again at the next start"
            );
        }
        term.cancelled().await;
    }
}
