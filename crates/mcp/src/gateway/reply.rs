//! Answers of HTTP.

use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::GatewayBody;
use super::outgoing;
use super::refusal::Refusal;
use super::revision::Era;

const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A message of JSON-RPC.
pub(super) fn message(status: StatusCode, message: Bytes) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::whole(message));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// That nothing is answered to what was taken.
pub(super) fn accepted() -> Response<GatewayBody> {
    empty(StatusCode::ACCEPTED)
}

pub(super) fn empty(status: StatusCode) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A stream of events, which nobody on the way is to hold back or keep.
pub(super) fn events(body: GatewayBody) -> Response<GatewayBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let own = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        (BUFFERING, "no"),
    ];
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why a request is not served; `id` is its, if that was read.
pub(super) fn refused(refusal: &Refusal, id: Option<&Bytes>, era: Era) -> Response<GatewayBody> {
    let body = outgoing::error(id.map(|id| &id[..]), &refusal.error());
    let mut response = message(refusal.status(era), body);
    if *refusal == Refusal::Method {
        let allowed = HeaderValue::from_static("POST, GET, DELETE");
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
