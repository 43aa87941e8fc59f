//! What all use cases share.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bailiwick_llm::{Client, Upstream};
use bailiwick_model::SessionId;
use bailiwick_model::limits::{TIGHTENINGS_UNHEARD, VALIDATIONS, VALIDATIONS_OF_ORGANIZATION};
use bailiwick_outbound::Outbound;
use bailiwick_store::Store;
use tokio::sync::{Notify, broadcast, watch};

use crate::authentication::KnownKeys;
use crate::content::ContentLimits;
use crate::engine_places::EnginePlaces;
use crate::error::ControlError;
use crate::failures::Failures;
use crate::host_paths::HostPaths;
use crate::identity_providers::IdentityProviders;
use crate::llm_proxies::Doors;
use crate::model_upstreams::ModelRules;
use crate::oauth::Refreshing;
use crate::oauth_server::Registrations;
use crate::password_attempts::PasswordAttempts;
use crate::registry_tools::{CatalogTools, RegistryTools};
use crate::sealing::SealingKeys;
use crate::session_feed::Feeds;
use crate::shares::Shares;
use crate::spend::Ledger;

/// The use cases, on one database, with the keys that its secrets are sealed with.
pub struct Control {
    pub(crate) store: Store,
    pub(crate) known_keys: KnownKeys,
    pub(crate) sealing: SealingKeys,
    pub(crate) content_limits: ContentLimits,
    pub(crate) host_paths: HostPaths,
    /// The directories of the machine that knowledge connectors may read.
    pub(crate) knowledge_roots: HostPaths,
    /// Told when a connector may have to be synced.
    pub(crate) knowledge_wanted: Notify,
    /// Told when an item came to some queue.
    pub(crate) work_arrived: Notify,
    pub(crate) failures: Failures,
    pub(crate) feeds: Feeds,
    /// Told when there is something to do in some session.
    pub(crate) sessions_begun: Arc<Notify>,
    pub(crate) engine_places: EnginePlaces,
    /// Told which session was tightened, here or on another server.
    pub(crate) tightened: broadcast::Sender<SessionId>,
    pub(crate) password_attempts: PasswordAttempts,
    pub(crate) identity_providers: IdentityProviders,
    /// The way to servers that credentials name; without it none is asked.
    pub(crate) outbound: Option<Outbound>,
    pub(crate) refreshing: Refreshing,
    /// Where clients reach this server, without a slash at the end; while it is not known nobody signs in to a gateway.
    pub(crate) public_url: OnceLock<String>,
    pub(crate) registrations: Registrations,
    /// Turns of those who ask servers that credentials, clients and connections name.
    pub(crate) validations: Shares,
    pub(crate) model_rules: ModelRules,
    pub(crate) ledger: Ledger,
    pub(crate) doors: Doors,
    /// The server's own upstream, where models are asked that no upstream of an organization has.
    pub(crate) server_upstream: Option<(Client, Upstream)>,
    /// Which tools the registry has.
    pub(crate) registry_tools: Arc<dyn RegistryTools>,
    /// Counts the changes of what holds for gateways that were made on this server, or that another one told of.
    pub(crate) gateways_at: watch::Sender<u64>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// On this database. Whether the keys are those of its secrets says [`Self::missing_sealing_keys`].
    pub fn new(store: Store, sealing: SealingKeys) -> Self {
        let sessions_begun = Arc::default();
        let (tightened, _) = broadcast::channel(TIGHTENINGS_UNHEARD);
        let gateways_at = watch::Sender::new(0);
        Self {
            feeds: Feeds::new(&store, &sessions_begun, &tightened, &gateways_at),
            sessions_begun,
            engine_places: EnginePlaces::default(),
            tightened,
            ledger: Ledger::new(store.clone()),
            doors: Doors::default(),
            server_upstream: None,
            registry_tools: Arc::new(CatalogTools(store.clone())),
            gateways_at,
            store,
            sealing,
            known_keys: KnownKeys::default(),
            content_limits: ContentLimits::default(),
            host_paths: HostPaths::default(),
            knowledge_roots: HostPaths::default(),
            knowledge_wanted: Notify::new(),
            work_arrived: Notify::new(),
            failures: Failures::default(),
            password_attempts: PasswordAttempts::default(),
            identity_providers: IdentityProviders::default(),
            outbound: None,
            refreshing: Refreshing::default(),
            public_url: OnceLock::new(),
            registrations: Registrations::default(),
            validations: Shares::new(VALIDATIONS, VALIDATIONS_OF_ORGANIZATION),
            model_rules: ModelRules::default(),
        }
    }

    /// With other bounds for files and skills than the usual ones.
    #[must_use]
    pub fn with_content_limits(self, content_limits: ContentLimits) -> Self {
        Self {
            content_limits,
            ..self
        }
    }

    /// With these paths of the machine that environments may name.
    #[must_use]
    pub fn with_host_paths(self, host_paths: HostPaths) -> Self {
        Self { host_paths, ..self }
    }

    /// With these directories of the machine that knowledge connectors may read.
    #[must_use]
    pub fn with_knowledge_roots(self, knowledge_roots: HostPaths) -> Self {
        Self {
            knowledge_roots,
            ..self
        }
    }

    /// With a way to the servers that credentials name.
    #[must_use]
    pub fn with_outbound(self, outbound: Outbound) -> Self {
        Self {
            outbound: Some(outbound),
            ..self
        }
    }

    /// Says where clients and browsers reach this server, which is what it calls itself as an authorization server. What was said first holds: it may
    /// be known before the server listens, or by where it does.
    pub fn is_reached_at(&self, public_url: &str) {
        let url = public_url.trim_end_matches('/').to_owned();
        self.public_url.get_or_init(|| url);
    }

    /// See [`Self::is_reached_at`].
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.get().map(String::as_str)
    }

    /// With these rules of the operator's for upstreams of models.
    #[must_use]
    pub fn with_model_rules(self, model_rules: ModelRules) -> Self {
        Self {
            model_rules,
            ..self
        }
    }

    /// With an upstream of the server's own, for models that no upstream of an organization has.
    #[must_use]
    pub fn with_server_upstream(self, upstream: Option<(Client, Upstream)>) -> Self {
        Self {
            server_upstream: upstream,
            ..self
        }
    }

    /// With a registry whose tools belong to environments.
    #[must_use]
    pub fn with_registry_tools(self, registry_tools: Arc<dyn RegistryTools>) -> Self {
        Self {
            registry_tools,
            ..self
        }
    }

    /// What requests to models may cost, and what they did.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn check(&self) -> Result<(), ControlError> {
        Ok(self.store.check().await?)
    }
}
