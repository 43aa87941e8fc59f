//! Bodies of items of work queues.

use serde_json::json;

use super::Schema;

/// What [`crate::work_metadata`] takes: a pair that is null goes.
pub fn work_update_schema() -> Schema {
    Schema::object()
        .may_be("metadata", Schema::pairs(true))
        .example(json!({"metadata": {"host": "worker-7", "zone": null}}))
        .named("WorkUpdate")
}
