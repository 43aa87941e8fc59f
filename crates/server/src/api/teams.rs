//! `/api/teams`, and the grants of environments.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::Control;
use bailiwick_model::{EnvironmentId, GrantId, Permission, TeamId, UserId};
use bailiwick_store::{Grant, Grantee, Team};
use bailiwick_wire::{Schema, example_id};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authenticated::Authenticated;
use crate::body::{IdOf, IdsOf, JsonBody};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post, put};

pub(super) fn routes() -> Routes {
    use Permission as P;
    let list_of = |item| Schema::answer().has("data", Schema::list(item));
    Routes::of("teams")
        .add(
            get("list", "/teams", list)
                .says("All teams.")
                .needs(P::MemberRead)
                .answers(list_of(shown_schema())),
        )
        .add(
            post("create", "/teams", create)
                .says("Makes a team.")
                .needs(P::MemberAdmin)
                .takes(TeamBody::schema())
                .fails(StatusCode::CONFLICT)
                .makes(shown_schema()),
        )
        .add(
            delete("delete", "/teams/{id}", remove)
                .says("Deletes a team, and its grants.")
                .needs(P::MemberAdmin)
                .answers_nothing(),
        )
        .add(
            get("members", "/teams/{id}/members", members)
                .says("The ids of who is in a team.")
                .needs(P::MemberRead)
                .answers(list_of(Schema::id::<UserId>())),
        )
        .add(
            put("add", "/teams/{id}/members/{user}", add)
                .says("Puts a member into a team.")
                .needs(P::MemberAdmin)
                .answers_nothing(),
        )
        .add(
            delete("remove", "/teams/{id}/members/{user}", take_out)
                .says("Takes a member out of a team.")
                .needs(P::MemberAdmin)
                .answers_nothing(),
        )
        .merge(grant_routes())
}

fn grant_routes() -> Routes {
    use Permission as P;
    Routes::of("grants")
        .add(
            get("list", "/environments/{id}/grants", grants)
                .says("Who may deploy to an environment besides those whose role says so.")
                .needs(P::MemberRead)
                .answers(Schema::answer().has("data", Schema::list(grant_schema()))),
        )
        .add(
            post("create", "/environments/{id}/grants", create_grant)
                .says("Lets one member or team deploy to an environment.")
                .needs(P::EnvironmentAdmin)
                .takes(GrantBody::schema())
                .fails(StatusCode::CONFLICT)
                .makes(grant_schema()),
        )
        .add(
            delete("delete", "/environments/{id}/grants/{grant}", remove_grant)
                .says("Takes such a right back.")
                .needs(P::EnvironmentAdmin)
                .answers_nothing(),
        )
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

impl TeamBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .example(json!({"name": "payments"}))
            .named("NewTeam")
    }
}

impl GrantBody {
    fn schema() -> Schema {
        let user = Schema::object().needs("user_id", Schema::id::<UserId>());
        let team = Schema::object().needs("team_id", Schema::id::<TeamId>());
        Schema::any_of([user, team])
            .example(json!({"user_id": example_id::<UserId>()}))
            .named("NewGrant")
    }
}

fn shown_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<TeamId>())
        .has("name", Schema::text())
        .named("Team")
}

fn grant_schema() -> Schema {
    Schema::answer()
        .has("id", Schema::id::<GrantId>())
        .has("environment_id", Schema::id::<EnvironmentId>())
        .has("user_id", Schema::id::<UserId>().or_null())
        .has("team_id", Schema::id::<TeamId>().or_null())
        .named("Grant")
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
