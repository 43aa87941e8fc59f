//! Upstreams as proxies ask them.

use std::fmt;
use std::sync::Arc;

use bailiwick_outbound::HttpUrl;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::{Endpoint, Provider};
use crate::upstream::ANTHROPIC_VERSION;
use crate::{Authentication, Client, Secret, Upstream};

/// An upstream with all that asking it needs, made once and asked often. A copy costs next to nothing.
#[derive(Clone)]
pub struct Target(Arc<Parts>);

struct Parts {
    client: Client,
    upstream: Upstream,
    /// Where each endpoint is; none where the upstream's protocol does not have it.
    urls: [Option<HttpUrl>; Endpoint::ALL.len()],
    key: Option<(HeaderName, HeaderValue)>,
}

/// One upstream that can be asked for one request.
#[derive(Debug, Clone)]
pub struct Route {
    /// The upstream.
    pub target: Target,
    /// What it calls the model; as the request does if it is missing.
    pub model: Option<Arc<str>>,
}

impl Target {
    /// An upstream, asked by a client whose policy decides whether it may be.
    pub fn new(client: &Client, upstream: &Upstream) -> Self {
        let url = |endpoint: Endpoint| {
            let has = endpoint.is_of(upstream.protocol);
            has.then(|| upstream.base.join(endpoint.path()))
        };
        let key = match &upstream.authentication {
            Authentication::None => None,
            Authentication::ApiKey(key) => {
                Some((HeaderName::from_static("x-api-key"), key.header("")))
            }
            Authentication::Bearer(key) => Some((AUTHORIZATION, key.header("Bearer "))),
        };
        Self(Arc::new(Parts {
            client: client.clone(),
            upstream: upstream.clone(),
            urls: Endpoint::ALL.map(url),
            key,
        }))
    }

    /// Whether it has this endpoint.
    pub fn has(&self, endpoint: Endpoint) -> bool {
        self.0.urls[endpoint.index()].is_some()
    }

    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(super) fn url(&self, endpoint: Endpoint) -> Option<&HttpUrl> {
        self.0.urls[endpoint.index()].as_ref()
    }

    pub(super) fn secret(&self) -> Option<&Secret> {
        self.0.upstream.key()
    }

    pub(super) fn key(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.0.key.as_ref()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.upstream.fmt(f)
    }
}

/// What to say for a client of the Messages API that names no version.
pub(super) fn version_of(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::Anthropic => Some(ANTHROPIC_VERSION),
        Provider::OpenAi => None,
    }
}
