//! What a host is told before anything else: all that it knows of its server's surroundings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer, ProxySettings, ProxyVariables};
use bailiwick_egress::Egress;
use bailiwick_model::limits;
use bailiwick_policy::{HostFacts, Pins};
use bailiwick_runtime::Error;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::backend::LocalOptions;
use crate::host_facts;
use crate::prepare::Surroundings;
use crate::state::StateDirectory;

/// What every host of a [`super::HostedRuntime`] is made of; see [`LocalOptions`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSettings {
    /// The state directory, which must be there.
    pub state: PathBuf,
    /// Where layers are.
    pub layers: PathBuf,
    /// Where mirrors of repositories are.
    pub repositories: PathBuf,
    /// Where checkpoints are, if not where those of the whole state directory are.
    pub checkpoints: Option<PathBuf>,
    /// What [`crate::snapshot`] made of this host.
    pub snapshot: Option<PathBuf>,
    /// The home directory whose toolchains are mounted; none for a server.
    pub home: Option<PathBuf>,
    /// A bundle of CA certificates that is trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificates to trust besides, inside and of servers that get credentials, PEM.
    pub certificates: Option<String>,
    /// Names whose addresses the operator gave, as `NAME=ADDR[:PORT]`.
    pub pins: Vec<String>,
    /// The proxy towards the network. It may have a password.
    pub proxy: ProxyVariables,
    /// Whether the proxy may resolve names, although the addresses then cannot be checked.
    pub trust_proxy_dns: bool,
    /// Where the server listens: no sandbox reaches it.
    pub listeners: Vec<SocketAddr>,
}

impl HostSettings {
    /// A state directory, layers and repositories in it, and nothing more.
    pub fn new(state: &StateDirectory) -> Self {
        let images = state.path().join("images");
        Self {
            state: state.path().to_owned(),
            layers: images.join("layers"),
            repositories: images.join("repositories"),
            checkpoints: None,
            snapshot: None,
            home: None,
            ca_file: None,
            certificates: None,
            pins: Vec::new(),
            proxy: ProxyVariables::default(),
            trust_proxy_dns: false,
            listeners: Vec::new(),
        }
    }

    /// In the host. Must be called inside a tokio runtime.
    pub(super) fn into_options(self, now: fn() -> i64) -> Result<LocalOptions, Error> {
        let state = StateDirectory::open(self.state).map_err(|e| unusable(&e))?;
        let pins = self.pins.iter().map(|pin| pin.parse());
        let pins = pins
            .collect::<Result<Pins, _>>()
            .map_err(|e| unusable(&e))?;
        let (facts, watched) = watch::channel(Arc::new(host_facts(self.listeners.clone())));
        tokio::spawn(refresh(facts, self.listeners));
        let dialer = Dialer::new(DialOptions {
            pins,
            proxy: ProxySettings::from_variables(&self.proxy).map_err(|e| unusable(&e))?,
            trust_proxy_dns: self.trust_proxy_dns,
            ..DialOptions::new(watched)
        });
        let mut egress = Egress::new(Arc::new(dialer));
        if let Some(certificates) = &self.certificates {
            egress = egress.trusting(certificates).map_err(|e| unusable(&e))?;
        }
        Ok(LocalOptions {
            state,
            egress: Arc::new(egress),
            layers: self.layers,
            repositories: self.repositories,
            checkpoints: self.checkpoints,
            snapshot: self.snapshot,
            surroundings: Surroundings {
                home: self.home,
                ca_file: self.ca_file,
                terminal: Vec::new(),
            },
            certificates: self.certificates,
            now,
        })
    }
}

fn unusable(error: &dyn std::error::Error) -> Error {
    Error::Refused {
        feature: "settings that a sandbox host can use".into(),
        remedy: Some(error.to_string().into()),
    }
}

/// A network may come up while sandboxes run.
async fn refresh(facts: watch::Sender<Arc<HostFacts>>, listeners: Vec<SocketAddr>) {
    loop {
        tokio::time::sleep(limits::HOST_FACTS_REFRESH).await;
        facts.send_replace(Arc::new(host_facts(listeners.clone())));
    }
}
