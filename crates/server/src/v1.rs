//! `/v1`: the wire API of Managed Agents, as the official SDKs speak it.

mod agents;
mod content;
mod credentials;
pub(crate) mod cursor;
pub(crate) mod edge;
mod environments;
mod files;
mod form;
mod session_events;
mod session_resources;
mod sessions;
mod skills;
mod validation;
mod vaults;
mod work;

use bailiwick_model::ResourceId;
use bailiwick_wire::Schema;

use crate::operation::Routes;

/// What is answered where something was deleted.
fn deleted_schema<I: ResourceId>(kind: &str) -> Schema {
    Schema::answer()
        .has("id", Schema::id::<I>())
        .has("type", Schema::word(kind))
}

/// Its operations.
pub(crate) fn routes() -> Routes {
    Routes::of("v1")
        .merge(agents::routes())
        .merge(credentials::routes())
        .merge(environments::routes())
        .merge(vaults::routes())
        .merge(files::routes())
        .merge(skills::routes())
        .merge(sessions::routes())
        .merge(session_resources::routes())
        .merge(session_events::routes())
        .merge(session_events::thread_routes())
        .merge(work::routes())
}
