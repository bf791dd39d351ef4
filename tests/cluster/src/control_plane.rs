//! Starting, using and stopping a control plane.

use std::{
    net::SocketAddrV4,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams};
use serde_json::{Value, json};
use tokio::{process::Command, time::sleep};

use crate::{
    access::{ADMIN, Access},
    audit::{self, AuditEvent},
    binaries::{Binaries, Program},
    node::Network,
    options::Options,
    ports,
    process::{Folder, Process, blames_port},
    services::{Ports, Services, api_server_address, is_there},
    traefik::{self, FrontDoor},
    workloads,
};

/// A running Kubernetes control plane. Dropping it ends every process and removes the folder.
#[derive(Debug)]
pub struct ControlPlane {
    services: Services,
    api_server: Mutex<Option<Process>>,
    // Fields are dropped in this order: clients of the API server, etcd, and the folder last.
    others: Mutex<Vec<Process>>,
    folder: Folder,
}

impl ControlPlane {
    /// Starts a control plane and waits until it serves, its controllers run and its nodes are ready.
    ///
    /// If a program ends or the wait takes too long, the error shows the end of that program's log.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let binaries = Binaries::locate()?;
        binaries.require(&needed(&options))?;
        for _ in 1..TRIES {
            match Self::try_start(options.clone(), binaries.clone()).await {
                Err(error) if blames_port(&error) => {}
                outcome => return outcome,
            }
        }
        Self::try_start(options, binaries).await
    }

    async fn try_start(options: Options, binaries: Binaries) -> anyhow::Result<Self> {
        Self::start_in(Folder::create()?, options, binaries, None).await
    }

    /// With a network the nodes are left to whoever laid it.
    pub(crate) async fn start_in(
        folder: Folder,
        options: Options,
        binaries: Binaries,
        network: Option<Network>,
    ) -> anyhow::Result<Self> {
        let path = folder.path().to_owned();
        let [etcd, etcd_peer, api_server, http, https] = ports::pick()?;
        let address = SocketAddrV4::new(api_server_address(network), api_server);
        let access = Access::create(&path, address, &options.users)?;
        let ports = Ports {
            etcd,
            etcd_peer,
            api_server,
            front_door: FrontDoor { http, https },
        };
        let services = Services {
            folder: path,
            binaries,
            access,
            options,
            ports,
            network,
        };

        let etcd = services.etcd()?;
        let control_plane = Self {
            services,
            api_server: Mutex::new(None),
            others: Mutex::new(vec![etcd]),
            folder,
        };
        control_plane.start_api_server().await?;
        control_plane.start_controllers().await?;
        control_plane.start_traefik().await?;
        Ok(control_plane)
    }

    /// A client that may do everything.
    ///
    /// A client belongs to the runtime that made it: make one in each test.
    pub fn client(&self) -> anyhow::Result<Client> {
        self.client_for(ADMIN)
    }

    /// A client of a user named in [`Options::user`].
    pub fn client_for(&self, user: &str) -> anyhow::Result<Client> {
        client(self.config_for(user)?)
    }

    /// A client that acts as a ServiceAccount, under RBAC, with a token that the API server made for it.
    pub async fn service_account_client(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Client> {
        client(self.service_account_config(namespace, name).await?)
    }

    /// The admin's configuration, for a client that is wrapped in layers of the test's own.
    pub fn config(&self) -> anyhow::Result<Config> {
        self.config_for(ADMIN)
    }

    /// The configuration of a user named in [`Options::user`].
    pub fn config_for(&self, user: &str) -> anyhow::Result<Config> {
        self.services.access.config(user)
    }

    /// The configuration of a ServiceAccount that exists, with a token for 24 hours.
    pub async fn service_account_config(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Config> {
        let token = self.service_account_token(namespace, name).await?;
        self.services.access.config_with_token(&token)
    }

    /// Writes a kubeconfig with a token for 24 hours of a ServiceAccount that exists, and returns its path; it goes with the
    /// control plane.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        let admins = std::fs::read(self.kubeconfig("admin")?)?;
        let mut config: Value = serde_yaml::from_slice(&admins)?;
        config["users"][0]["user"] = json!({ "token": token });
        let path = self.folder().join(format!("{namespace}-{name}.kubeconfig"));
        std::fs::write(&path, serde_yaml::to_string(&config)?)?;
        Ok(path)
    }

    /// A token for 24 hours of a ServiceAccount that exists.
    async fn service_account_token(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(24 * 60 * 60),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = Api::<ServiceAccount>::namespaced(self.client()?, namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| {
                format!("failed to get a token for ServiceAccount {namespace}/{name}")
            })?;
        let status = answer
            .status
            .context("the API server answered without a token")?;
        Ok(status.token)
    }

    /// Writes a kubeconfig for a user (the admin is `admin`) and returns its path; it goes with the control plane.
    pub fn kubeconfig(&self, user: &str) -> anyhow::Result<PathBuf> {
        self.services.access.kubeconfig(user)
    }

    /// `kubectl` as the admin, without arguments.
    pub fn kubectl(&self) -> anyhow::Result<Command> {
        self.command(Program::Kubectl)
    }

    /// `helm` as the admin, without arguments.
    pub fn helm(&self) -> anyhow::Result<Command> {
        self.command(Program::Helm)
    }

    /// Where Traefik listens, with [`Options::traefik`].
    pub fn front_door(&self) -> anyhow::Result<FrontDoor> {
        ensure!(
            self.services.options.traefik,
            "there is no front door; add it with Options::traefik"
        );
        Ok(self.services.ports.front_door)
    }

    /// The API server's address.
    pub fn url(&self) -> String {
        self.services.access.url()
    }

    /// The folder with the logs (`kube-apiserver.log` and so on); it goes with the control plane.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates a namespace with a new name and waits until Pods can be made in it.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<String> {
        workloads::create_namespace(&self.client()?, prefix).await
    }

    /// Kills the API server; etcd and the others go on. Connections break at once, as they do when a machine dies.
    pub fn stop_api_server(&self) {
        drop(lock(&self.api_server).take());
    }

    /// Starts the API server again, on the same port over the same data, and waits until it is ready.
    pub async fn start_api_server(&self) -> anyhow::Result<()> {
        ensure!(
            lock(&self.api_server).is_none(),
            "the API server runs already"
        );
        *lock(&self.api_server) = Some(self.services.api_server()?);
        self.wait_for_api_server().await
    }

    /// Where the audit log is written; [`Options::audit`] must have asked for one.
    ///
    /// # Errors
    /// When there is none.
    pub fn audit_log(&self) -> anyhow::Result<PathBuf> {
        ensure!(
            self.services.options.audit.is_some(),
            "no audit log; ask for it with Options::audit"
        );
        Ok(self.services.audit_log())
    }

    /// What the audit log holds so far, oldest first; [`Options::audit`] must have asked for one.
    ///
    /// An event is written just after its answer: a test that looks for one polls.
    pub fn audit_events(&self) -> anyhow::Result<Vec<AuditEvent>> {
        audit::read(&self.audit_log()?)
    }

    /// The programs that run, by name, and how they ended if they did.
    pub fn failures(&self) -> Vec<String> {
        let mut api_server = lock(&self.api_server);
        let mut others = lock(&self.others);
        api_server
            .iter_mut()
            .chain(others.iter_mut())
            .filter_map(Process::failure)
            .collect()
    }

    async fn wait_for_api_server(&self) -> anyhow::Result<()> {
        let root = self.services.access.root_file();
        self.wait("kube-apiserver", async || {
            if !is_there(&root) {
                return Ok(false);
            }
            let mut config = self.config()?;
            config.default_retry = false;
            config.read_timeout = Some(Duration::from_secs(5));
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .context("a request")?;
            Ok(client(config)?
                .request_text(request)
                .await
                .is_ok_and(|answer| answer == "ok"))
        })
        .await
    }

    async fn start_controllers(&self) -> anyhow::Result<()> {
        let client = self.client()?;
        self.add(self.services.controller_manager()?);
        let nodes = self.services.options.nodes;
        if self.services.network.is_some() {
            self.add(self.services.scheduler()?);
        } else if self.services.options.workloads {
            self.add(self.services.scheduler()?);
            self.add(self.services.kwok()?);
            workloads::create_nodes(&client, nodes).await?;
            self.wait(Program::Kwok.name(), async || {
                workloads::nodes_are_ready(&client, nodes).await
            })
            .await?;
        }
        self.wait(Program::KubeControllerManager.name(), async || {
            workloads::has_service_account(&client, "default").await
        })
        .await
    }

    async fn start_traefik(&self) -> anyhow::Result<()> {
        if !self.services.options.traefik {
            return Ok(());
        }
        let client = self.client()?;
        let definitions = self.services.binaries.fetched("gateway-api")?;
        traefik::install(&client, definitions).await?;
        self.wait("the Gateway API", async || {
            traefik::gateways_are_served(&client).await
        })
        .await?;
        self.add(self.services.traefik()?);
        let door = self.services.ports.front_door;
        self.wait(Program::Traefik.name(), async || Ok(door.is_open().await))
            .await
    }

    fn add(&self, process: Process) {
        lock(&self.others).insert(0, process);
    }

    /// Polls until `done`; fails when a program ended, or after a minute and a half with the log of the one waited for.
    async fn wait(
        &self,
        name: &str,
        done: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !done().await? {
            let failures = self.failures();
            if !failures.is_empty() {
                bail!("the control plane failed to start: {}", failures.join("\n"));
            }
            if start.elapsed() > PATIENCE {
                bail!(
                    "{name} was not ready within {PATIENCE:?}{}",
                    self.log_tail(name)
                );
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    fn log_tail(&self, name: &str) -> String {
        let api_server = lock(&self.api_server);
        let others = lock(&self.others);
        api_server
            .iter()
            .chain(others.iter())
            .find(|process| process.name() == name)
            .map(Process::log_tail)
            .unwrap_or_default()
    }

    pub(crate) fn program(&self, program: Program) -> anyhow::Result<PathBuf> {
        self.services.binaries.path(program)
    }

    fn command(&self, program: Program) -> anyhow::Result<Command> {
        let mut command = Command::new(self.program(program)?);
        command
            .env("KUBECONFIG", self.kubeconfig(ADMIN)?)
            .kill_on_drop(true);
        Ok(command)
    }
}

fn needed(options: &Options) -> Vec<Program> {
    let mut programs = vec![
        Program::Etcd,
        Program::KubeApiserver,
        Program::KubeControllerManager,
    ];
    if options.workloads {
        programs.extend([Program::KubeScheduler, Program::Kwok]);
    }
    programs.extend(options.traefik.then_some(Program::Traefik));
    programs
}

fn client(config: Config) -> anyhow::Result<Client> {
    Client::try_from(config).context("failed to make a client")
}

/// A test that panicked elsewhere leaves nothing half done in here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(90);
const TRIES: usize = 3;
