//! Signing in with a password, on the way to being asked. It needs no script; the console has a page of its own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{LOCATION, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bailiwick_control::{Control, ControlError, Password, SignInRequest};

use super::form::Parameters;
use super::{AUTHORIZE, page};
use crate::api::sessions::cookies;
use crate::authenticated::ClientAddress;
use crate::failure::Failure;

/// Begins a session and goes on to the question. Nobody else's page signs somebody in here: they would agree as somebody else.
pub(super) async fn sign_in(
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
    let Some(return_to) = form.get("return_to").filter(|path| is_question(path)) else {
        return page::refusal(StatusCode::BAD_REQUEST, page::UNREADABLE, None);
    };
    let email = form.get("email").unwrap_or_default();
    let request = SignInRequest {
        email: email.to_owned(),
        password: Password::typed(form.owned("password").unwrap_or_default()),
        organization: None,
    };
    match control.sign_in(request, Some(address)).await {
        Ok(session) => {
            let set = cookies(&session.cookie, &session.csrf, session.lasts().as_secs());
            let headers = [(LOCATION, return_to.to_owned())];
            (StatusCode::SEE_OTHER, set, headers).into_response()
        }
        Err(error) => {
            let message = if matches!(error, ControlError::Unauthenticated) {
                "The address of mail or the password is not right.".to_owned()
            } else {
                error.to_string()
            };
            let status = Failure::from(error).status();
            page::sign_in(status, &control, return_to, Some((email, &message)))
        }
    }
}

/// Whether a form is one of this server's own pages: browsers say where a form is from (RFC 6454, section 7).
pub(super) fn is_own(control: &Control, headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    origin.is_some() && origin == control.public_url()
}

/// Whether a path is that of the question, on this server.
fn is_question(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let query = path.strip_prefix(AUTHORIZE);
    query.is_some_and(|query| query.starts_with('?')) && path.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_the_question_and_nowhere_else() {
        assert!(is_question("/oauth/authorize?client_id=a&state=%20"));
        for bad in [
            "/oauth/authorize",
            "/oauth/authorize.evil.example?",
            "//evil.example/oauth/authorize?",
            "https://evil.example/oauth/authorize?",
            "/oauth/authorize?a\r\nset-cookie: x",
            "/oauth/authorize?\\",
        ] {
            assert!(!is_question(bad), "{bad:?}");
        }
    }
}
