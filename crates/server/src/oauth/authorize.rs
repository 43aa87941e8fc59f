//! The question whether a program may open a gateway for a person (RFC 6749, section 3.1), and their answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bailiwick_control::{
    AuthorizationRefusal, AuthorizationRequest, Control, ControlError, Credentials,
};

use super::form::Parameters;
use super::sign_in::is_own;
use super::{AUTHORIZE, page};
use crate::authenticated::{CSRF_COOKIE, ClientAddress, cookie, cookie_of};
use crate::failure::Failure;

/// What a program asks for; a page's form carries it on.
pub(super) const CARRIED: [&str; 7] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "code_challenge",
    "code_challenge_method",
    "state",
    "resource",
];

/// Asks, once the person is signed in.
pub(super) async fn ask(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let Ok(parameters) = Parameters::read(query.as_bytes()) else {
        return page::refusal(StatusCode::BAD_REQUEST, page::UNREADABLE, None);
    };
    let path = format!("{AUTHORIZE}?{query}");
    let Some(key) = cookie(&headers) else {
        // A browser keeps the cookie back from a request that another site began, so the page itself asks once more.
        let is_from_elsewhere = headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "cross-site");
        if is_from_elsewhere {
            return page::once_more(&path);
        }
        return page::sign_in(StatusCode::OK, &control, &path, None);
    };
    let address = Some(address);
    let shown = Credentials { key, address };
    let caller = match control.authenticate_browser(shown, None, false).await {
        Ok(caller) => caller,
        Err(ControlError::Unauthenticated) => {
            return page::sign_in(StatusCode::OK, &control, &path, None);
        }
        Err(error) => return refused(error.into()),
    };
    let request = request(&parameters);
    match control.authorization_question(&caller, &request).await {
        Ok(question) => {
            let csrf = cookie_of(CSRF_COOKIE, &headers).unwrap_or_default();
            page::question(&question, csrf, &parameters)
        }
        Err(refusal) => refused(refusal),
    }
}

/// Takes the answer, from this page of this browser alone.
pub(super) async fn answer(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !is_own(&control, &headers) {
        return page::refusal(StatusCode::FORBIDDEN, page::NOT_FROM_HERE, None);
    }
    let Ok(form) = Parameters::of(&headers, body).await else {
        return page::refusal(StatusCode::BAD_REQUEST, page::UNREADABLE, None);
    };
    let key = cookie(&headers).unwrap_or_default();
    let address = Some(address);
    let shown = Credentials { key, address };
    let csrf = Some(form.get("csrf").unwrap_or_default());
    let caller = match control.authenticate_browser(shown, csrf, true).await {
        Ok(caller) => caller,
        Err(ControlError::Unauthenticated) => {
            return page::refusal(StatusCode::FORBIDDEN, page::NOT_FROM_HERE, None);
        }
        Err(error) => return refused(error.into()),
    };
    let request = request(&form);
    let location = match form.get("decision") {
        Some("allow") => control.agree_to_authorization(&caller, &request).await,
        Some(_) | None => control.decline_authorization(&caller, &request).await,
    };
    match location {
        Ok(location) => {
            let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(refusal) => refused(refusal),
    }
}

fn request(parameters: &Parameters) -> AuthorizationRequest {
    AuthorizationRequest {
        client_id: parameters.owned("client_id").unwrap_or_default(),
        redirect_uri: parameters.owned("redirect_uri"),
        response_type: parameters.owned("response_type"),
        code_challenge: parameters.owned("code_challenge"),
        code_challenge_method: parameters.owned("code_challenge_method"),
        state: parameters.owned("state"),
        resource: parameters.owned("resource"),
        shown: parameters.owned("shown"),
    }
}

/// Nobody is sent anywhere by an error: whoever could register a client could send people anywhere (RFC 9700, section 4.11).
fn refused(refusal: AuthorizationRefusal) -> Response {
    let message = refusal.to_string();
    match refusal {
        AuthorizationRefusal::UnknownClient
        | AuthorizationRefusal::RedirectUri
        | AuthorizationRefusal::Changed => page::refusal(StatusCode::BAD_REQUEST, &message, None),
        AuthorizationRefusal::Asked { back, .. } => {
            page::refusal(StatusCode::BAD_REQUEST, &message, Some(&back))
        }
        AuthorizationRefusal::Control(error) => {
            let failure = Failure::from(error);
            if failure.status().is_server_error() {
                tracing::error!(
                    error = &failure as &dyn std::error::Error,
                    "a person could not be asked"
                );
            }
            page::refusal(failure.status(), &message, None)
        }
    }
}
