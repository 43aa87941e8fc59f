//! Who is asked for a model: the way from an agent's model to servers.

use std::time::Duration;

use bailiwick_llm::{Authentication, Secret, Upstream};
use bailiwick_model::{ModelUpstreamId, OrganizationId};
use bailiwick_policy::CidrRule;

use super::config::KeyHeader;
use super::{ServedModel, UpstreamConfig, place};
use crate::control::Control;
use crate::error::ControlError;
use crate::sealing::Sealed;

/// What the operator decided about upstreams of models.
#[derive(Debug, Clone, Default)]
pub struct ModelRules {
    /// The server's own upstream, as organizations see it.
    pub server: Option<ServerUpstream>,
    /// Networks that are not public, in which upstreams of organizations may be.
    pub allowed_cidrs: Vec<CidrRule>,
}

/// The server's own upstream. Where it is is the operator's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerUpstream {
    /// Whether it is shown a key.
    pub has_key: bool,
}

/// An upstream that has a model.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// Which.
    pub(crate) id: ModelUpstreamId,
    /// What is asked, with its key.
    pub(crate) upstream: Upstream,
    /// Its name for the model.
    pub(crate) model: String,
    /// How long it may take to begin its answer, if not the usual time.
    pub(crate) timeout: Option<Duration>,
    /// Which models it has.
    pub(crate) models: Vec<ServedModel>,
}

/// Why nobody is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRoute {
    /// Its key is sealed with a key that this server does not have, or was tampered with.
    #[error("the key of the model upstream {0:?} cannot be opened: set it again")]
    Key(String),
    /// The database.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Control {
    /// The organization's upstreams that have a model, in the order in which they are asked, each with its key as it is now.
    pub(crate) async fn model_routes(
        &self,
        organization: &OrganizationId,
        model: &str,
    ) -> Result<Vec<Route>, NoRoute> {
        self.routes_where(organization, |config| config.upstream_name(model))
            .await
    }

    /// All of the organization's upstreams, in the order in which they are asked.
    pub(crate) async fn all_routes(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<Route>, NoRoute> {
        self.routes_where(organization, |_| Some(String::new()))
            .await
    }

    /// Those that have a name for what is asked.
    async fn routes_where(
        &self,
        organization: &OrganizationId,
        name: impl Fn(&UpstreamConfig) -> Option<String>,
    ) -> Result<Vec<Route>, NoRoute> {
        let scope = self.store.scope(organization);
        let stored = scope.model_upstreams().await.map_err(ControlError::from)?;
        let mut routes = Vec::new();
        for found in stored {
            let config = UpstreamConfig::stored(&found.values.config)?;
            let Some(model) = name(&config) else {
                continue;
            };
            let upstream = found.values.name;
            let key = match found.key {
                None => None,
                Some(key) => {
                    let sealed = Sealed {
                        key: key.key,
                        bytes: key.sealed,
                    };
                    let opened = self
                        .sealing
                        .unseal(&place(organization, &found.id), &sealed);
                    let opened = opened.map_err(|error| {
                        tracing::error!(upstream = %found.id, %error, "the key of a model upstream cannot be opened");
                        NoRoute::Key(upstream.clone())
                    })?;
                    let text = std::str::from_utf8(&opened).ok();
                    let secret = text.and_then(|text| text.parse::<Secret>().ok());
                    Some(secret.ok_or_else(|| NoRoute::Key(upstream.clone()))?)
                }
            };
            let authentication = match (key, config.key_header()) {
                (None, _) => Authentication::None,
                (Some(key), KeyHeader::ApiKey) => Authentication::ApiKey(key),
                (Some(key), KeyHeader::Authorization) => Authentication::Bearer(key),
            };
            let seconds = config.timeout_seconds;
            let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
            routes.push(Route {
                upstream: Upstream {
                    base: config.base()?,
                    protocol: config.speaks(),
                    authentication,
                },
                id: found.id,
                model,
                timeout: seconds.map(Duration::from_secs),
                models: config.models,
            });
        }
        Ok(routes)
    }
}
