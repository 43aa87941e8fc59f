//! What clients read first: of which authorization server a gateway takes tokens, and where that one is asked.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_control::{Control, GatewayAddress};
use serde_json::json;

use super::said;
use crate::failure::Failure;

/// RFC 9728, section 2. It says nothing that the address does not, so whether there is such a gateway is told to nobody who has not signed in.
pub(super) async fn resource(
    State(control): State<Arc<Control>>,
    Path(gateway): Path<String>,
) -> Result<Response, Failure> {
    let issuer = control.public_url().ok_or(Failure::NoRoute)?;
    Ok(said(
        StatusCode::OK,
        json!({
            "resource": GatewayAddress::new(issuer, &gateway).resource(),
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["mcp"],
        }),
    ))
}

/// RFC 8414, section 2.
pub(super) async fn server(State(control): State<Arc<Control>>) -> Result<Response, Failure> {
    let issuer = control.public_url().ok_or(Failure::NoRoute)?;
    Ok(said(
        StatusCode::OK,
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/oauth/authorize"),
            "token_endpoint": format!("{issuer}/oauth/token"),
            "registration_endpoint": format!("{issuer}/oauth/register"),
            "revocation_endpoint": format!("{issuer}/oauth/revoke"),
            "scopes_supported": ["mcp"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": true,
        }),
    ))
}
