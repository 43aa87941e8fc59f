//! What programs ask: to be known (RFC 7591), for tokens (RFC 6749, section 3.2), and that one is not taken any more (RFC 7009).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bailiwick_control::{
    ClientProblem, Control, IssuedTokens, NewClientRequest, OauthTokenError, Redemption,
    Refreshment,
};
use serde::Deserialize;
use serde_json::json;

use super::form::Parameters;
use super::{failed, said, whole, wrong};
use crate::authenticated::ClientAddress;

/// What of a registration means something here; what else a program says of itself it may say.
#[derive(Deserialize)]
struct Registration {
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
}

/// Whoever asks is a public client, whatever it would be: it gets no secret, and needs none.
pub(super) async fn register(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    body: Body,
) -> Response {
    let body = whole(body).await.unwrap_or_default();
    let Ok(registration) = serde_json::from_slice::<Registration>(&body) else {
        let description = "the body is no JSON object with redirect_uris";
        return wrong(
            StatusCode::BAD_REQUEST,
            "invalid_client_metadata",
            description,
        );
    };
    let request = NewClientRequest {
        name: registration.client_name,
        redirect_uris: registration.redirect_uris,
    };
    let problem = match control.register_oauth_client(request, Some(address)) {
        Ok(client) => {
            let body = json!({
                "client_id": client.id,
                "client_id_issued_at": client.made_at.as_second(),
                "client_name": client.name,
                "redirect_uris": client.redirect_uris,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "scope": "mcp",
            });
            return said(StatusCode::CREATED, body);
        }
        Err(problem) => problem,
    };
    let code = match problem {
        ClientProblem::RedirectUris | ClientProblem::RedirectUri { .. } => "invalid_redirect_uri",
        ClientProblem::TooLarge => "invalid_client_metadata",
        ClientProblem::Control(error) => return failed(error),
    };
    wrong(StatusCode::BAD_REQUEST, code, &problem.to_string())
}

/// Exchanges a code or a refresh token.
pub(super) async fn token(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match asked(&headers, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let given = |name| form.get(name).unwrap_or_default();
    let issued = match form.get("grant_type") {
        Some("authorization_code") => {
            let redemption = Redemption {
                code: given("code"),
                client_id: given("client_id"),
                redirect_uri: form.get("redirect_uri"),
                code_verifier: given("code_verifier"),
                resource: form.get("resource"),
                address: Some(address),
            };
            control.redeem_oauth_code(redemption).await
        }
        Some("refresh_token") => {
            let refreshment = Refreshment {
                refresh_token: given("refresh_token"),
                client_id: given("client_id"),
                resource: form.get("resource"),
                address: Some(address),
            };
            control.refresh_oauth_token(refreshment).await
        }
        Some(_) | None => {
            let description = "grant_type is authorization_code or refresh_token";
            return wrong(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                description,
            );
        }
    };
    answered(issued)
}

fn answered(issued: Result<IssuedTokens, OauthTokenError>) -> Response {
    let error = match issued {
        Ok(tokens) => {
            let body = json!({
                "access_token": tokens.access_token,
                "token_type": "Bearer",
                "expires_in": tokens.expires_in,
                "refresh_token": tokens.refresh_token,
                "scope": "mcp",
            });
            return said(StatusCode::OK, body);
        }
        Err(error) => error,
    };
    let code = match error {
        OauthTokenError::InvalidGrant => "invalid_grant",
        OauthTokenError::InvalidTarget => "invalid_target",
        OauthTokenError::Control(error) => return failed(error),
    };
    wrong(StatusCode::BAD_REQUEST, code, &error.to_string())
}

/// Ends what a token is of. Whether it was one is not told (RFC 7009, section 2.2).
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match asked(&headers, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let token = form.get("token").unwrap_or_default();
    let client = form.get("client_id").unwrap_or_default();
    let revoked = control.revoke_oauth_token(token, client, Some(address));
    match revoked.await {
        Ok(()) => said(StatusCode::OK, json!({})),
        Err(error) => failed(error),
    }
}

/// The form of a public client, which names itself and shows no secret.
async fn asked(headers: &HeaderMap, body: Body) -> Result<Parameters, Response> {
    let form = Parameters::of(headers, body).await;
    let form = form.map_err(|error| {
        wrong(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            &error.to_string(),
        )
    })?;
    if form.get("client_id").is_none() {
        let description = "client_id is needed";
        return Err(wrong(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            description,
        ));
    }
    if headers.contains_key(AUTHORIZATION) || form.get("client_secret").is_some() {
        let description = "clients are public here: no secret was given to any";
        return Err(wrong(
            StatusCode::BAD_REQUEST,
            "invalid_client",
            description,
        ));
    }
    Ok(form)
}
