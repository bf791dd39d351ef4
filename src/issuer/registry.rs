//! Which issuers there are, and whether they can sign.

use std::sync::Arc;

use certwright_core::acme::AccountKey;
use certwright_core::api::issuer::{Acme, Ca, SelfSigned};
use certwright_core::api::{
    Certificate, ClusterIssuer, ConditionStatus, Group, Issuer, IssuerSpec, IssuerStatus, condition,
};
use certwright_core::pki::sign::Locations;
use certwright_core::plan::request::IssuerName;
use certwright_core::plan::{ReadyIssuer, Signer, fallback};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::{ObjectRef, Store};

use super::acme::rollover::{self, Rolled};
use super::authorities::Authorities;
use super::found::Found;
use super::{Accounts, AcmeIssuer, AnyIssuer, CaIssuer, SelfSignedIssuer, Usable};
use crate::cluster::secrets::{IssuerKey, Named, Secrets};
use crate::error::Error;
use crate::metrics::{IssuerSample, IssuerSeries};

/// How long to wait before it is looked again whether an account is still shared.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// An issuer as it is now.
pub enum State {
    /// There is none of this name.
    Missing,
    /// It can't sign.
    NotReady(NotReady),
    /// It doesn't serve the Certificate's namespace.
    NotAllowed,
    /// It can.
    Ready(Box<Usable>),
}

/// Why an issuer can't sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// One word to search for.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// All issuers.
pub struct Issuers {
    group: Group,
    /// Where ClusterIssuers find their Secrets.
    cluster_namespace: String,
    issuers: Store<Issuer>,
    /// `None` where they are not served.
    cluster_issuers: Option<Store<ClusterIssuer>>,
    /// The CAs in Secrets.
    authorities: Authorities,
    /// The accounts with ACME CAs.
    accounts: Accounts,
}

impl Issuers {
    /// Issuers as these stores show them; without `cluster_issuers`, these are not served.
    pub fn new(
        group: Group,
        cluster_namespace: String,
        secrets: Arc<Secrets>,
        issuers: Store<Issuer>,
        cluster_issuers: Option<Store<ClusterIssuer>>,
        accounts: Accounts,
    ) -> Self {
        Self {
            group,
            cluster_namespace,
            issuers,
            cluster_issuers,
            authorities: Authorities::new(secrets),
            accounts,
        }
    }

    /// The issuer that a Certificate of this namespace means by this name.
    ///
    /// # Errors
    /// When its Secret can't be read just now.
    pub async fn state(
        &self,
        now: Timestamp,
        namespace: &str,
        name: &IssuerName,
    ) -> Result<State, Error> {
        let of = if name.cluster { "" } else { namespace };
        let issuer = (name.clone(), of.to_owned());
        match self.find(&issuer) {
            Some(found) if !found.serves(namespace) => Ok(State::NotAllowed),
            found => self.judge(now, found, &issuer).await,
        }
    }

    /// How an issuer stands by itself, whomever it serves.
    ///
    /// # Errors
    /// When its Secret can't be read just now.
    pub async fn own_state(&self, now: Timestamp, issuer: &IssuerKey) -> Result<State, Error> {
        self.judge(now, self.find(issuer), issuer).await
    }

    /// Where an issuer finds its Secrets.
    fn place<'a>(&'a self, issuer: &'a IssuerKey) -> &'a str {
        match issuer.0.cluster {
            true => &self.cluster_namespace,
            false => &issuer.1,
        }
    }

    fn find(&self, (IssuerName { cluster, name }, namespace): &IssuerKey) -> Option<Found> {
        if *cluster {
            let reference = ObjectRef::new_with(name, self.group.clone());
            let found = self.cluster_issuers.as_ref()?.get(&reference);
            return found.map(Found::ForMany);
        }
        let reference = ObjectRef::new_with(name, self.group.clone()).within(namespace);
        self.issuers.get(&reference).map(Found::Own)
    }

    /// The issuers that read this Secret.
    pub fn readers(&self, secret: &Named) -> Vec<(IssuerName, String)> {
        let reads = |spec: &IssuerSpec| {
            let account = spec.acme.as_ref().is_some_and(|acme| {
                let binding = acme.external_account_binding.as_ref();
                acme.private_key_secret_ref.name == secret.name
                    || binding.is_some_and(|binding| binding.key_secret_ref.name == secret.name)
            });
            let ca = spec.ca.as_ref();
            account || ca.is_some_and(|ca| ca.secret_name == secret.name)
        };
        let mut readers = Vec::new();
        for issuer in self.issuers.state() {
            if issuer.metadata.namespace.as_deref() == Some(&secret.namespace)
                && reads(&issuer.spec)
            {
                let name = issuer.metadata.name.clone().unwrap_or_default();
                readers.push((
                    IssuerName {
                        cluster: false,
                        name,
                    },
                    secret.namespace.clone(),
                ));
            }
        }
        for issuer in self.all_cluster_issuers() {
            if secret.namespace == self.cluster_namespace && reads(&issuer.spec) {
                let name = issuer.metadata.name.clone().unwrap_or_default();
                readers.push((
                    IssuerName {
                        cluster: true,
                        name,
                    },
                    String::new(),
                ));
            }
        }
        readers
    }

    /// Forgets the CAs that no issuer reads any more, and so their keys.
    pub fn forget_unread(&self) {
        self.authorities
            .retain(|secret| !self.readers(secret).is_empty());
        self.accounts.retain(|issuer| self.has_account(issuer));
    }

    /// Whether there is such an issuer, and it asks an ACME CA.
    fn has_account(&self, issuer: &IssuerKey) -> bool {
        let found = self.find(issuer);
        found.is_some_and(|found| found.spec().acme.is_some())
    }

    /// The first issuer that a Certificate names which asks somebody outside the cluster.
    pub fn first_outside(&self, certificate: &Certificate) -> Option<IssuerName> {
        let namespace = certificate.metadata.namespace.as_deref();
        let mut names = fallback::candidates(&certificate.spec).into_iter();
        names.find(|name| {
            let of = namespace.filter(|_| !name.cluster).unwrap_or_default();
            self.has_account(&(name.clone(), of.to_owned()))
        })
    }

    async fn judge(
        &self,
        now: Timestamp,
        found: Option<Found>,
        issuer: &IssuerKey,
    ) -> Result<State, Error> {
        let Some(found) = found else {
            let off = issuer.0.cluster && self.cluster_issuers.is_none();
            return Ok(match off {
                true => State::NotReady(not_served()),
                false => State::Missing,
            });
        };
        let (spec, metadata) = (found.spec(), found.metadata());
        let namespace = self.place(issuer);
        let not_ready = |reason, message| Ok(State::NotReady(NotReady { reason, message }));
        let identity = format!(
            "{}.{}",
            metadata.uid.as_deref().unwrap_or_default(),
            metadata.generation.unwrap_or_default()
        );
        match (&spec.self_signed, &spec.ca, &spec.acme) {
            (Some(settings), None, None) => {
                Ok(State::Ready(Box::new(self_signed(settings, identity))))
            }
            (None, Some(settings), None) => self.ca(now, settings, namespace, identity).await,
            (None, None, Some(settings)) => {
                self.acme(now, settings, (issuer, namespace), identity)
                    .await
            }
            _ => not_ready(
                "InvalidSpec",
                "Its spec must have exactly one of selfSigned, ca and acme.".to_owned(),
            ),
        }
    }

    async fn acme(
        &self,
        now: Timestamp,
        settings: &Acme,
        (issuer, namespace): (&IssuerKey, &str),
        identity: String,
    ) -> Result<State, Error> {
        let found = self
            .accounts
            .of(now, issuer, namespace, &identity, settings)
            .await?;
        Ok(match found {
            Ok(account) => State::Ready(Box::new(Usable {
                facts: ReadyIssuer {
                    // An order belongs to an account.
                    identity: format!("{identity}.{}", account.key().thumbprint()),
                    signer: Signer::Outside,
                },
                issuer: AnyIssuer::Acme(AcmeIssuer::new(
                    account,
                    settings.clone(),
                    issuer.0.cluster || namespace == self.cluster_namespace,
                )),
            })),
            Err(problem) => State::NotReady(problem),
        })
    }

    /// When an issuer's CA is to be asked for its account again.
    pub fn account_due(&self, issuer: &IssuerKey) -> Option<Timestamp> {
        self.accounts.due(issuer)
    }

    /// Has the CA asked for an issuer's account again: it does not know it any more.
    pub fn forget_account(&self, issuer: &IssuerKey) {
        self.accounts.forget(issuer);
    }

    /// Gives the account of an ACME issuer another key for this request, or goes on with what was begun.
    ///
    /// # Errors
    /// When the API server fails, or something changed meanwhile.
    pub async fn roll_account_key(
        &self,
        now: Timestamp,
        issuer: &IssuerKey,
        using: &AcmeIssuer,
        asked: Option<&str>,
    ) -> Result<Rolled, Error> {
        let namespace = self.place(issuer);
        let secret = using.key_secret(namespace);
        let mut readers = self.readers(&secret).into_iter();
        let other = readers.find(|reader| reader != issuer);
        let refused = match other.or_else(|| self.accounts.shared_with(issuer, using.account())) {
            _ if using.keeps_its_key() => Some(rollover::must_stay()),
            Some(other) => Some(rollover::is_shared(&secret, &other)),
            None => None,
        };
        match refused {
            // Nobody waits for it any more.
            Some(_) if asked.is_none() => Ok(Rolled::Nothing),
            // That another issuer let go, nobody tells this one.
            Some(problem) => Ok(Rolled::Failed(problem, now.checked_add(LOOK_AGAIN).ok())),
            None => {
                self.accounts
                    .roll(now, issuer, namespace, using, asked)
                    .await
            }
        }
    }

    /// Begins to count anew what ACME accounts were used for.
    pub fn count_anew(&self) {
        self.accounts.count_anew();
    }

    /// The key of an ACME issuer's account, which answers to the challenges of a Certificate of this namespace are made with;
    /// `None` if it is no such issuer, has none, or doesn't serve the namespace.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn account_key(
        &self,
        namespace: &str,
        issuer: &IssuerKey,
    ) -> Result<Option<AccountKey>, Error> {
        let found = self.find(issuer).filter(|found| found.serves(namespace));
        match found.as_ref().and_then(|found| found.spec().acme.as_ref()) {
            Some(settings) => {
                self.accounts
                    .key(issuer, self.place(issuer), settings)
                    .await
            }
            None => Ok(None),
        }
    }

    async fn ca(
        &self,
        now: Timestamp,
        settings: &Ca,
        namespace: &str,
        identity: String,
    ) -> Result<State, Error> {
        let secret = Named::new(namespace, &settings.secret_name);
        let authority = self.authorities.of(now, &secret).await?;
        Ok(match authority {
            Ok(authority) => {
                let identity = format!("{identity}.{}", authority.certificate().fingerprint);
                let locations = Locations {
                    crl_distribution_points: settings.crl_distribution_points.clone(),
                    ocsp_servers: settings.ocsp_servers.clone(),
                    issuing_certificate_urls: settings.issuing_certificate_urls.clone(),
                };
                State::Ready(Box::new(Usable {
                    facts: ReadyIssuer {
                        identity,
                        signer: Signer::Authority(Arc::clone(&authority)),
                    },
                    issuer: AnyIssuer::Ca(CaIssuer {
                        authority,
                        locations,
                    }),
                }))
            }
            Err(problem) => State::NotReady(problem),
        })
    }

    fn all_cluster_issuers(&self) -> Vec<Arc<ClusterIssuer>> {
        self.cluster_issuers
            .as_ref()
            .map(Store::state)
            .unwrap_or_default()
    }
}

impl IssuerSeries for Issuers {
    fn each(&self, visit: &mut dyn FnMut(IssuerSample<'_>)) {
        let ready = |status: Option<&IssuerStatus>| {
            let ready = status.and_then(|status| condition::find(&status.conditions, "Ready"));
            ready.map_or(ConditionStatus::Unknown, |condition| condition.status)
        };
        for issuer in self.issuers.state() {
            visit(IssuerSample {
                kind: "Issuer",
                namespace: issuer.metadata.namespace.as_deref().unwrap_or_default(),
                name: issuer.metadata.name.as_deref().unwrap_or_default(),
                ready: ready(issuer.status.as_ref()),
            });
        }
        for issuer in self.all_cluster_issuers() {
            visit(IssuerSample {
                kind: "ClusterIssuer",
                namespace: "",
                name: issuer.metadata.name.as_deref().unwrap_or_default(),
                ready: ready(issuer.status.as_ref()),
            });
        }
    }
}

fn not_served() -> NotReady {
    NotReady {
        reason: "ClusterIssuersOff",
        message: "ClusterIssuers are not served here (--cluster-issuers). Use an Issuer of the Certificate's namespace."
            .to_owned(),
    }
}

fn self_signed(settings: &SelfSigned, identity: String) -> Usable {
    let locations = Locations {
        crl_distribution_points: settings.crl_distribution_points.clone(),
        ..Locations::default()
    };
    Usable {
        facts: ReadyIssuer {
            identity,
            signer: Signer::SelfSigned,
        },
        issuer: AnyIssuer::SelfSigned(SelfSignedIssuer { locations }),
    }
}
