//! `/api/environments`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bailiwick_control::{
    Control, EnvironmentChange, EnvironmentView, NewEnvironmentRequest, NewKeyRequest,
};
use bailiwick_model::{Decision, EnvironmentId};
use bailiwick_policy::parse_destination;
use bailiwick_wire::{FieldProblem, networking_json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::keys::KeyBody;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, JsonObject, Parameters};
use crate::environment_json::ApiEnvironment;
use crate::failure::Failure;
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;
/// Names that the console and `kubectl`-like tools can show.
const NAME_CHARS: usize = 50;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/environments", get(list).post(create))
        .route(
            "/environments/{id}",
            get(retrieve).patch(update).delete(delete),
        )
        .route("/environments/{id}/archive", post(archive))
        .route("/environments/{id}/policy", get(policy))
        .route("/environments/{id}/explain", get(explain))
        .route("/environments/{id}/keys", post(create_key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<u32>,
    page: Option<String>,
    #[serde(default)]
    include_archived: bool,
}

#[derive(Serialize)]
struct List<'a> {
    data: Vec<ApiEnvironment<'a>>,
    next_page: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainParameters {
    destination: String,
}

#[derive(Serialize)]
struct Explained<'a> {
    destination: &'a str,
    #[serde(flatten)]
    decision: Decision,
}

/// What the administration's body has besides the wire's, taken out of it.
#[derive(Default)]
struct Own {
    restricted: Option<bool>,
    namespace: Option<Option<String>>,
    inherit_policy: bool,
}

fn shown(status: StatusCode, view: &EnvironmentView) -> Result<Response, Failure> {
    let tag = [(ETAG, format!("\"{}\"", view.environment.version))];
    Ok((status, tag, Json(ApiEnvironment::of(view)?)).into_response())
}

fn wrong(field: &str, message: &str, help: &str) -> Failure {
    let problem = FieldProblem {
        field: field.to_owned(),
        code: "wrong_type",
        message: message.to_owned(),
        help: help.to_owned(),
    };
    bailiwick_control::ControlError::Invalid(vec![problem]).into()
}

impl Own {
    fn take(body: &mut Map<String, Value>) -> Result<Self, Failure> {
        let long = body
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| name.trim().chars().count() > NAME_CHARS);
        if long {
            return Err(wrong(
                "name",
                &format!("a name has at most {NAME_CHARS} characters"),
                "shorten it",
            ));
        }
        let restricted = match body.remove("restricted") {
            None => None,
            Some(Value::Bool(value)) => Some(value),
            Some(_) => {
                return Err(wrong(
                    "restricted",
                    "is true or false",
                    "write `true` or `false`",
                ));
            }
        };
        let namespace = match body.remove("namespace") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(name)) => Some(Some(name)),
            Some(_) => {
                return Err(wrong(
                    "namespace",
                    "is a text or null",
                    "write it in quotes",
                ));
            }
        };
        let inherit_policy = match body.remove("inherits_policy") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                return Err(wrong(
                    "inherits_policy",
                    "is true or false",
                    "write `true` or `false`",
                ));
            }
        };
        Ok(Self {
            restricted,
            namespace,
            inherit_policy,
        })
    }
}

/// The version that `If-Match` names (RFC 9110, section 13.1.1).
pub(super) fn version(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(tag) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let number = tag
        .to_str()
        .ok()
        .and_then(|tag| tag.trim().trim_matches('"').parse().ok());
    number.map(Some).ok_or_else(|| Failure::Parameter {
        field: "If-Match",
        message: "is the ETag of an earlier answer".to_owned(),
    })
}

/// The change that a body and the version in front of it ask for.
pub(super) fn change_of(
    mut body: Map<String, Value>,
    headers: &HeaderMap,
) -> Result<EnvironmentChange, Failure> {
    let own = Own::take(&mut body)?;
    Ok(EnvironmentChange {
        body,
        restricted: own.restricted,
        namespace: own.namespace,
        inherit_policy: own.inherit_policy,
        version: version(headers)?,
    })
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonObject(mut body): JsonObject,
) -> Result<Response, Failure> {
    let own = Own::take(&mut body)?;
    let request = NewEnvironmentRequest {
        body,
        restricted: own.restricted.unwrap_or(false),
        namespace: own.namespace.flatten(),
    };
    shown(
        StatusCode::CREATED,
        &control.create_environment(&caller, request).await?,
    )
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    shown(StatusCode::OK, &control.environment(&caller, &id).await?)
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, Failure> {
    let page = page_request(parameters.limit, MOST, parameters.page.as_deref())?;
    let found = control
        .environments(&caller, &page, parameters.include_archived)
        .await?;
    let list = List {
        data: found
            .items
            .iter()
            .map(ApiEnvironment::of)
            .collect::<Result<_, _>>()?,
        next_page: cursor(found.next.as_ref()),
    };
    Ok(Json(list).into_response())
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let change = change_of(body, &headers)?;
    shown(
        StatusCode::OK,
        &control.update_environment(&caller, &id, change).await?,
    )
}

async fn archive(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    shown(
        StatusCode::OK,
        &control.archive_environment(&caller, &id).await?,
    )
}

async fn delete(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<StatusCode, Failure> {
    control.delete_environment(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn policy(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
) -> Result<Response, Failure> {
    let effective = control.effective_policy(&caller, &id).await?;
    let texts = |list: Vec<String>| json!(list);
    let floor = &effective.floor;
    let answer = json!({
        "source": effective.policy.source,
        "networking": networking_json(&effective.policy.policy),
        "organization_floor": {
            "denied_hosts": texts(floor.denied_hosts.iter().map(ToString::to_string).collect()),
            "denied_cidrs": texts(floor.denied_cidrs.iter().map(ToString::to_string).collect()),
        },
    });
    Ok(Json(answer).into_response())
}

async fn explain(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    Parameters(parameters): Parameters<ExplainParameters>,
) -> Result<Response, Failure> {
    let destination =
        parse_destination(&parameters.destination).map_err(|error| Failure::Parameter {
            field: "destination",
            message: error.to_string(),
        })?;
    let decision = control.explain(&caller, &id, &destination).await?;
    let answer = Explained {
        destination: &parameters.destination,
        decision,
    };
    Ok(Json(answer).into_response())
}

async fn create_key(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<EnvironmentId>,
    JsonBody(body): JsonBody<KeyBody>,
) -> Result<Response, Failure> {
    let request = NewKeyRequest {
        name: body.name,
        expires_at: body.expires_at,
    };
    let made = control
        .create_environment_key(&caller, &id, request)
        .await?;
    Ok((StatusCode::CREATED, Json(super::keys::made_json(&made))).into_response())
}
