//! `/api/identity-providers`: signing in elsewhere. The browser itself goes there and comes back, so the answers are for a browser.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Json, Response};
use bailiwick_control::{Control, ControlError, IdentityProvider, SignInAnswer};
use bailiwick_model::limits::{NAME_CHARS, RETURN_PATH_BYTES, SIGN_IN_ATTEMPT};
use bailiwick_wire::Schema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sessions::{SetCookie, cookies};
use crate::authenticated::{ClientAddress, SIGN_IN_COOKIE, cookie_of};
use crate::body::Parameters;
use crate::failure::Failure;
use crate::operation::{Routes, get};

pub(super) fn routes() -> Routes {
    let path = Schema::chars(1..=RETURN_PATH_BYTES).matching("^/([^/\\\\].*)?$");
    let said = "A path of this server where the browser goes in the end.";
    Routes::of("identity-providers")
        .add(
            get("list", "/identity-providers", list)
                .says("Identity providers at which people sign in.")
                .for_anybody()
                .lists(shown_schema()),
        )
        .add(
            get("begin", "/identity-providers/{name}/sign-in", begin)
                .says("Sends a browser to the identity provider.")
                .for_anybody()
                .query("return_to", path.says(said))
                .fails(StatusCode::BAD_REQUEST)
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::BAD_GATEWAY)
                .sends_elsewhere(),
        )
        .add(
            get("finish", "/identity-providers/{name}/callback", finish)
                .says("Where the identity provider sends the browser back to: begins its session, and sends it on.")
                .for_anybody()
                .query("code", Schema::text())
                .query("state", Schema::text())
                .query("iss", Schema::text())
                .query("error", Schema::text())
                .fails(StatusCode::UNAUTHORIZED)
                .fails(StatusCode::FORBIDDEN)
                .fails(StatusCode::NOT_FOUND)
                .fails(StatusCode::TOO_MANY_REQUESTS)
                .fails(StatusCode::BAD_GATEWAY)
                .fails(StatusCode::SERVICE_UNAVAILABLE)
                .answers_page(),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginParameters {
    return_to: Option<String>,
}

/// A provider may add others, which mean nothing here.
#[derive(Deserialize)]
struct AnswerParameters {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("name", Schema::chars(1..=NAME_CHARS))
        .has("title", Schema::text())
        .has("issuer", Schema::text())
        .has("sign_in_path", Schema::text())
        .named("IdentityProvider")
}

fn shown(provider: &IdentityProvider) -> Value {
    json!({
        "name": provider.name,
        "title": provider.title,
        "issuer": provider.provider.issuer(),
        "sign_in_path": format!("/api/identity-providers/{}/sign-in", provider.name),
    })
}

async fn list(State(control): State<Arc<Control>>) -> Response {
    let data: Vec<_> = control.identity_providers().iter().map(shown).collect();
    Json(json!({"data": data, "next_page": null})).into_response()
}

async fn begin(
    State(control): State<Arc<Control>>,
    name: Result<Path<String>, PathRejection>,
    Parameters(parameters): Parameters<BeginParameters>,
) -> Result<Response, Failure> {
    let return_to = parameters.return_to.as_deref();
    let begun = control
        .begin_identity_sign_in(&named(name)?, return_to)
        .await?;
    let headers = [
        (LOCATION, begun.location),
        (CACHE_CONTROL, "no-store".to_owned()),
        attempt_cookie(&begun.cookie, SIGN_IN_ATTEMPT.as_secs()),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

async fn finish(
    State(control): State<Arc<Control>>,
    ClientAddress(address): ClientAddress,
    name: Result<Path<String>, PathRejection>,
    Parameters(parameters): Parameters<AnswerParameters>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let answer = SignInAnswer {
        code: parameters.code.as_deref(),
        state: parameters.state.as_deref(),
        issuer: parameters.iss.as_deref(),
        error: parameters.error.as_deref(),
    };
    let cookie = cookie_of(SIGN_IN_COOKIE, &headers);
    let finished = control
        .finish_identity_sign_in(&named(name)?, &answer, cookie, Some(address))
        .await?;
    let session = &finished.session;
    let mut response = Html(page(&finished.return_to)).into_response();
    let set = [attempt_cookie("", 0)];
    let set = set
        .into_iter()
        .chain(cookies(&session.cookie, &session.csrf, session.lasts().as_secs()).0);
    for (name, value) in set {
        let value = value.try_into().expect("cookies are ASCII");
        response.headers_mut().append(name, value);
    }
    let fixed = [
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        // The path has the code.
        (REFERRER_POLICY, "no-referrer"),
    ];
    Ok((fixed, response).into_response())
}

/// Comes back from another site, which a stricter cookie would not.
fn attempt_cookie(value: &str, seconds: u64) -> SetCookie {
    let attributes = "Path=/; HttpOnly; Secure; SameSite=Lax";
    let cookie = format!("{SIGN_IN_COOKIE}={value}; Max-Age={seconds}; {attributes}");
    (SET_COOKIE, cookie)
}

/// Sends the browser on from this site itself: with a redirection it would still be on its way from the provider's, and keep the session's cookie
/// back.
fn page(path: &str) -> String {
    let path = escaped(path);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Signed in</title>\
         <meta http-equiv=\"refresh\" content=\"0;url={path}\"></head>\
         <body><p>Signed in. <a href=\"{path}\">Go on</a></p></body></html>\n"
    )
}

pub(crate) fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut all, one| {
        match one {
            '&' => all.push_str("&amp;"),
            '<' => all.push_str("&lt;"),
            '>' => all.push_str("&gt;"),
            '"' => all.push_str("&quot;"),
            '\'' => all.push_str("&#39;"),
            other => all.push(other),
        }
        all
    })
}

fn named(name: Result<Path<String>, PathRejection>) -> Result<String, ControlError> {
    let name = name.map_err(|_| ControlError::NotFound("identity provider"))?;
    Ok(name.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_path_in_the_page_and_nothing_else() {
        let page = page("/a?b=1&c='\"><script>alert(1)</script>");
        assert!(!page.contains("<script>"));
        assert!(page.contains("0;url=/a?b=1&amp;c=&#39;&quot;&gt;&lt;script&gt;"));
    }
}
