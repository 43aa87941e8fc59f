//! Who sends a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use bailiwick_control::{Caller, Control, Credentials};

use crate::failure::Failure;
use crate::observe::Whose;

/// A caller whose key was taken. SDKs send a key as `x-api-key` or as a bearer token; both are the same key.
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequestParts<Arc<Control>> for Authenticated {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        control: &Arc<Control>,
    ) -> Result<Self, Failure> {
        let address = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        let credentials = Credentials {
            // None at all is a failure like any other.
            key: key(&parts.headers).unwrap_or_default(),
            address: address.map(unmapped),
        };
        let caller = control.authenticate(credentials).await?;
        if let Some(whose) = parts.extensions.get::<Whose>() {
            whose.is(caller.organization());
        }
        Ok(Self(caller))
    }
}

fn key(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// IPv4 as IPv4 also where it came over a socket of IPv6.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
