//! `/api/teams`, and the grants of environments.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, put};
use bailiwick_control::Control;
use bailiwick_model::{EnvironmentId, GrantId, TeamId, UserId};
use bailiwick_store::{Grant, Grantee, Team};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonBody};
use crate::failure::Failure;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/teams", get(list).post(create))
        .route("/teams/{id}", delete(remove))
        .route("/teams/{id}/members", get(members))
        .route("/teams/{id}/members/{user}", put(add).delete(take_out))
        .route("/environments/{id}/grants", get(grants).post(create_grant))
        .route("/environments/{id}/grants/{grant}", delete(remove_grant))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TeamBody {
    name: String,
}

/// Exactly one of the two.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum GrantBody {
    UserId(UserId),
    TeamId(TeamId),
}

fn shown(team: &Team) -> Value {
    json!({"id": team.id, "name": team.name})
}

fn shown_grant(grant: &Grant) -> Value {
    let (user, team) = match &grant.grantee {
        Grantee::User(id) => (Some(id), None),
        Grantee::Team(id) => (None, Some(id)),
    };
    json!({"id": grant.id, "environment_id": grant.environment, "user_id": user, "team_id": team})
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    let teams: Vec<_> = control.teams(&caller).await?.iter().map(shown).collect();
    Ok(Json(json!({"data": teams})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<TeamBody>,
) -> Result<Response, Failure> {
    let made = control.create_team(&caller, &body.name).await?;
    Ok((StatusCode::CREATED, Json(shown(&made))).into_response())
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<TeamId>,
) -> Result<StatusCode, Failure> {
    control.delete_team(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn members(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<TeamId>,
) -> Result<Response, Failure> {
    let members = control.team_members(&caller, &id).await?;
    Ok(Json(json!({"data": members})).into_response())
}

async fn add(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(team, user): IdsOf<TeamId, UserId>,
) -> Result<StatusCode, Failure> {
    control.add_to_team(&caller, &team, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_out(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(team, user): IdsOf<TeamId, UserId>,
) -> Result<StatusCode, Failure> {
    control.remove_from_team(&caller, &team, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn grants(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    let grants: Vec<_> = control
        .grants(&caller, &id)
        .await?
        .iter()
        .map(shown_grant)
        .collect();
    Ok(Json(json!({"data": grants})).into_response())
}

async fn create_grant(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    JsonBody(body): JsonBody<GrantBody>,
) -> Result<Response, Failure> {
    let grantee = match body {
        GrantBody::UserId(id) => Grantee::User(id),
        GrantBody::TeamId(id) => Grantee::Team(id),
    };
    let made = control.create_grant(&caller, &id, grantee).await?;
    Ok((StatusCode::CREATED, Json(shown_grant(&made))).into_response())
}

async fn remove_grant(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdsOf(environment, grant): IdsOf<EnvironmentId, GrantId>,
) -> Result<StatusCode, Failure> {
    control.delete_grant(&caller, &environment, &grant).await?;
    Ok(StatusCode::NO_CONTENT)
}
