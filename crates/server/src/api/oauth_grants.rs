//! `/api/oauth-grants`: what people let programs do with MCP gateways.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{Control, OauthGrantView};
use bailiwick_model::{McpGatewayId, OauthGrantId, UserId};
use bailiwick_wire::Schema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::of("oauth-grants")
        .add(
            get("list", "/oauth-grants", list)
                .says("What the caller let programs do with MCP gateways, the newest first; what everybody did needs `key:admin`.")
                .query("everyone", Schema::boolean().says("Also what others let programs do."))
                .pages(MOST)
                .fails(StatusCode::FORBIDDEN)
                .lists(shown_schema()),
        )
        .add(
            delete("delete", "/oauth-grants/{id}", revoke)
                .says("Ends one at once: its tokens are not taken any more. Another person's needs `key:admin`.")
                .answers_nothing(),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    everyone: Option<bool>,
    limit: Option<u32>,
    page: Option<String>,
}

fn shown_schema() -> Schema {
    let client = Schema::text().says("How the program calls itself.");
    Schema::answer()
        .has("id", Schema::id::<OauthGrantId>())
        .has("user_id", Schema::id::<UserId>())
        .has("client_name", client)
        .has("redirect_uri", Schema::text())
        .has("gateway_id", Schema::id::<McpGatewayId>())
        .has("gateway_name", Schema::text())
        .has("created_at", Schema::moment())
        .has("refreshed_at", Schema::moment().or_null())
        .has("expires_at", Schema::moment())
        .named("OauthGrant")
}

fn shown(view: &OauthGrantView) -> Value {
    let grant = &view.grant;
    json!({
        "id": grant.id,
        "user_id": grant.user,
        "client_name": grant.client_name,
        "redirect_uri": grant.redirect_uri,
        "gateway_id": grant.gateway,
        "gateway_name": view.gateway_name,
        "created_at": grant.created_at,
        "refreshed_at": grant.refreshed_at,
        "expires_at": grant.refresh_expires_at.map_or(grant.expires_at, |end| end.min(grant.expires_at)),
    })
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let everyone = parameters.everyone.unwrap_or(false);
    let found = control.oauth_grants(&caller, everyone, &page).await?;
    let data: Vec<_> = found.items.iter().map(shown).collect();
    Ok(Json(json!({"data": data, "next_page": cursor(found.next.as_ref())})).into_response())
}

async fn revoke(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<OauthGrantId>,
) -> Result<StatusCode, Failure> {
    control.revoke_oauth_grant(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
