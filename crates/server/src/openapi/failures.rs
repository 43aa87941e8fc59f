//! How operations fail, and what is answered then.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use bailiwick_wire::Schema;
use serde_json::{Value, json};

use crate::api::references::ReferencesJson;
use crate::face::Face;
use crate::failure::Code;
use crate::operation::{Access, Content, Description};

impl Face {
    /// What a failure with this status is called among the responses.
    pub(super) fn response(self, status: StatusCode) -> String {
        let reason = status.canonical_reason().unwrap_or("Other");
        let reason: String = reason.split([' ', '-']).collect();
        match self {
            Self::Wire => format!("Wire{reason}"),
            Self::Api => format!("Api{reason}"),
        }
    }

    /// The form of failures.
    pub(super) fn schema(self) -> Schema {
        match self {
            Self::Wire => wire_error(),
            Self::Api => problem(),
        }
    }

    /// A response of the document.
    pub(super) fn failure(self, status: StatusCode, body: &Value) -> Value {
        let reference = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
        let mut headers = json!({"request-id": reference("request-id")});
        if status == StatusCode::TOO_MANY_REQUESTS {
            headers["retry-after"] = reference("retry-after");
        }
        let media_type = match self {
            Self::Wire => {
                headers["x-should-retry"] = reference("x-should-retry");
                "application/json"
            }
            Self::Api => "application/problem+json",
        };
        let reason = status.canonical_reason().unwrap_or_default();
        json!({"description": reason, "headers": headers, "content": {media_type: {"schema": body}}})
    }
}

/// With which statuses an operation may fail.
pub(super) fn of(operation: &Description) -> BTreeSet<StatusCode> {
    let mut statuses: BTreeSet<_> = operation.failures.iter().copied().collect();
    match operation.access {
        Access::Public => {}
        Access::Authenticated => {
            statuses.insert(StatusCode::UNAUTHORIZED);
        }
        Access::Needs(_) | Access::NeedsOrWorker(_) => {
            statuses.extend([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]);
        }
    }
    // Whoever is asked for is looked up.
    if operation.access != Access::Public {
        statuses.extend([
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]);
    }
    if operation.path.contains('{') {
        statuses.insert(StatusCode::NOT_FOUND);
    }
    match operation.body {
        Content::None => {}
        Content::Json(_) | Content::Form(_) | Content::Bytes | Content::Events | Content::Page => {
            statuses.extend([StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE]);
        }
    }
    let is_plain = matches!(operation.body, Content::None);
    if !is_plain || !operation.parameters.is_empty() {
        statuses.insert(StatusCode::BAD_REQUEST);
    }
    statuses
}

/// The codes of this program, or, of a body with one problem, that problem's.
fn code() -> Schema {
    let known = Schema::words(Code::ALL.iter().map(|code| code.as_str()));
    let field = Schema::text()
        .matching("^[a-z_]+$")
        .says("Of a body in which one thing is wrong: what it is.");
    Schema::any_of([known, field])
        .says("A stable word for a program.")
        .named("Code")
}

fn problem() -> Schema {
    let field = Schema::answer()
        .has(
            "field",
            Schema::text().says("Such as `config.networking.allowed_hosts[2]`."),
        )
        .has("code", code())
        .has("message", Schema::text())
        .has("help", Schema::text());
    Schema::answer()
        .has("type", Schema::word("about:blank"))
        .has("title", Schema::text())
        .has("status", Schema::number(400..=599))
        .has("detail", Schema::text())
        .has("code", code())
        .may(
            "errors",
            Schema::list(field).says("What is wrong with the body, field by field."),
        )
        .may("conflicts", conflicts())
        .may("references", ReferencesJson::schema())
        .has("request_id", Schema::text().or_null())
        .named("Problem")
}

/// What would stop matching in another environment.
fn conflicts() -> Schema {
    let conflict = Schema::answer()
        .has(
            "kind",
            Schema::words([
                "agent",
                "delegate",
                "delegator",
                "virtual_key",
                "mcp_catalog_entry",
                "mcp_gateway",
            ]),
        )
        .has("id", Schema::text())
        .named("Conflict");
    Schema::list(conflict)
}

fn wire_error() -> Schema {
    let details = Schema::answer()
        .has("error_code", code())
        .may("conflicts", conflicts())
        .may("references", ReferencesJson::schema())
        .may(
            "current_state",
            crate::v1::edge::LeaseState::schema().says("Of a heartbeat that was refused."),
        );
    let error = Schema::answer()
        .has("type", Schema::words(crate::v1::edge::error_types()))
        .has("message", Schema::text())
        .has("details", details);
    Schema::answer()
        .has("type", Schema::word("error"))
        .has("error", error)
        .has("request_id", Schema::text().or_null())
        .named("WireError")
}
