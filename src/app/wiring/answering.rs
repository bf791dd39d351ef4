//! HTTP-01: who answers, who sees to it that we are asked, and who tidies up.

use std::sync::Arc;
use std::time::Duration;

use certwright_core::api::{Certificate, condition};
use certwright_core::http01::Owner;
use certwright_core::plan::status::READY;
use futures::FutureExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use kube::ResourceExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::warn;

use crate::app::tasks::Tasks;
use crate::cluster::new_secret;
use crate::cluster::scope::Scope;
use crate::cluster::secrets::Named;
use crate::controller::{Context, issuer_key};
use crate::error::Error;
use crate::http01::answers::{KnownAnswers, follow};
use crate::http01::front_door::FrontDoor;
use crate::http01::responder::Responder;
use crate::http01::self_check::Dial;
use crate::outside::{Allowed, Outside};

/// How long to wait after something could not be taken away; then ever longer...
const PAUSE: Duration = Duration::from_secs(10);
/// ...but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How long to wait for more that is left over.
const TOGETHER: Duration = Duration::from_secs(1);

/// Dials what tenants name, where that is allowed. By no proxy: the front door is looked at from here, and where a proxy leads
/// could not be looked at.
pub(super) struct Through {
    pub(super) outside: Arc<Outside>,
    pub(super) allowed: Allowed,
}

impl Dial for Through {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, anyhow::Result<TcpStream>> {
        self.outside
            .reach_directly(host, port, &self.allowed)
            .boxed()
    }
}

/// Starts to answer the questions of CAs, on every replica, and to lead them here while this one leads.
pub(super) fn start(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    scope: Scope,
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
            // Before all issuers are known, it can't be said whose account answers.
            context.readiness.complete().await;
            let find = |name: &_| context.certificates.get(name);
            let key = |certificate: &Named, issuer: &_| {
                let (context, issuer) = (Arc::clone(&context), Clone::clone(issuer));
                let namespace = certificate.namespace.clone();
                async move { context.issuers.account_key(&namespace, &issuer).await }.boxed()
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
        async move { sweep(&front_door, &context, &scope).await }
    });
}

/// Takes away what was made for Certificates that don't need it any more: at the beginning of each term, and when something
/// may be left over. What can't be taken away is tried again, after ever longer. It never comes back.
async fn sweep(front_door: &FrontDoor, context: &Context, scope: &Scope) {
    loop {
        let term = context.leadership.term().await;
        context.readiness.complete().await;
        let mut pause = PAUSE;
        while !term.is_cancelled() {
            let outcome = sweep_once(front_door, context, scope).await;
            let again = match outcome {
                Ok(()) => {
                    pause = PAUSE;
                    Duration::MAX
                }
                Err(problem) => {
                    warn!(problem = problem.told(), "Something is left of an order");
                    let again = pause;
                    pause = LONGEST_PAUSE.min(pause * 2);
                    again
                }
            };
            tokio::select! {
                () = term.cancelled() => {}
                () = tokio::time::sleep(again) => {}
                // More may be about to be told.
                () = context.left_over.notified() => tokio::time::sleep(TOGETHER).await,
            }
        }
    }
}

async fn sweep_once(front_door: &FrontDoor, context: &Context, scope: &Scope) -> Result<(), Error> {
    let needed = |owner: &Owner| {
        let name = Named::new(&owner.namespace, &owner.name);
        let uid = |certificate: &Certificate| certificate.metadata.uid == Some(owner.uid.clone());
        let certificate = context.certificates.get(&name);
        certificate.is_some_and(|certificate| uid(&certificate) && is_under_way(&certificate))
    };
    let swept = front_door.sweep(needed).await.map(|_| ());
    swept.and(sweep_keys(context, scope).await)
}

/// Takes away the next keys of Certificates that need none: their certificate was stored, and whoever stored it was killed.
async fn sweep_keys(context: &Context, scope: &Scope) -> Result<(), Error> {
    let kept = new_secret::next_keys(&context.client, &context.group, scope).await?;
    let name_key = context.group.key(new_secret::CERTIFICATE_NAME);
    let mut failure = Ok(());
    for secret in kept {
        let namespace = secret.namespace().unwrap_or_default();
        let named = secret.annotations().get(&name_key);
        let certificate =
            named.and_then(|name| context.certificates.get(&Named::new(&namespace, name)));
        // A key may have been stored just before the order that it is for; such a Certificate holds nothing, or not what it
        // asks for.
        let needed = certificate.is_some_and(|certificate| {
            let status = certificate.status.as_ref();
            let is_ready =
                status.is_some_and(|status| condition::is_true(&status.conditions, READY));
            is_under_way(&certificate) || !is_ready
        });
        if !needed && let Err(problem) = new_secret::remove(&context.client, &secret).await {
            failure = Err(problem);
        }
    }
    failure
}

fn is_under_way(certificate: &Certificate) -> bool {
    let status = certificate.status.as_ref();
    status.is_some_and(|status| status.order.is_some())
}
