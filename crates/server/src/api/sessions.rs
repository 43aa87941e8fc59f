//! `/api/sign-in` and `/api/sign-out`: sessions of browsers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Json, Response};
use bailiwick_control::{Control, ControlError, Password, SignInRequest};
use bailiwick_model::{OrganizationId, Permission};
use bailiwick_wire::Schema;
use serde::Deserialize;
use serde_json::json;

use crate::authenticated::{Authenticated, CSRF_COOKIE, ClientAddress, SESSION_COOKIE, cookie};
use crate::body::JsonBody;
use crate::failure::Failure;
use crate::operation::{Routes, get, post};

pub(super) fn routes() -> Routes {
    Routes::of("sign-in")
        .add(
            post("begin", "/sign-in", sign_in)
                .says("Begins a session of a browser: sets its cookie.")
                .for_anybody()
                .takes(SignInBody::schema())
                .fails(StatusCode::UNAUTHORIZED)
                .fails(StatusCode::TOO_MANY_REQUESTS)
                .fails(StatusCode::SERVICE_UNAVAILABLE)
                .answers(begun_schema()),
        )
        .add(
            post("end", "/sign-out", sign_out)
                .says("Ends the session of the cookie.")
                .answers_nothing(),
        )
        .add(
            get("whoami", "/whoami", whoami)
                .says("Who asks, and what they may do.")
                .answers(caller_schema()),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignInBody {
    email: String,
    password: String,
    organization_id: Option<OrganizationId>,
}

impl SignInBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("email", Schema::text())
            .needs("password", Schema::text().with("writeOnly", json!(true)))
            .may_be("organization_id", Schema::id::<OrganizationId>())
            .example(
                json!({"email": "ada@example.com", "password": "correct horse battery staple"}),
            )
            .named("SignIn")
    }
}

fn begun_schema() -> Schema {
    let token = Schema::text().says("What requests that change something carry besides.");
    Schema::answer()
        .has("csrf_token", token)
        .has("expires_at", Schema::moment())
        .named("BrowserSession")
}

fn caller_schema() -> Schema {
    let permissions = Permission::ALL.iter().map(|permission| permission.as_str());
    let kinds = [
        "user",
        "service_account",
        "environment_key",
        "work",
        "virtual_key",
        "system",
    ];
    let actor = Schema::answer()
        .has("kind", Schema::words(kinds))
        .has("id", Schema::text());
    Schema::answer()
        .has("organization_id", Schema::id::<OrganizationId>())
        .has("actor", actor)
        .has(
            "permissions",
            Schema::list(Schema::words(permissions).named("Permission")),
        )
        .named("Caller")
}

/// What sets the cookies of a session: no other site sends them, and they go over TLS alone (RFC 6265bis, section 4.1.2); browsers take
/// loopback for TLS. No script reads the first; one of this server may read the second, which alone opens nothing.
pub(crate) fn cookies(session: &str, csrf: &str, seconds: i64) -> AppendHeaders<[SetCookie; 2]> {
    let shared = format!("Max-Age={seconds}; Path=/; Secure; SameSite=Strict");
    AppendHeaders([
        (
            SET_COOKIE,
            format!("{SESSION_COOKIE}={session}; {shared}; HttpOnly"),
        ),
        (SET_COOKIE, format!("{CSRF_COOKIE}={csrf}; {shared}")),
    ])
}

/// A header that sets a cookie.
pub(crate) type SetCookie = (HeaderName, String);

async fn sign_in(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<Response, Failure> {
    if is_from_elsewhere(&control, &headers) {
        return Err(ControlError::Unauthenticated.into());
    }
    if is_a_form(&headers) {
        let words = "a form signs nobody in: send it as application/json";
        return Err(Failure::NotJson(words.to_owned()));
    }
    let request = SignInRequest {
        email: body.email,
        password: Password::typed(body.password),
        organization: body.organization_id,
    };
    let session = control.sign_in(request, Some(address)).await?;
    let seconds = session.lasts().as_secs();
    let body = Json(json!({"csrf_token": session.csrf, "expires_at": session.expires_at}));
    let cookies = cookies(&session.cookie, &session.csrf, seconds);
    Ok((cookies, body).into_response())
}

/// Whether a page of another site or another host sent it: whoever made that page would have its reader work as somebody else. What is no browser
/// says nothing of this (Fetch Metadata Request Headers, "Sec-Fetch-Site"; RFC 6454, section 7).
fn is_from_elsewhere(control: &Control, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "cross-site" | "same-site"),
        (None, Some(origin)) => control.public_url().is_some_and(|own| own != origin),
        (None, None) => false,
    }
}

/// Whether a form of whatever page may have sent it (Fetch, "CORS-safelisted request-header"): it would sign its own author in, in somebody else's
/// browser.
fn is_a_form(headers: &HeaderMap) -> bool {
    const OF_FORMS: [&str; 3] = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ];
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    OF_FORMS.iter().any(|form| kind.eq_ignore_ascii_case(form))
}

async fn sign_out(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if let Some(value) = cookie(&headers) {
        control.sign_out(&caller, value).await?;
    }
    Ok((StatusCode::NO_CONTENT, cookies("", "", 0)).into_response())
}

async fn whoami(Authenticated(caller): Authenticated) -> Response {
    Json(json!({
        "organization_id": caller.organization(),
        "actor": {"kind": caller.actor().kind(), "id": caller.actor().id()},
        "permissions": caller.permissions(),
    }))
    .into_response()
}
