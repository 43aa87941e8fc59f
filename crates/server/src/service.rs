//! The listening server.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bailiwick_control::{Control, HostedServers, McpGateways};
use bailiwick_telemetry::Counters;
use tokio::net::TcpListener;

use crate::client_address::TrustedProxies;
use crate::connections::{ConnectionLimits, Connections};
use crate::face::Face;
use crate::failure::Failure;
use crate::front::{Front, Told};
use crate::metrics::{self, Metrics};
use crate::{api, llm, mcp, oauth, v1};

/// The HTTP side of the control plane.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    control: Arc<Control>,
    limits: ConnectionLimits,
    proxies: TrustedProxies,
    metrics: Arc<Metrics>,
    /// Where `/metrics` is, if it is not where everything is.
    numbers: Option<TcpListener>,
    /// Who runs MCP servers here.
    hosted: Option<HostedServers>,
}

/// The numbers of a server, while it runs.
#[derive(Debug, Clone)]
pub struct Numbers(Arc<Metrics>);

impl Numbers {
    /// All of them, as `/metrics` shows them.
    pub fn text(&self) -> String {
        self.0.text()
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or is none of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Service {
    /// Listens; nothing is answered before [`Self::run`].
    ///
    /// # Errors
    ///
    /// [`ServeError::Listen`].
    pub async fn listen(address: SocketAddr, control: Arc<Control>) -> Result<Self, ServeError> {
        Ok(Self {
            listener: bind(address).await?,
            control,
            limits: ConnectionLimits::default(),
            proxies: TrustedProxies::default(),
            metrics: Arc::new(Metrics::new()),
            numbers: None,
            hosted: None,
        })
    }

    /// Answers `/metrics` at this address and nowhere else.
    ///
    /// # Errors
    ///
    /// [`ServeError::Listen`].
    pub async fn with_metrics_at(self, address: SocketAddr) -> Result<Self, ServeError> {
        let numbers = Some(bind(address).await?);
        Ok(Self { numbers, ..self })
    }

    /// With other limits than the usual ones.
    #[must_use]
    pub fn with_limits(self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self }
    }

    /// Reached by its clients here: the root of its URLs. Where the operator says none it is where it listens, if only this machine comes there.
    #[must_use]
    pub fn with_public_url(self, url: Option<String>) -> Self {
        let here = || {
            let address = self.address().ok()?;
            let is_here = address.ip().is_loopback();
            is_here.then(|| format!("http://{address}"))
        };
        if let Some(url) = url.or_else(here) {
            self.control.is_reached_at(&url);
        }
        self
    }

    /// Serves MCP servers that run here, by way of gateways, if there is somebody who runs them.
    #[must_use]
    pub fn with_hosted_servers(self, hosted: Option<HostedServers>) -> Self {
        Self { hosted, ..self }
    }

    /// Shows what becomes of telemetry, too.
    #[must_use]
    pub fn with_telemetry(self, counters: Counters) -> Self {
        let metrics = Arc::new(Metrics::with_telemetry(counters));
        Self { metrics, ..self }
    }

    /// Its numbers, for whoever sends them somewhere.
    pub fn numbers(&self) -> Numbers {
        Numbers(Arc::clone(&self.metrics))
    }

    /// Believing these proxies where requests came from.
    #[must_use]
    pub fn with_trusted_proxies(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where `/metrics` is, if that is an address of its own.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says.
    pub fn metrics_address(&self) -> io::Result<Option<SocketAddr>> {
        let own = self.numbers.as_ref().map(TcpListener::local_addr);
        own.transpose()
    }

    /// Serves until `end`, then lets requests in flight finish, for 20 seconds at most.
    pub async fn run(self, end: impl Future<Output = ()> + Send + 'static) {
        let gateways = McpGateways::new(Arc::clone(&self.control));
        let gateways = Arc::new(match self.hosted {
            Some(hosted) => gateways.with_hosted_servers(hosted),
            None => gateways,
        });
        // Streams have no end of their own.
        let (watched, opened) = (Arc::clone(&self.control), Arc::clone(&gateways));
        let end = async move {
            end.await;
            watched.end_watches();
            opened.end();
        };
        let metrics = self.metrics;
        let numbers = numbers_route(&metrics);
        let shared = match self.numbers {
            None => numbers_route(&metrics),
            Some(_) => Router::new(),
        };
        let routes = routes(self.control, &gateways, shared);
        let front = Front::new(routes, Arc::clone(&metrics), self.proxies);
        let serving = Connections::new(front, metrics, self.limits);
        let Some(listener) = self.numbers else {
            return serving.serve(self.listener, end).await;
        };
        // What it counts of its own connections nobody reads.
        let unread = Arc::new(Metrics::new());
        let showing = Connections::new(Front::untold(numbers), unread, self.limits);
        tokio::select! {
            () = serving.serve(self.listener, end) => {}
            () = showing.serve(listener, std::future::pending()) => {}
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| ServeError::Listen { address, error })
}

fn numbers_route<S: Clone + Send + Sync + 'static>(metrics: &Arc<Metrics>) -> Router<S> {
    let shown = Arc::clone(metrics);
    let numbers = move || async move { numbers(&shown) };
    Router::new().route("/metrics", get(Told(numbers)))
}

fn routes(
    control: Arc<Control>,
    gateways: &Arc<McpGateways>,
    numbers: Router<Arc<Control>>,
) -> Router {
    Router::new()
        .route("/healthz", get(Told(|| async { "ok\n" })))
        .route("/readyz", get(Told(ready)))
        .merge(numbers)
        .merge(v1::routes().router(Face::Wire))
        .merge(
            api::routes()
                .router(Face::Api)
                .layer(Extension(Arc::clone(gateways))),
        )
        .merge(llm::router())
        .merge(oauth::router())
        .merge(mcp::router(gateways))
        .fallback(|| async { Failure::NoRoute })
        .method_not_allowed_fallback(Told(|| async { Failure::Method }))
        .with_state(control)
}

/// Whether requests would be answered.
async fn ready(State(control): State<Arc<Control>>) -> (StatusCode, &'static str) {
    match control.check().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            )
        }
    }
}

fn numbers(metrics: &Metrics) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text()).into_response()
}
