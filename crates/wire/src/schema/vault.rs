//! Bodies of vaults.

use bailiwick_model::limits::DISPLAY_NAME_CHARS;
use serde_json::json;

use super::Schema;
use crate::vault::VaultBody;

impl VaultBody {
    /// What [`Self::create`] takes.
    pub fn create_schema() -> Schema {
        Schema::object()
            .needs("display_name", Schema::chars(1..=DISPLAY_NAME_CHARS))
            .may_be("metadata", Schema::pairs(false))
            .example(json!({"display_name": "Payments", "metadata": {"team": "payments"}}))
            .named("VaultCreate")
    }

    /// What [`Self::update`] takes: what is absent or null stays, a pair that is null goes.
    pub fn update_schema() -> Schema {
        Schema::object()
            .may_be("display_name", Schema::chars(1..=DISPLAY_NAME_CHARS))
            .may_be("metadata", Schema::pairs(true))
            .example(json!({"display_name": "Payments and refunds", "metadata": {"team": null}}))
            .named("VaultUpdate")
    }
}
