//! A name for each request, in its answer and in the logs.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use bailiwick_control::fresh_request_id;
use bailiwick_model::ResourceId as _;

/// The header that SDKs read.
const HEADER: &str = "request-id";

/// Gives the request its id and puts it on the answer.
pub(crate) async fn name(mut request: Request, next: Next) -> Response {
    let id = fresh_request_id();
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    let value = HeaderValue::from_str(id.as_str()).expect("ids are ASCII");
    response.headers_mut().insert(HEADER, value);
    response
}
