//! What the CA can take: the same orders by a bare client, whose answers the CA fetches directly.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use certwright::acme::{Client, Transport, Verification};
use certwright::cli::OutsideSettings;
use certwright::outside::{Allowed, Outside};
use certwright_core::acme::account_key::AccountKey;
use certwright_core::acme::wire::{Identifier, NewOrder, Order, OrderStatus};
use certwright_core::pki::csr::Csr;
use certwright_core::pki::profile::{DistinguishedName, KeyUsage, Names};
use certwright_core::pki::{KeySpec, PrivateKey, Profile};
use certwright_test_cluster::{Pebble, Ways};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::requests::Requests;

/// How long until an order is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES: usize = 3;
const KEY: KeySpec = KeySpec::Ecdsa(256);

pub(crate) struct Floor {
    /// Certificates per second, the best of several numbers of orders under way.
    pub(crate) best: f64,
    /// Requests per certificate.
    pub(crate) asked: f64,
}

impl Floor {
    /// Orders `count` certificates, with 16, 32 and 64 orders under way, each time of a CA of its own.
    pub(crate) async fn measure(count: usize) -> anyhow::Result<Self> {
        let mut floor = Self {
            best: 0.0,
            asked: 0.0,
        };
        for at_once in [16, 32, 64] {
            let mut tries = 1;
            let (rate, asked) = loop {
                match run(count, at_once).await {
                    Ok(measured) => break measured,
                    // Pebble 2.10 locks itself up now and then where many orders are under way.
                    Err(problem) if tries < TRIES => {
                        eprintln!(
                            "The floor with {at_once} under way is measured again: {problem:#}"
                        );
                        tries += 1;
                    }
                    Err(problem) => return Err(problem.context("the floor can't be measured")),
                }
            };
            if rate > floor.best {
                floor = Self { best: rate, asked };
            }
        }
        Ok(floor)
    }
}

/// Certificates per second, and requests per certificate.
async fn run(count: usize, at_once: usize) -> anyhow::Result<(f64, f64)> {
    let key = AccountKey::new(PrivateKey::generate(KEY)?)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let http_port = listener.local_addr()?.port();
    let answering = tokio::spawn(answer(listener, key.thumbprint().to_owned()));
    let pebble = Pebble::start(Ways {
        http_port,
        ..Ways::default()
    })
    .await?;
    let customer = Customer::of(&pebble, key).await?;
    let known = Requests::of_pebble(&pebble)?;
    let began = Instant::now();
    stream::iter((0..count).map(|number| customer.order(number)))
        .buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    let took = began.elapsed().as_secs_f64();
    let asked = Requests::of_pebble(&pebble)?.since(&known).all();
    answering.abort();
    Ok((count as f64 / took, asked as f64 / count as f64))
}

/// An account.
struct Customer {
    client: Client,
    key: AccountKey,
    url: String,
}

impl Customer {
    async fn of(pebble: &Pebble, key: AccountKey) -> anyhow::Result<Self> {
        let outside = Arc::new(Outside::new(&OutsideSettings::default())?);
        let loopback = "127.0.0.0/8".parse().map_err(anyhow::Error::msg)?;
        let allowed = Allowed::new(vec![loopback]);
        let known = Verification::Roots(Some(pebble.bundle()));
        let client = Client::new(
            Transport::new(outside, allowed, &known)?.within(PATIENCE),
            &pebble.directory(),
        );
        let url = client.account(&key, None, None).await?.url;
        Ok(Self { client, key, url })
    }

    /// Takes an order to its certificate, for which a key is made as the operator makes one.
    async fn order(&self, number: usize) -> anyhow::Result<()> {
        let (client, key, account) = (&self.client, &self.key, self.url.as_str());
        let name = super::place::name(number);
        let made = client
            .new_order(
                key,
                account,
                &NewOrder {
                    identifiers: vec![Identifier::Dns(name.clone())],
                    not_after: None,
                    profile: None,
                    replaces: None,
                },
            )
            .await?;
        for url in &made.object.authorizations {
            let found = client.authorization(key, account, url).await?.object;
            let challenge = found.challenges.iter().find(|one| one.kind == "http-01");
            let challenge = challenge.context("the CA offers no HTTP-01")?;
            client.accept(key, account, &challenge.url).await?;
        }
        let ready = self.until(&made.url, OrderStatus::Ready).await?;
        let csr = request(name, &PrivateKey::generate(KEY)?)?;
        client
            .finalize(key, account, &ready.finalize, &csr.0)
            .await?;
        let valid = self.until(&made.url, OrderStatus::Valid).await?;
        let url = valid.certificate.context("the CA gives no certificate")?;
        client.chain(key, account, &url).await?;
        Ok(())
    }

    async fn until(&self, url: &str, status: OrderStatus) -> anyhow::Result<Order> {
        for _ in 0..1200 {
            let order = self.client.order(&self.key, &self.url, url).await?.object;
            if order.status == status {
                return Ok(order);
            }
            if order.status == OrderStatus::Invalid {
                bail!("the CA refused the bare client's order: {order:?}");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        bail!("a bare client's order did not become {status:?} within two minutes")
    }
}

fn request(name: String, key: &PrivateKey) -> anyhow::Result<Csr> {
    let profile = Profile {
        subject: DistinguishedName::default(),
        names: Names {
            dns: [name].into(),
            ..Names::default()
        },
        key_usages: [KeyUsage::DigitalSignature].into(),
        extended_key_usages: BTreeSet::new(),
        is_ca: false,
        name_constraints: None,
        key: KEY,
        signature_algorithm: None,
        usages_in_request: true,
        lifetime_seconds: 7_776_000,
    };
    Ok(Csr::new(&profile, key)?)
}

/// Answers whatever token is asked for: an answer is the token and the account key's thumbprint.
async fn answer(listener: TcpListener, thumbprint: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let thumbprint = thumbprint.clone();
        tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read_buf(&mut request).await {
                    Ok(1..) if request.len() < 8192 => {}
                    _ => return,
                }
            }
            let request = String::from_utf8_lossy(&request);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let token = path.rsplit('/').next().unwrap_or_default();
            let body = format!("{token}.{thumbprint}");
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            let answer = format!("{head} {}\r\n\r\n{body}", body.len());
            // Whether it arrives, the order's state tells.
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
