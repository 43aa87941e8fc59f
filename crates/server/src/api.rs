//! `/api`: administration.

mod audit_log;
mod edge;
mod environments;
mod keys;
mod organization;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use bailiwick_control::Control;

use crate::failure::Failure;

/// The routes, with errors as problem details.
pub(crate) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .merge(audit_log::routes())
        .merge(environments::routes())
        .merge(keys::routes())
        .merge(organization::routes())
        .fallback(|| async { Failure::NoRoute })
        .method_not_allowed_fallback(|| async { Failure::Method })
        .layer(from_fn(edge::write_errors))
}
