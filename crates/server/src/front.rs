//! What is done around every request: it gets its name, and where it came from is found; what failed gets its body; the log and the numbers
//! are told.
//!
//! This is no layer of the router's: each of those copies the routes below it for each request.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request};
use axum::handler::Handler;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Extensions, HeaderValue, Method};
use axum::response::Response;
use bailiwick_control::fresh_request_id;
use bailiwick_model::{OrganizationId, RequestId, ResourceId as _};
use tower_service::Service as _;
use tracing::{Instrument as _, Span};

use crate::client_address::TrustedProxies;
use crate::face::Face;
use crate::metrics::{Metrics, RouteLabels, method_name};
use crate::observe;

/// The header that SDKs read.
const HEADER: &str = "request-id";
/// Instead of a path.
pub(crate) const NO_ROUTE: &str = "none";

/// The routes of a listener.
#[derive(Debug)]
pub(crate) struct Front {
    router: Router,
    told: Option<WhoIsTold>,
}

/// Who is told of requests.
#[derive(Debug)]
struct WhoIsTold {
    metrics: Arc<Metrics>,
    proxies: TrustedProxies,
}

/// What is known of a request besides what it says itself.
#[derive(Debug)]
pub(crate) struct Asked {
    id: RequestId,
    method: &'static str,
    client: IpAddr,
    span: Span,
    organization: OnceLock<OrganizationId>,
    path: OnceLock<MatchedPath>,
}

/// A handler whose requests are known by its path.
#[derive(Debug, Clone)]
pub(crate) struct Told<H>(pub(crate) H);

impl Front {
    pub(crate) fn new(router: Router, metrics: Arc<Metrics>, proxies: TrustedProxies) -> Self {
        Self {
            router,
            told: Some(WhoIsTold { metrics, proxies }),
        }
    }

    /// Routes of whose requests nobody is told.
    pub(crate) fn untold(router: Router) -> Self {
        Self { router, told: None }
    }

    /// Answers a request from the other end of a connection.
    pub(crate) async fn answer(&self, peer: IpAddr, request: Request) -> Response {
        match &self.told {
            Some(told) => told.answer(self.router.clone(), peer, request).await,
            None => routed(self.router.clone(), request).await,
        }
    }
}

impl WhoIsTold {
    async fn answer(&self, router: Router, peer: IpAddr, mut request: Request) -> Response {
        let begun = Instant::now();
        let face = Face::of(request.uri().path());
        let client = self.proxies.client(peer, request.headers());
        let asked = Arc::new(Asked::begin(&request, client));
        request.extensions_mut().insert(Arc::clone(&asked));
        let is_head = request.method() == Method::HEAD;
        let answering = routed(router, request).instrument(asked.span.clone());
        let mut response = answering.await;
        if let Some(face) = face {
            response = face.written(response, &asked.id);
        }
        if is_head {
            response = without_content(response);
        }
        let took = begun.elapsed();
        let id = HeaderValue::from_str(asked.id.as_str()).expect("ids are ASCII");
        response.headers_mut().insert(HEADER, id);
        let labels = RouteLabels {
            face: face.map_or("operator", Face::name),
            method: asked.method,
            route: asked.path().unwrap_or(NO_ROUTE).to_owned(),
        };
        observe::answered(&asked, &response);
        observe::tell(&asked, &labels, &response, took);
        self.metrics.answered(labels, &response, took);
        response
    }
}

async fn routed(mut router: Router, request: Request) -> Response {
    let Ok(response) = router.call(request).await;
    response
}

/// The answer to `HEAD`, which says how long the content would be, and has none (RFC 9110, section 9.3.2).
fn without_content(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Body::empty())
}

impl Asked {
    fn begin(request: &Request, client: IpAddr) -> Self {
        let (id, method) = (fresh_request_id(), method_name(request.method()));
        Self {
            span: observe::span(request, &id, method),
            id,
            method,
            client,
            organization: OnceLock::new(),
            path: OnceLock::new(),
        }
    }

    /// That of a request.
    ///
    /// # Panics
    ///
    /// For one that no [`Front`] was told of.
    pub(crate) fn of(extensions: &Extensions) -> &Self {
        let asked = extensions.get::<Arc<Self>>();
        asked.expect("a request comes through the front")
    }

    fn matched(&self, path: &MatchedPath) {
        if self.path.set(path.clone()).is_ok() {
            observe::matched(self, path.as_str());
        }
    }

    /// A word for its method.
    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    /// What is told of it to a receiver of telemetry.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// What it is called.
    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Where it came from.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// Whose it is; empty until that is known.
    pub(crate) fn organization(&self) -> &str {
        self.organization.get().map_or("", OrganizationId::as_str)
    }

    pub(crate) fn is_of(&self, organization: &OrganizationId) {
        // A request is authenticated once; a second time would find the same.
        let _ = self.organization.set(organization.clone());
    }

    /// The path, as it was declared, if there is one like it.
    pub(crate) fn path(&self) -> Option<&str> {
        self.path.get().map(MatchedPath::as_str)
    }
}

impl<H: Handler<T, S>, T, S> Handler<T, S> for Told<H> {
    type Future = H::Future;

    fn call(self, request: Request, state: S) -> Self::Future {
        let known = request.extensions();
        if let (Some(asked), Some(path)) = (known.get::<Arc<Asked>>(), known.get()) {
            asked.matched(path);
        }
        self.0.call(request, state)
    }
}
