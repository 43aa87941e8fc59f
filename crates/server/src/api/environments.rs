//! `/api/environments`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{
    Control, EnvironmentChange, EnvironmentView, NewEnvironmentRequest, NewKeyRequest,
};
use bailiwick_model::limits::{NAMESPACE_BYTES, SHORT_ENVIRONMENT_NAME_CHARS};
use bailiwick_model::{Decision, EnvironmentId, Permission, Reason};
use bailiwick_policy::parse_destination;
use bailiwick_wire::{EnvironmentBody, FieldProblem, Schema, networking_json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::keys::{KeyBody, made_schema};
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, JsonObject, Parameters};
use crate::environment_json::ApiEnvironment;
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post};
use crate::v1::cursor::{cursor, page_request};

/// The most of a page.
const MOST: u32 = 1000;

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("environments")
        .add(
            get("list", "/environments", list)
                .says("Environments, the newest first.")
                .needs(P::EnvironmentRead)
                .pages(MOST)
                .takes_archived()
                .lists(ApiEnvironment::schema()),
        )
        .add(
            post("create", "/environments", create)
                .says("Makes an environment.")
                .needs(P::EnvironmentAdmin)
                .takes(Own::create_schema())
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .makes(ApiEnvironment::schema()),
        )
        .add(
            get("retrieve", "/environments/{id}", retrieve)
                .says("One environment.")
                .needs(P::EnvironmentRead)
                .with_etag()
                .answers(ApiEnvironment::schema()),
        )
        .add(
            patch("update", "/environments/{id}", update)
                .says("Changes an environment: what is absent stays.")
                .needs(P::EnvironmentAdmin)
                .takes_version()
                .takes(Own::update_schema())
                .with_etag()
                .answers(ApiEnvironment::schema()),
        )
        .add(
            delete("delete", "/environments/{id}", remove)
                .says("Deletes an environment that nothing refers to.")
                .needs(P::EnvironmentAdmin)
                .fails(StatusCode::CONFLICT)
                .answers_nothing(),
        )
        .add(
            post("archive", "/environments/{id}/archive", archive)
                .says("Makes an environment read-only, and its name free.")
                .needs(P::EnvironmentAdmin)
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .answers(ApiEnvironment::schema()),
        )
        .merge(policy_routes())
}

fn policy_routes() -> Routes {
    use Permission as P;
    let destination = Schema::text().says("`HOST:PORT`, an address with a port, or a URL.");
    Routes::of("environments")
        .add(
            get("policy", "/environments/{id}/policy", policy)
                .says("The policy that holds in an environment, and where it comes from.")
                .needs(P::EnvironmentRead)
                .answers(policy_schema()),
        )
        .add(
            get("explain", "/environments/{id}/explain", explain)
                .says("Whether a destination can be reached, and why.")
                .needs(P::EnvironmentRead)
                .needs_query("destination", destination.example(json!("example.com:443")))
                .answers(Explained::schema()),
        )
        .add(
            post("create_key", "/environments/{id}/keys", create_key)
                .says("Makes a key for the workers of a self-hosted environment. It is shown this once.")
                .needs(P::KeyAdmin)
                .besides(&bailiwick_control::WORKER_PERMISSIONS)
                .takes(KeyBody::schema())
                .fails(StatusCode::CONFLICT)
                .makes(made_schema()),
        )
}

pub(super) fn source_schema() -> Schema {
    let kinds = Schema::words(["environment", "organization_default", "built_in"]);
    Schema::answer()
        .has("kind", kinds)
        .may("name", Schema::text())
        .named("PolicySource")
}

fn policy_schema() -> Schema {
    let floor = Schema::answer()
        .has("denied_hosts", Schema::list(Schema::text()))
        .has("denied_cidrs", Schema::list(Schema::text()));
    Schema::answer()
        .has("source", source_schema())
        .has("networking", EnvironmentBody::networking_schema())
        .has("organization_floor", floor)
        .named("EffectivePolicy")
}

impl Explained<'_> {
    fn schema() -> Schema {
        let reasons = Reason::ALL.iter().map(|reason| reason.code());
        Schema::answer()
            .has("destination", Schema::text())
            .has("verdict", Schema::words(["allow", "deny"]))
            .has("reason", Schema::words(reasons))
            .has("rule", Schema::text().or_null())
            .has("source", source_schema())
            .has("hint", Schema::text().or_null())
            .named("Explanation")
    }
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
    /// The fields of the wire's body, and these.
    fn with(body: Schema) -> Schema {
        let namespace =
            Schema::chars(1..=NAMESPACE_BYTES).matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
        body.may("restricted", Schema::boolean())
            .may_be("namespace", namespace.says("A Kubernetes namespace."))
            .may("inherits_policy", Schema::boolean())
    }

    fn create_schema() -> Schema {
        let name = Schema::chars(1..=SHORT_ENVIRONMENT_NAME_CHARS).matching("\\S");
        Self::with(EnvironmentBody::create_schema().may("name", name))
            .named("NewGovernedEnvironment")
    }

    fn update_schema() -> Schema {
        let name = Schema::chars(1..=SHORT_ENVIRONMENT_NAME_CHARS).matching("\\S");
        Self::with(EnvironmentBody::update_schema().may_be("name", name))
            .named("GovernedEnvironmentChange")
    }
    fn take(body: &mut Map<String, Value>) -> Result<Self, Failure> {
        let long = body
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| name.trim().chars().count() > SHORT_ENVIRONMENT_NAME_CHARS);
        if long {
            return Err(wrong(
                "name",
                &format!("a name has at most {SHORT_ENVIRONMENT_NAME_CHARS} characters"),
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

/// What [`change_of`] takes.
pub(super) fn change_schema() -> Schema {
    Own::update_schema()
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

async fn remove(
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
