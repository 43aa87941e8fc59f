//! `/api/audit-log`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{AuditLine, Control, ControlError, hash_text};
use bailiwick_model::{OrganizationId, Permission};
use bailiwick_store::StoreError;
use bailiwick_wire::Schema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::numbered::Page;
use crate::authenticated::Authenticated;
use crate::body::Parameters;
use crate::failure::Failure;
use crate::operation::{Routes, get};

pub(super) fn routes() -> Routes {
    let list = get("list", "/audit-log", list)
        .says("Entries of the audit log, the oldest first.")
        .needs(Permission::AuditRead);
    Routes::of("audit-log")
        .add(
            Page::describe(list, "Only entries after the one with this number.")
                .answers(List::schema()),
        )
        .add(
            get("verify", "/audit-log/verify", verify)
                .says("Whether every entry follows from the one before it.")
                .needs(Permission::AuditRead)
                .answers(verified_schema()),
        )
        .add(
            get("head", "/audit-log/head", head)
                .says("The end of the log, signed, so that it can be kept elsewhere.")
                .needs(Permission::AuditRead)
                .answers(signed_head_schema()),
        )
}

fn signed_head_schema() -> Schema {
    Schema::answer()
        .has("organization_id", Schema::id::<OrganizationId>())
        .has("entries", Schema::version())
        .has("hash", hash_schema())
        .has("at", Schema::moment())
        .has("algorithm", Schema::word("ed25519"))
        .has("public_key", Schema::text().says("In base64."))
        .has("signature", Schema::text().says("In base64."))
        .named("AuditLogHead")
}

fn hash_schema() -> Schema {
    Schema::text().matching("^[0-9a-f]{64}$")
}

fn verified_schema() -> Schema {
    let number = || Schema::version().or_null();
    Schema::answer()
        .has("organization_id", Schema::id::<OrganizationId>())
        .has("verified", Schema::boolean())
        .has("entries", Schema::number(0..=i64::MAX).or_null())
        .has("hash", Schema::text().or_null())
        .has(
            "broken_at",
            number().says("The number of the first entry that does not follow."),
        )
        .named("AuditLogVerified")
}

impl List {
    fn schema() -> Schema {
        let next = Schema::version().or_null();
        let anchor = Schema::answer()
            .has("entries", Schema::version())
            .has("hash", hash_schema());
        Schema::answer()
            .has("data", Schema::list(AuditLine::schema()))
            .has(
                "anchor",
                anchor
                    .or_null()
                    .says("The last entry that was taken away because its time was over."),
            )
            .has(
                "next_after",
                next.says("`after` of the next request, if there is more."),
            )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct List {
    data: Vec<AuditLine>,
    /// The last entry that was taken away, where there is one.
    anchor: Option<Anchor>,
    /// What to ask for with `after`, if there is more.
    next_after: Option<i64>,
}

/// The number of an entry and its hash.
#[derive(Serialize)]
struct Anchor {
    entries: i64,
    hash: String,
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = Page::of(parameters.after, parameters.limit, "an entry")?;
    let anchor = control.audit_anchor(&caller).await?.map(|anchor| Anchor {
        entries: anchor.sequence,
        hash: hash_text(&anchor.hash),
    });
    let found = control.audit_log(&caller, page.after, page.wanted());
    let mut entries = found.await?;
    let next_after = page.cut(&mut entries, |entry| entry.sequence);
    let line = |entry| AuditLine::of(caller.organization(), entry).map_err(|_| corrupt());
    let data = entries.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(Json(List {
        data,
        anchor,
        next_after,
    })
    .into_response())
}

async fn head(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    Ok(Json(control.signed_head(&caller).await?).into_response())
}

async fn verify(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    let organization = caller.organization();
    let answer = match control.verify_audit_log(&caller).await? {
        Ok((entries, hash)) => json!({
            "organization_id": organization, "verified": true,
            "entries": entries, "hash": hash_text(&hash), "broken_at": null,
        }),
        Err(broken) => json!({
            "organization_id": organization, "verified": false,
            "entries": null, "hash": null, "broken_at": broken.sequence,
        }),
    };
    Ok(Json(answer).into_response())
}

/// What a change was or became is stored as JSON.
fn corrupt() -> Failure {
    let column = "before_change";
    ControlError::Store(StoreError::Corrupt { column }).into()
}
