//! The pages: plain HTML without scripts, which nobody puts in a frame.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use bailiwick_control::{AuthorizationQuestion, Control, ShownConfirmation};
use url::form_urlencoded::byte_serialize;

use super::authorize::CARRIED;
use super::form::Parameters;
use super::{AUTHORIZE, SIGN_IN, STYLE};
use crate::api::identity_providers::escaped;

/// Of a form that another page sent.
pub(super) const NOT_FROM_HERE: &str = "This was not sent by a page of this server that you are signed in to. Go back and begin again.";
/// Of a request that makes no sense.
pub(super) const UNREADABLE: &str =
    "This request cannot be read. Go back to the program and begin again.";

/// How they look: as the browser has it, readable, with room.
const LOOK: &str = include_str!("style.css");

/// What is answered for [`STYLE`].
pub(super) async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "max-age=3600"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, LOOK).into_response()
}

/// Asks the same once more, from this site.
pub(super) fn once_more(path: &str) -> Response {
    let path = escaped(path);
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={path}\">");
    let body = format!("<p><a href=\"{path}\">Go on</a></p>");
    page(StatusCode::OK, ("Signing in", &head), &body, "")
}

/// Signs somebody in. `again` is the address of mail that did not do, and why.
pub(super) fn sign_in(
    status: StatusCode,
    control: &Control,
    return_to: &str,
    again: Option<(&str, &str)>,
) -> Response {
    let (email, message) = again.unwrap_or_default();
    let problem = match again {
        Some(_) => format!(
            "<p class=\"problem\" role=\"alert\">{}</p>",
            escaped(message)
        ),
        None => String::new(),
    };
    let (path, email) = (escaped(return_to), escaped(email));
    let elsewhere: String = control
        .identity_providers()
        .iter()
        .map(|provider| {
            let back: String = byte_serialize(return_to.as_bytes()).collect();
            format!(
                "<p><a class=\"button\" href=\"/api/identity-providers/{}/sign-in?return_to={back}\">Sign in with {}</a></p>",
                provider.name,
                escaped(&provider.title)
            )
        })
        .collect();
    let body = format!(
        "<h1>Sign in to Bailiwick</h1><p>A program asks to open an MCP gateway for you.</p>{problem}{elsewhere}\
         <form method=\"post\" action=\"{SIGN_IN}\"><input type=\"hidden\" name=\"return_to\" value=\"{path}\">\
         <label for=\"email\">Address of mail</label>\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required value=\"{email}\">\
         <label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\
         <p><button type=\"submit\">Sign in</button></p></form>"
    );
    page(status, ("Sign in", ""), &body, "")
}

/// Asks.
pub(super) fn question(
    asked: &AuthorizationQuestion,
    csrf: &str,
    parameters: &Parameters,
) -> Response {
    let carried: String = CARRIED
        .iter()
        .filter_map(|name| Some((name, parameters.get(name)?)))
        .map(|(name, value)| hidden(name, value))
        .collect();
    let client = escaped(&asked.client_name);
    let known = match &asked.vouched_by {
        Some(host) => format!("as <strong>{}</strong> says", escaped(host)),
        None => "as it says itself; nobody has checked that".to_owned(),
    };
    let body = format!(
        "<h1>May {client} open a gateway for you?</h1>\
         <dl><dt>Program</dt><dd><strong>{client}</strong>, {known}</dd>\
         <dt>You are sent to</dt><dd><strong>{}</strong></dd>\
         <dt>Gateway</dt><dd><strong>{}</strong></dd>\
         <dt>Environment</dt><dd><strong>{}</strong></dd>\
         <dt>You are</dt><dd>{}</dd></dl>\
         <p>It could use the tools and the knowledge of this gateway as you, until you revoke it \
         (<code>bailiwick oauth-grant revoke</code>). It opens nothing else. If you did not just begin this in a program of yours, do not allow it.</p>\
         <form method=\"post\" action=\"{AUTHORIZE}\">{carried}{}{}\
         <p class=\"choice\"><button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button> \
         <button type=\"submit\" name=\"decision\" value=\"deny\" class=\"quiet\">Do not allow</button></p></form>",
        escaped(&asked.sent_to),
        escaped(&asked.gateway),
        escaped(&asked.environment),
        escaped(&asked.email),
        hidden("csrf", csrf),
        hidden("shown", &asked.shown),
    );
    page(
        StatusCode::OK,
        ("Allow a program", ""),
        &body,
        &asked.redirect_source,
    )
}

/// Says why not. `back` is where the person may return to.
pub(super) fn refusal(status: StatusCode, message: &str, back: Option<&str>) -> Response {
    let back = match back {
        Some(back) => format!(
            "<p><a href=\"{}\">Return to the program</a></p>",
            escaped(back)
        ),
        None => String::new(),
    };
    let body = format!(
        "<h1>This cannot be done</h1><p role=\"alert\">{}</p>{back}",
        escaped(message)
    );
    page(status, ("This cannot be done", ""), &body, "")
}

/// Shows who came back from another authorization server what finishes a connection.
pub(super) fn confirmation(shown: &ShownConfirmation) -> Response {
    let body = format!(
        "<h1>One step is left</h1>\
         <dl><dt>Access to</dt><dd><strong>{}</strong></dd><dt>Asked for by</dt><dd><strong>{}</strong></dd></dl>\
         <p>If that is you, write this where you began:</p><p class=\"word\"><code>{}</code></p>\
         <p>If somebody else sent you here, tell nobody and close this page: your access would be theirs.</p>",
        escaped(&shown.server),
        escaped(&shown.began),
        escaped(&shown.confirmation),
    );
    page(StatusCode::OK, ("One step is left", ""), &body, "")
}

fn hidden(name: &str, value: &str) -> String {
    format!(
        "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
        escaped(value)
    )
}

/// A page. A form of it may end at this server, and where the program is: some browsers hold what it is redirected to against it too.
fn page(
    status: StatusCode,
    (title, head): (&str, &str),
    body: &str,
    form_may_end: &str,
) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - Bailiwick</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"{STYLE}\">{head}</head><body><main>{body}</main></body></html>\n"
    );
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {form_may_end}; frame-ancestors 'none'; base-uri 'none'"
    );
    let fixed = [
        (CACHE_CONTROL, "no-store".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, "DENY".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        // Forms of this server say where they are from; nobody else is told what the path has.
        (REFERRER_POLICY, "same-origin".to_owned()),
    ];
    (status, fixed, Html(html)).into_response()
}
