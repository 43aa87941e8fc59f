//! The way out of a server: to receivers of the operator's choice, and, under a policy, to servers that credentials name and to pages that agents
//! fetch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer, ProxySettings};
use bailiwick_fetch::Web;
use bailiwick_local::host_facts;
use bailiwick_outbound::{NotTrusted, Outbound, trusting};
use bailiwick_policy::{HostFacts, Pin};
use tokio::sync::watch;

use crate::bad_input::BadInput;
use crate::host_environment::HostEnvironment;

/// How often the addresses of this machine are looked at: they change, and nobody says so.
const LOOK: Duration = Duration::from_secs(5);

/// The way out.
pub(super) struct Outward {
    dialer: Arc<Dialer>,
    proxy: Option<ProxySettings>,
    facts: watch::Sender<Arc<HostFacts>>,
}

impl Outward {
    /// Through the proxy of the environment, if it names one, with these pins.
    ///
    /// # Errors
    ///
    /// [`BadInput::ProxyVariable`].
    pub(super) fn open(pins: Vec<Pin>, host: &HostEnvironment) -> Result<Self, BadInput> {
        let proxy = ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?;
        let (facts, watched) = watch::channel(Arc::new(host_facts(Vec::new())));
        let dialer = Arc::new(Dialer::new(DialOptions {
            proxy: proxy.clone(),
            pins: pins.into_iter().collect(),
            ..DialOptions::new(watched)
        }));
        Ok(Self {
            dialer,
            proxy,
            facts,
        })
    }

    /// What connects.
    pub(super) fn dialer(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    /// To servers that credentials and organizations name.
    ///
    /// # Errors
    ///
    /// If the certificates of this machine's authorities cannot be read.
    pub(super) fn to_named_servers(&self) -> Result<Outbound, NotTrusted> {
        Outbound::trusting_this_machine(Arc::clone(&self.dialer))
    }

    /// To pages, as sandboxes reach them: with their pins, trusting whom they trust.
    ///
    /// # Errors
    ///
    /// If the certificates of this machine's authorities, or those in `certificates` (PEM), cannot be read.
    pub(super) fn to_pages(
        &self,
        pins: impl IntoIterator<Item = Pin>,
        certificates: Option<&str>,
    ) -> Result<Web, NotTrusted> {
        let dialer = Dialer::new(DialOptions {
            proxy: self.proxy.clone(),
            pins: pins.into_iter().collect(),
            ..DialOptions::new(self.facts.subscribe())
        });
        let outbound = Outbound::new(Arc::new(dialer), trusting(certificates)?);
        Ok(Web::new(outbound))
    }

    /// Follows what this machine is; nobody is let in where the server itself listens. Never ends by itself.
    pub(super) async fn follow(self, listeners: Vec<SocketAddr>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.facts
                .send_replace(Arc::new(host_facts(listeners.clone())));
        }
    }
}
