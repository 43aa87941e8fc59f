//! `/api`: administration.

mod agents;
mod audit_log;
mod description;
mod edge;
mod environments;
mod flows;
mod identity_providers;
mod impact;
mod keys;
mod members;
mod model_upstreams;
mod numbered;
mod organization;
pub(crate) mod references;
mod retention;
mod revisions;
mod roles;
mod service_accounts;
mod sessions;
mod teams;
mod tightening;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use bailiwick_control::Control;

use crate::failure::Failure;
use crate::operation::Routes;

/// Its operations.
pub(crate) fn routes() -> Routes {
    Routes::of("api")
        .merge(agents::routes())
        .merge(audit_log::routes())
        .merge(description::routes())
        .merge(environments::routes())
        .merge(flows::routes())
        .merge(identity_providers::routes())
        .merge(impact::routes())
        .merge(keys::routes())
        .merge(members::routes())
        .merge(model_upstreams::routes())
        .merge(organization::routes())
        .merge(references::routes())
        .merge(retention::routes())
        .merge(revisions::routes())
        .merge(roles::routes())
        .merge(service_accounts::routes())
        .merge(sessions::routes())
        .merge(teams::routes())
        .merge(tightening::routes())
}

/// What answers, with errors as problem details.
pub(crate) fn router(router: Router<Arc<Control>>) -> Router<Arc<Control>> {
    router
        .fallback(|| async { Failure::NoRoute })
        .method_not_allowed_fallback(|| async { Failure::Method })
        .layer(from_fn(edge::write_errors))
}
