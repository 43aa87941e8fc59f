//! `/mcp/{gateway}`: MCP, by way of a gateway of an environment.
//!
//! The protocol is `bailiwick_mcp`'s business. Here is who comes, and how those are answered who may not.

mod ending;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bailiwick_control::{Control, ControlError, GatewayAddress, McpGateways, OpenMcpGateway};
use serde_json::json;

use crate::authenticated;
use crate::failure::Failure;
use crate::front::{Asked, Told};
use ending::Ending;

/// Its route.
pub(crate) fn router(gateways: &Arc<McpGateways>) -> Router<Arc<Control>> {
    let gateways = Arc::clone(gateways);
    let answer = move |State(control): State<Arc<Control>>,
                       Path(gateway): Path<String>,
                       request: Request| {
        let gateways = Arc::clone(&gateways);
        async move { answer((&control, &gateways), &gateway, request).await }
    };
    Router::new().route("/mcp/{gateway}", any(Told(answer)))
}

async fn answer(
    (control, gateways): (&Arc<Control>, &Arc<McpGateways>),
    reference: &str,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let open = match opened((control, gateways), reference, &parts).await {
        Ok(open) => open,
        Err(error) => return refused(error, control, reference),
    };
    let request = Request::from_parts(parts, body);
    let caller = open.caller();
    let answering = open
        .gateway()
        .answer(&caller, |span| open.view(span), request);
    let answer = answering.await;
    // A call looks for itself whether it may go on; a stream may be of news alone, in every revision in another way.
    let kind = answer.headers().get(CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let gone = is_stream.then(|| open.until_gone());
    let closing = control.closing();
    answer.map(|body| Body::new(Ending::new(body, closing, gone)))
}

async fn opened(
    (control, gateways): (&Control, &Arc<McpGateways>),
    reference: &str,
    parts: &Parts,
) -> Result<OpenMcpGateway, ControlError> {
    let asked = Asked::of(&parts.extensions);
    let shown = authenticated::credentials(parts);
    if Control::is_access_token(shown.key) {
        let token = control.access_token(shown).await?;
        asked.is_of(token.caller.organization());
        return gateways.open_by_token(&token, reference).await;
    }
    // A browser's session opens it as its member's key does; what changes something, as almost every request may, needs its token too.
    let changes = !parts.method.is_safe();
    let caller = authenticated::caller(parts, control, changes).await?;
    asked.is_of(caller.organization());
    gateways.open(&caller, reference).await
}

/// An error of JSON-RPC that belongs to no request, with the status that clients go by.
fn refused(error: ControlError, control: &Control, reference: &str) -> Response {
    let failure = Failure::from(error);
    let status = failure.status();
    if status.is_server_error() {
        tracing::error!(
            error = &failure as &dyn std::error::Error,
            "a gateway cannot be opened"
        );
    }
    let error =
        json!({"code": -32001, "message": failure.to_string(), "data": {"code": failure.code()}});
    let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
    let json = [(CONTENT_TYPE, "application/json")];
    let mut response = (status, json, body.to_string()).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = challenge(control.public_url(), reference);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = failure.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Where a client learns how to come by a token (RFC 9728, section 5.1), on a server that knows where it is reached. No request says where that is:
/// whoever could would send clients to an authorization server of their own.
fn challenge(public_url: Option<&str>, reference: &str) -> HeaderValue {
    let without = HeaderValue::from_static("Bearer");
    let Some(public_url) = public_url else {
        return without;
    };
    let metadata = GatewayAddress::new(public_url, reference).metadata();
    let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
    HeaderValue::from_str(&challenge).unwrap_or(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "https://bailiwick.example.com/.well-known/oauth-protected-resource";

    fn told(reference: &str) -> String {
        let challenge = challenge(Some("https://bailiwick.example.com"), reference);
        challenge.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_client_without_a_token_is_told_where_it_learns_how_to_get_one() {
        let expect = format!("Bearer resource_metadata=\"{METADATA}/mcp/dev\"");
        assert_eq!(told("dev"), expect);
        assert_eq!(challenge(None, "dev"), "Bearer");
    }

    #[test]
    fn nothing_that_a_client_sends_ends_the_value() {
        let odd = told("x\"y z\r\nset-cookie: a");
        assert_eq!(
            odd,
            format!("Bearer resource_metadata=\"{METADATA}/mcp/x%22y%20z%0D%0Aset-cookie%3A%20a\"")
        );
    }
}
