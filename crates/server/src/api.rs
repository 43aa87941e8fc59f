//! `/api`: administration.

mod agents;
mod audit_log;
mod description;
pub(crate) mod edge;
mod environments;
mod flows;
pub(crate) mod identity_providers;
mod impact;
mod keys;
mod knowledge;
mod limits;
mod llm_proxies;
mod mcp_catalog;
mod mcp_connections;
mod mcp_gateways;
mod members;
mod model_upstreams;
mod numbered;
mod oauth_grants;
mod organization;
pub(crate) mod references;
mod retention;
mod revisions;
mod roles;
mod service_accounts;
pub(crate) mod sessions;
mod teams;
mod tightening;
mod usage;

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
        .merge(knowledge::routes())
        .merge(limits::routes())
        .merge(llm_proxies::routes())
        .merge(mcp_catalog::routes())
        .merge(mcp_connections::routes())
        .merge(mcp_gateways::routes())
        .merge(members::routes())
        .merge(model_upstreams::routes())
        .merge(oauth_grants::routes())
        .merge(organization::routes())
        .merge(references::routes())
        .merge(retention::routes())
        .merge(revisions::routes())
        .merge(roles::routes())
        .merge(service_accounts::routes())
        .merge(sessions::routes())
        .merge(teams::routes())
        .merge(tightening::routes())
        .merge(usage::routes())
}
