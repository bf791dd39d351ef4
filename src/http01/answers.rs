//! What every replica answers, from what the Certificates say of their orders.
//!
//! A status is written by whoever may write it. From it come a name and a token alone; the name must be one that the
//! Certificate asks for, and the answer is computed from our own account's key.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certwright_core::acme::AccountKey;
use certwright_core::acme::order::identifiers;
use certwright_core::api::Certificate;
use certwright_core::http01::{Challenge, Host};
use certwright_core::plan::{Request, request};
use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tracing::warn;

use super::responder::Answers;
use crate::cluster::secrets::{IssuerKey, Named};
use crate::error::Error;

/// How long to wait before an account's key that could not be read is asked for again.
const PAUSE: Duration = Duration::from_secs(2);

/// The answers, shared with the responder.
#[derive(Clone, Default)]
pub struct KnownAnswers(Arc<Mutex<HashMap<Named, Vec<Known>>>>);

struct Known {
    host: Host,
    token: String,
    answer: String,
}

impl Answers for KnownAnswers {
    fn answer(&self, host: &Host, token: &str) -> Option<String> {
        let known = self.lock();
        let mut all = known.values().flatten();
        all.find(|known| known.host == *host && known.token == token)
            .map(|known| known.answer.clone())
    }
}

impl KnownAnswers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Named, Vec<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the Certificate's present state says, and tells `news` if that is another.
    fn keep(&self, name: &Named, answers: Vec<Known>, news: &watch::Sender<u64>) {
        let before = if answers.is_empty() {
            self.lock().remove(name).is_some()
        } else {
            self.lock().insert(name.clone(), answers);
            true
        };
        if before {
            news.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// Follows the Certificates that `changed` names. It never comes back.
pub async fn follow(
    answers: KnownAnswers,
    news: watch::Sender<u64>,
    mut changed: UnboundedReceiver<Named>,
    find: impl Fn(&Named) -> Option<Arc<Certificate>>,
    issuer: impl Fn(&Certificate) -> IssuerKey,
    key: impl Fn(&Named, &IssuerKey) -> BoxFuture<'static, Result<Option<AccountKey>, Error>>,
) {
    let mut again: VecDeque<Named> = VecDeque::new();
    loop {
        let name = if again.is_empty() {
            changed.next().await
        } else {
            tokio::select! {
                name = changed.next() => name,
                () = tokio::time::sleep(PAUSE) => again.pop_front(),
            }
        };
        let Some(name) = name else { break };
        again.retain(|failed| *failed != name);
        let challenges = find(&name).map(|certificate| {
            let issuer = issuer(&certificate);
            (asked(&certificate), issuer)
        });
        let (challenges, issuer) = match challenges {
            Some((challenges, issuer)) if !challenges.is_empty() => (challenges, issuer),
            _ => {
                answers.keep(&name, Vec::new(), &news);
                continue;
            }
        };
        match key(&name, &issuer).await {
            Ok(key) => {
                let known = key.map(|key| known(&challenges, &key)).unwrap_or_default();
                answers.keep(&name, known, &news);
            }
            Err(problem) => {
                warn!(
                    namespace = name.namespace,
                    name = name.name,
                    problem = problem.told(),
                    "Failed to read an account's key, so that a CA is not answered yet"
                );
                again.push_back(name);
            }
        }
    }
    std::future::pending().await
}

/// The challenges that a Certificate's status tells of, as far as they are for its own names.
fn asked(certificate: &Certificate) -> Vec<Challenge> {
    let order = certificate
        .status
        .as_ref()
        .and_then(|status| status.order.as_ref());
    let Some(order) = order.filter(|order| !order.challenges.is_empty()) else {
        return Vec::new();
    };
    let Ok(request) = Request::of(&certificate.spec, request::VERSION) else {
        return Vec::new();
    };
    let names: Vec<_> = identifiers(&request.profile)
        .into_iter()
        .flatten()
        .map(|identifier| identifier.to_string())
        .collect();
    order
        .challenges
        .iter()
        .filter(|shown| shown.kind == "http-01" && names.contains(&shown.identifier))
        .filter_map(|shown| Challenge::new(&shown.identifier, &shown.token).ok())
        .collect()
}

fn known(challenges: &[Challenge], key: &AccountKey) -> Vec<Known> {
    challenges
        .iter()
        .map(|challenge| Known {
            host: challenge.host().clone(),
            token: challenge.token().to_owned(),
            answer: key.key_authorization(challenge.token()),
        })
        .collect()
}
