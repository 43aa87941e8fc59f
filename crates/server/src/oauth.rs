//! The authorization server of MCP gateways: its documents (RFC 9728, RFC 8414), registration (RFC 7591), the pages that ask a person, and the
//! endpoints for tokens (RFC 6749, section 3.2, and RFC 7009); and where browsers come back to from those of others. The rules are `control`'s; here are the forms.
//!
//! What programs ask carries no cookie, so pages of any site may ask it too; what a person is asked is for nobody's frames and scripts.

mod authorize;
mod callback;
mod form;
mod metadata;
mod page;
mod sign_in;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, RETRY_AFTER,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bailiwick_control::{Control, ControlError};
use bailiwick_model::limits::OAUTH_BODY_BYTES;
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

use crate::failure::Failure;
use crate::front::Told;

/// How long a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where a person is asked.
const AUTHORIZE: &str = "/oauth/authorize";
/// Where a person signs in to be asked.
const SIGN_IN: &str = "/oauth/sign-in";
/// How the pages look.
const STYLE: &str = "/oauth/style.css";

/// Its routes.
pub(crate) fn router() -> Router<Arc<Control>> {
    Router::new()
        .route(
            "/.well-known/oauth-protected-resource/mcp/{gateway}",
            get(Told(metadata::resource)).options(preflight),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            get(Told(metadata::server)).options(preflight),
        )
        .route(
            "/oauth/register",
            post(Told(token::register)).options(preflight),
        )
        .route("/oauth/token", post(Told(token::token)).options(preflight))
        .route(
            "/oauth/revoke",
            post(Told(token::revoke)).options(preflight),
        )
        .route(
            AUTHORIZE,
            get(Told(authorize::ask)).post(Told(authorize::answer)),
        )
        .route("/oauth/callback", get(Told(callback::callback)))
        .route(SIGN_IN, post(Told(sign_in::sign_in)))
        .route(STYLE, get(Told(page::style)))
}

/// Pages of any site may ask: nothing that a browser adds by itself is looked at.
async fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type, mcp-protocol-version",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// An answer to a program.
fn said(status: StatusCode, body: serde_json::Value) -> Response {
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (status, headers, Json(body)).into_response()
}

/// What went wrong, as RFC 6749, section 5.2, and RFC 7591, section 3.2.2, write it.
fn wrong(status: StatusCode, error: &str, description: &str) -> Response {
    said(
        status,
        json!({"error": error, "error_description": description}),
    )
}

/// What is neither the program's fault nor about its grant.
fn failed(error: ControlError) -> Response {
    let failure = Failure::from(error);
    let status = failure.status();
    if status.is_server_error() {
        tracing::error!(
            error = &failure as &dyn std::error::Error,
            "a request to the authorization server failed"
        );
    }
    let mut response = wrong(status, "temporarily_unavailable", &failure.to_string());
    if let Some(seconds) = failure.retry_after() {
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// A whole body, if it is short and comes in time.
async fn whole(body: Body) -> Option<Bytes> {
    let arriving = Limited::new(body, OAUTH_BODY_BYTES).collect();
    let arrived = tokio::time::timeout(PATIENCE, arriving).await;
    Some(arrived.ok()?.ok()?.to_bytes())
}
