//! Who sends a request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use bailiwick_control::{Caller, Control, ControlError, Credentials};

use crate::failure::Failure;
use crate::front::Asked;

/// What the cookie of a browser is called: browsers take one of this name only over TLS, from this very host (RFC 6265bis, section 4.1.3).
pub(crate) const SESSION_COOKIE: &str = "__Host-bailiwick";
/// What the cookie is called from which a page of this very server reads the token that changes need; a session that began at an identity
/// provider has no other way to it.
pub(crate) const CSRF_COOKIE: &str = "__Host-bailiwick-csrf";
/// What the cookie of a sign-in at an identity provider is called.
pub(crate) const SIGN_IN_COOKIE: &str = "__Host-bailiwick-sign-in";
/// What a browser's request that changes something carries besides.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";

/// A caller whose key or cookie was taken. SDKs send a key as `x-api-key` or as a bearer token; both are the same key.
pub(crate) struct Authenticated(pub(crate) Caller);

/// The same, of a request that changes something although its method is said to be safe (RFC 9110, section 9.2.1): a browser's needs its
/// token too.
pub(crate) struct AuthenticatedToChange(pub(crate) Caller);

/// Where a request came from.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl FromRequestParts<Arc<Control>> for Authenticated {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        control: &Arc<Control>,
    ) -> Result<Self, Failure> {
        let changes = !parts.method.is_safe();
        Ok(Self(noted(parts, control, changes).await?))
    }
}

impl FromRequestParts<Arc<Control>> for AuthenticatedToChange {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        control: &Arc<Control>,
    ) -> Result<Self, Failure> {
        Ok(Self(noted(parts, control, true).await?))
    }
}

/// The caller, whose organization the log is told.
async fn noted(parts: &Parts, control: &Control, changes: bool) -> Result<Caller, ControlError> {
    let caller = caller(parts, control, changes).await?;
    Asked::of(&parts.extensions).is_of(caller.organization());
    Ok(caller)
}

/// The caller whom a key shows; a browser's cookie is none here.
pub(crate) async fn key_caller(parts: &Parts, control: &Control) -> Result<Caller, ControlError> {
    control.authenticate(credentials(parts)).await
}

/// The key that was shown, if one was; a browser's cookie is none here.
pub(crate) fn credentials(parts: &Parts) -> Credentials<'_> {
    Credentials {
        key: key(&parts.headers).unwrap_or_default(),
        address: Some(client(parts)),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(client(parts)))
    }
}

/// A key comes before a cookie. None of both is a failure like any other.
pub(crate) async fn caller(
    parts: &Parts,
    control: &Control,
    changes: bool,
) -> Result<Caller, ControlError> {
    let address = Some(client(parts));
    let shown = key(&parts.headers);
    let Some(cookie) = cookie(&parts.headers).filter(|_| shown.is_none()) else {
        let key = shown.unwrap_or_default();
        return control.authenticate(Credentials { key, address }).await;
    };
    let csrf = parts
        .headers
        .get(CSRF_HEADER)
        .and_then(|value| value.to_str().ok());
    let cookie = Credentials {
        key: cookie,
        address,
    };
    control.authenticate_browser(cookie, csrf, changes).await
}

fn client(parts: &Parts) -> IpAddr {
    Asked::of(&parts.extensions).client()
}

fn key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of the session's cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_of(SESSION_COOKIE, headers)
}

/// The value of a cookie.
pub(crate) fn cookie_of<'h>(wanted: &str, headers: &'h HeaderMap) -> Option<&'h str> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == wanted).then_some(value))
}
