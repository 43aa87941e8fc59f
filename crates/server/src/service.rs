//! The listening server.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::get;
use bailiwick_control::Control;
use tokio::net::TcpListener;

use crate::{api, request_id, v1};

/// The most bytes of a body, unless a route says otherwise.
const BODY_BYTES: usize = 4 << 20;
/// How long requests in flight may take after the end was asked for.
const GRACE: Duration = Duration::from_secs(20);

/// The HTTP side of the control plane.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    control: Arc<Control>,
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
    /// Nothing more can be accepted.
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

impl Service {
    /// Listens; nothing is answered before [`Self::run`].
    ///
    /// # Errors
    ///
    /// [`ServeError::Listen`].
    pub async fn listen(address: SocketAddr, control: Arc<Control>) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| ServeError::Listen { address, error })?;
        Ok(Self { listener, control })
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `end`, then lets requests in flight finish, for 20 seconds at most.
    ///
    /// # Errors
    ///
    /// [`ServeError::Serve`].
    pub async fn run(
        self,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let (ending, ended) = tokio::sync::oneshot::channel();
        let end = async move {
            end.await;
            let _ = ending.send(());
        };
        let service = routes(self.control).into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(self.listener, service).with_graceful_shutdown(end);
        let deadline = async {
            // An end that is never asked for has no deadline.
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving => served.map_err(ServeError::Serve),
            () = deadline => Ok(()),
        }
    }
}

fn routes(control: Arc<Control>) -> Router {
    let (wire, _) = v1::routes().into_parts();
    let (administration, _) = api::routes().into_parts();
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .nest("/v1", v1::router(wire))
        .nest("/api", api::router(administration))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(request_id::name))
        .with_state(control)
}

/// Whether requests would be answered.
async fn ready(State(control): State<Arc<Control>>) -> (StatusCode, &'static str) {
    match control.check().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        ),
    }
}
