//! `/api`: administration.

mod agents;
mod audit_log;
mod edge;
mod environments;
mod keys;
mod members;
mod organization;
mod roles;
mod service_accounts;
mod sessions;
mod teams;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use bailiwick_control::Control;

use crate::failure::Failure;

/// The routes, with errors as problem details.
pub(crate) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .merge(agents::routes())
        .merge(audit_log::routes())
        .merge(environments::routes())
        .merge(keys::routes())
        .merge(members::routes())
        .merge(organization::routes())
        .merge(roles::routes())
        .merge(service_accounts::routes())
        .merge(sessions::routes())
        .merge(teams::routes())
        .fallback(|| async { Failure::NoRoute })
        .method_not_allowed_fallback(|| async { Failure::Method })
        .layer(from_fn(edge::write_errors))
}
