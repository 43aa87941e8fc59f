//! Each request: its name, its line in the log, its numbers.
//!
//! A line never holds a key, a body, or a path: what people name their things is theirs.

mod trace;

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use bailiwick_control::{ControlError, fresh_request_id};
use bailiwick_model::{OrganizationId, RequestId, ResourceId as _};

use tracing::Instrument as _;

use crate::client_address;
use crate::failure::Failure;
use crate::metrics::{Metrics, RouteLabels, method_name};

/// The header that SDKs read.
const HEADER: &str = "request-id";

/// Whose request it is, once that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Whose(Arc<OnceLock<OrganizationId>>);

impl Whose {
    fn get(&self) -> &str {
        self.0.get().map_or("", OrganizationId::as_str)
    }

    pub(crate) fn is(&self, organization: &OrganizationId) {
        // A request is authenticated once; a second time would find the same.
        let _ = self.0.set(organization.clone());
    }
}

/// Gives the request its name, which goes on the answer, and tells of it.
pub(crate) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let (id, whose) = (fresh_request_id(), Whose::default());
    let labels = labels(&request);
    let client = client_address::of(request.extensions());
    let client = client.map(|address| address.to_string());
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(whose.clone());
    let span = trace::span(&request, &id, &labels);
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = begun.elapsed();
    trace::answered(&span, &whose, &response);
    let value = HeaderValue::from_str(id.as_str()).expect("ids are ASCII");
    response.headers_mut().insert(HEADER, value);
    tell(&id, &labels, (&whose, client.as_deref()), &response, took);
    count_authentication(&metrics, &response);
    metrics.answered(labels, response.status(), took);
    response
}

fn labels(request: &Request) -> RouteLabels {
    let face = match request.uri().path().split('/').nth(1) {
        Some("v1") => "v1",
        Some("api") => "api",
        Some(_) | None => "operator",
    };
    let matched = request.extensions().get::<MatchedPath>();
    RouteLabels {
        face,
        method: method_name(request.method()),
        route: matched.map_or("none", MatchedPath::as_str).to_owned(),
    }
}

fn tell(
    id: &RequestId,
    labels: &RouteLabels,
    (whose, client): (&Whose, Option<&str>),
    response: &Response,
    took: Duration,
) {
    let failure = failure(response);
    let error = failure.filter(|_| response.status().is_server_error());
    let error = error.map(|failure| chain(failure)).unwrap_or_default();
    let organization = whose.get();
    let code = failure.map_or("", Failure::code);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request_id = id.as_str(),
                method = labels.method,
                route = labels.route,
                status = response.status().as_u16(),
                code,
                duration_ms = took.as_secs_f64() * 1000.0,
                organization,
                client = client.unwrap_or_default(),
                error,
                "request"
            )
        };
    }
    if response.status().is_server_error() {
        line!(error);
    } else {
        line!(info);
    }
}

/// Why the request failed, as the edge of its face passed it on.
fn failure(response: &Response) -> Option<&Failure> {
    response.extensions().get::<Arc<Failure>>().map(Arc::as_ref)
}

/// An error with all its causes, which are for operators and for nobody else.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

fn count_authentication(metrics: &Metrics, response: &Response) {
    match failure(response) {
        Some(Failure::Control(ControlError::Unauthenticated | ControlError::SignInRefused(_))) => {
            metrics.failed_authentications.inc();
        }
        Some(Failure::Control(ControlError::TooManyFailures { .. })) => {
            metrics.failed_authentications.inc();
            metrics.limited_authentications.inc();
        }
        Some(_) | None => {}
    }
}
