//! `/api/openapi.json`: what there is.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bailiwick_wire::Schema;

use crate::operation::{Routes, get};

/// It is the same for everybody, and as long as the program runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| crate::openapi().to_string());

pub(super) fn routes() -> Routes {
    Routes::of("description").add(
        get("retrieve", "/openapi.json", retrieve)
            .says("This document.")
            .for_anybody()
            .answers(Schema::map(Schema::any())),
    )
}

async fn retrieve() -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    (json, DOCUMENT.as_str()).into_response()
}
