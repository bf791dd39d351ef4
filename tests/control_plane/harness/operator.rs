//! An operator in this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use certwright::app;
use certwright::cli::{LeaderElection, LogFormat, LogSettings, OutsideSettings, RunSettings};
use certwright::clock::Clock;
use certwright::cluster::retry_after::RetryAfter;
use certwright::outside::AllowedTargets;
use http::{Request, Response};
use jiff::SignedDuration;
use kube::Client;
use kube::client::Body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceExt as _};

use super::record::Record;
use super::{Scene, eventually};

/// What a layer is put around: the client's calls to the API server.
pub(crate) type Calls = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

/// A running operator.
pub(crate) struct Operator {
    /// Where it serves health and metrics.
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    record: Record,
}

impl Operator {
    /// Starts one for the scene, and waits until it is ready.
    pub(crate) async fn start(scene: &Scene<'_>) -> Self {
        Self::start_with(scene, tower::layer::util::Identity::new()).await
    }

    /// The same, with every call to the API server going through `layer`.
    pub(crate) async fn start_with<L, B>(scene: &Scene<'_>, layer: L) -> Self
    where
        L: Layer<Calls>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let operator = Self::begin(scene, layer).await;
        operator.ready().await;
        operator
    }

    /// The same, as one of several replicas.
    pub(crate) async fn replica<L, B>(scene: &Scene<'_>, name: &str, layer: L) -> Self
    where
        L: Layer<Calls>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let election = LeaderElection {
            identity: name.to_owned(),
            lease_duration: Duration::from_secs(3),
        };
        let operator = Self::operate(scene, layer, Some(election)).await;
        operator.ready().await;
        operator
    }

    /// The same, without waiting.
    pub(crate) async fn begin<L, B>(scene: &Scene<'_>, layer: L) -> Self
    where
        L: Layer<Calls>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::operate(scene, layer, None).await
    }

    async fn operate<L, B>(scene: &Scene<'_>, layer: L, election: Option<LeaderElection>) -> Self
    where
        L: Layer<Calls>,
        L::Service: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut config = scene
            .cluster
            .service_account_config(&scene.system, &scene.account)
            .await
            .unwrap();
        config.default_retry = false;
        let url = config.cluster_url.clone();
        let client = Client::try_from(config).unwrap();
        let calls = RetryAfter.layer(layer.layer(calls(client)));
        let client = Client::new(calls, &scene.system);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = settings(scene, address, election);
        let clock = Arc::<super::ShiftedClock>::clone(&scene.clock) as Arc<dyn Clock>;
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { app::operate((client, &url), &settings, clock, listener, stop).await }
        });
        Self {
            address,
            stop,
            task,
            record: Record::of(scene),
        }
    }

    /// Waits until it has read everything.
    pub(crate) async fn ready(&self) {
        eventually("the operator is ready", async || {
            match self.get("/readyz").await {
                (200, _) => Ok(()),
                (code, text) => Err(format!("{code}: {text}")),
            }
        })
        .await;
    }

    /// Stops it as SIGTERM does; it ends without a failure, and has told nobody a key.
    pub(crate) async fn stop(self) {
        let (_, metrics) = self.get("/metrics").await;
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.record.holds_no_key(&metrics).await;
    }

    /// Ends it where it stands, in the middle of whatever it does. It has told nobody a key.
    pub(crate) async fn kill(self) {
        let (_, metrics) = self.get("/metrics").await;
        self.task.abort();
        let ended = self.task.await;
        assert!(
            ended
                .as_ref()
                .is_err_and(tokio::task::JoinError::is_cancelled),
            "it had ended before: {ended:?}"
        );
        self.record.holds_no_key(&metrics).await;
    }

    /// Whether it still runs.
    pub(crate) fn runs(&self) -> bool {
        !self.task.is_finished()
    }

    /// Code and body of the answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path).await
    }

    /// The value of a series, as `/metrics` writes its name and labels; `None` if it is not there.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (code, text) = self.get("/metrics").await;
        assert_eq!(code, 200, "{text}");
        let line = text.lines().find_map(|line| {
            line.strip_prefix(series)
                .and_then(|rest| rest.strip_prefix(' '))
        })?;
        line.parse().ok()
    }
}

/// Code and body of the answer to a GET; code 0 if nobody answers.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = match exchange.await {
        Ok(answer) => answer,
        Err(problem) => return (0, problem.to_string()),
    };
    let code = answer.get(9..12).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (code.unwrap_or_default(), body.to_owned())
}

fn calls(client: Client) -> Calls {
    tower::service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await.map_err(BoxError::from) }
    })
    .boxed_clone()
}

fn settings(
    scene: &Scene<'_>,
    listen: SocketAddr,
    leader_election: Option<LeaderElection>,
) -> RunSettings {
    RunSettings {
        group: scene.group.clone(),
        namespace: scene.system.clone(),
        scope: scene.scope.clone(),
        cluster_issuers: scene.serves_cluster_issuers,
        rollout: Some(scene.rollout.clone()),
        outside: OutsideSettings::default(),
        private_networks: scene.private_networks.clone(),
        served_check_targets: AllowedTargets::new(scene.watched.clone()),
        resolvers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 9))],
        http01: None,
        cluster_resource_namespace: scene.system.clone(),
        concurrency: 16,
        ca_overlap: SignedDuration::from_hours(1),
        renew_throttle: SignedDuration::from_mins(5),
        renewal_info_spread: SignedDuration::from_hours(1),
        listen,
        leader_election,
        log: LogSettings {
            format: LogFormat::Text,
            filter: "info".parse().unwrap(),
        },
    }
}
