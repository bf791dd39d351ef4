//! Who may talk to the API server, and how: keys, tokens, kubeconfigs and client configurations.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddrV4,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{Config, config::AuthInfo};
use serde_json::json;

use crate::{options::User, process::write_private};

/// The test's own user, a member of `system:masters`.
pub(crate) const ADMIN: &str = "admin";
/// The user of kube-controller-manager; the API server's own RBAC knows it.
pub(crate) const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// The user of kube-scheduler; the API server's own RBAC knows it.
pub(crate) const SCHEDULER: &str = "system:kube-scheduler";
/// The user of kwok, which plays all nodes.
pub(crate) const KWOK: &str = "kwok";
/// The user of the kubelet of a real node; the API server's Node authorizer knows it.
pub(crate) const NODE: &str = "system:node:node";
/// The user of kube-proxy; the API server's own RBAC knows it.
pub(crate) const KUBE_PROXY: &str = "system:kube-proxy";
/// The user of the DNS server.
pub(crate) const COREDNS: &str = "coredns";

/// The user of Traefik.
pub(crate) const TRAEFIK: &str = "traefik";

/// The users of one control plane and what they log in with.
#[derive(Debug)]
pub(crate) struct Access {
    folder: PathBuf,
    address: SocketAddrV4,
    tokens: BTreeMap<String, String>,
}

impl Access {
    /// Draws keys and tokens and writes them where the API server will read them.
    pub(crate) fn create(
        folder: &Path,
        address: SocketAddrV4,
        users: &[User],
    ) -> anyhow::Result<Self> {
        let own = [
            (ADMIN, vec!["system:masters".to_owned()]),
            (CONTROLLER_MANAGER, Vec::new()),
            (SCHEDULER, Vec::new()),
            (KWOK, vec!["system:masters".to_owned()]),
            (NODE, vec!["system:nodes".to_owned()]),
            (KUBE_PROXY, Vec::new()),
            (COREDNS, vec!["system:masters".to_owned()]),
            (TRAEFIK, vec!["system:masters".to_owned()]),
        ];
        let all = own
            .into_iter()
            .map(|(name, groups)| User {
                name: name.to_owned(),
                groups,
            })
            .chain(users.iter().cloned());

        let mut tokens = BTreeMap::new();
        let mut lines = String::new();
        for User { name, groups } in all {
            let token = random_token()?;
            // Writing to a String can't fail.
            let _ = writeln!(
                lines,
                "{token},\"{name}\",\"{name}\",\"{}\"",
                groups.join(",")
            );
            tokens.insert(name, token);
        }
        let access = Self {
            folder: folder.to_owned(),
            address,
            tokens,
        };
        write_private(&access.token_file(), lines).context("failed to write the token file")?;
        write_private(&access.service_account_key(), service_account_key()?)
            .context("failed to write the service account key")?;
        Ok(access)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-account.key")
    }

    /// Where the API server puts the serving certificate that it makes for itself.
    pub(crate) fn serving_folder(&self) -> PathBuf {
        self.folder.join("serving")
    }

    /// The bundle that ends in the root which signed the serving certificate.
    pub(crate) fn root_file(&self) -> PathBuf {
        self.serving_folder().join("apiserver.crt")
    }

    pub(crate) fn config(&self, user: &str) -> anyhow::Result<Config> {
        self.config_with_token(self.token(user)?)
    }

    /// A configuration that reads nothing of the environment: no proxy, no kubeconfig.
    pub(crate) fn config_with_token(&self, token: &str) -> anyhow::Result<Config> {
        let url = self
            .url()
            .parse()
            .context("failed to parse the API server's URL")?;
        let mut config = Config::new(url);
        let roots =
            fs::read(self.root_file()).context("the API server has no serving certificate")?;
        let roots =
            pem::parse_many(roots).context("failed to parse the API server's certificate")?;
        config.root_cert = Some(roots.into_iter().map(pem::Pem::into_contents).collect());
        config.auth_info = AuthInfo {
            token: Some(token.to_owned().into()),
            ..AuthInfo::default()
        };
        Ok(config)
    }

    /// Writes the kubeconfig of `user` and says where.
    pub(crate) fn kubeconfig(&self, user: &str) -> anyhow::Result<PathBuf> {
        let token = self.token(user)?;
        let roots =
            fs::read(self.root_file()).context("the API server has no serving certificate")?;
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": NAME,
                "cluster": { "server": self.url(), "certificate-authority-data": STANDARD.encode(roots) },
            }],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": NAME, "context": { "cluster": NAME, "user": user } }],
            "current-context": NAME,
        });
        let content = serde_yaml::to_string(&content).context("failed to write a kubeconfig")?;
        // User names hold colons and may hold slashes.
        let name = user.replace(|char: char| !char.is_ascii_alphanumeric(), "-");
        let path = self.folder.join(format!("{name}.kubeconfig"));
        write_private(&path, content)
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }

    pub(crate) fn token(&self, user: &str) -> anyhow::Result<&str> {
        self.tokens
            .get(user)
            .map(String::as_str)
            .with_context(|| format!("no user {user}; add it with Options::user"))
    }
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).context("failed to draw a token")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The key that signs ServiceAccount tokens.
fn service_account_key() -> anyhow::Result<String> {
    let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).context("failed to make an RSA key")?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).context("failed to encode an RSA key")?;
    Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
}

const NAME: &str = "certwright-test";
