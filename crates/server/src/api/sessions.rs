//! `/api/sign-in` and `/api/sign-out`: sessions of browsers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bailiwick_control::{Control, Password, SignInRequest};
use bailiwick_model::OrganizationId;
use serde::Deserialize;
use serde_json::json;

use crate::authenticated::{Authenticated, ClientAddress, SESSION_COOKIE, cookie};
use crate::body::JsonBody;
use crate::failure::Failure;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/whoami", get(whoami))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignInBody {
    email: String,
    password: String,
    organization_id: Option<OrganizationId>,
}

/// No script reads it, no other site sends it, and it goes over TLS alone (RFC 6265bis, section 4.1.2); browsers take loopback for TLS.
fn set(value: &str, seconds: i64) -> [(axum::http::HeaderName, String); 1] {
    let attributes = "Path=/; HttpOnly; Secure; SameSite=Strict";
    [(
        SET_COOKIE,
        format!("{SESSION_COOKIE}={value}; Max-Age={seconds}; {attributes}"),
    )]
}

async fn sign_in(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<Response, Failure> {
    let request = SignInRequest {
        email: body.email,
        password: Password::typed(body.password),
        organization: body.organization_id,
    };
    let session = control.sign_in(request, address).await?;
    let seconds = session.lasts().as_secs();
    let body = Json(json!({"csrf_token": session.csrf, "expires_at": session.expires_at}));
    Ok((set(&session.cookie, seconds), body).into_response())
}

async fn sign_out(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if let Some(value) = cookie(&headers) {
        control.sign_out(&caller, value).await?;
    }
    Ok((StatusCode::NO_CONTENT, set("", 0)).into_response())
}

async fn whoami(Authenticated(caller): Authenticated) -> Response {
    Json(json!({
        "organization_id": caller.organization(),
        "actor": {"kind": caller.actor().kind(), "id": caller.actor().id()},
        "permissions": caller.permissions(),
    }))
    .into_response()
}
