//! `/v1`: the wire API of Managed Agents, as the official SDKs speak it.

mod agents;
mod content;
mod credentials;
pub(crate) mod cursor;
mod edge;
mod environments;
mod files;
mod form;
mod session_resources;
mod sessions;
mod skills;
mod vaults;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use bailiwick_control::Control;

use crate::failure::Failure;

/// The routes, with errors in the wire's form.
pub(crate) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .merge(agents::routes())
        .merge(credentials::routes())
        .merge(environments::routes())
        .merge(vaults::routes())
        .merge(files::routes())
        .merge(skills::routes())
        .merge(sessions::routes())
        .merge(session_resources::routes())
        .merge(work::routes())
        .fallback(|| async { Failure::NoRoute })
        .method_not_allowed_fallback(|| async { Failure::Method })
        .layer(from_fn(edge::write_errors))
}
