//! `/api/model-upstreams`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{
    Control, KeyHeader, NewUpstreamRequest, ServedModel, TokensField, UpstreamChange,
    UpstreamConfig, UpstreamProtocol, UpstreamView,
};
use bailiwick_model::limits::{
    ACCESS_TOKEN_CHARS, CREDENTIAL_URL_CHARS, MODEL_ID_CHARS, MODEL_UPSTREAM_PRIORITY,
    MODEL_UPSTREAM_SECONDS, MODELS_OF_UPSTREAM,
};
use bailiwick_model::{ModelUpstreamId, Permission, SecretText};
use bailiwick_wire::Schema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::environments::version;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, patch, post};

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("model-upstreams")
        .add(
            get("list", "/model-upstreams", list)
                .says("The servers that answer for models, in the order in which they are asked. The last one may be the server's own, which has no id.")
                .needs(P::ModelUpstreamRead)
                .answers(Schema::answer().has("data", Schema::list(shown_schema()))),
        )
        .add(
            post("create", "/model-upstreams", create)
                .says("Adds a server that answers for models. Its key is never shown.")
                .needs(P::ModelUpstreamAdmin)
                .takes(NewBody::schema())
                .fails(StatusCode::CONFLICT)
                .with_etag()
                .makes(shown_schema()),
        )
        .add(
            get("retrieve", "/model-upstreams/{id}", retrieve)
                .says("One server that answers for models.")
                .needs(P::ModelUpstreamRead)
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            patch("update", "/model-upstreams/{id}", update)
                .says("Changes one: what is absent stays. The next request to a model goes by it.")
                .needs(P::ModelUpstreamAdmin)
                .takes_version()
                .takes(ChangeBody::schema())
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/model-upstreams/{id}", remove)
                .says("Deletes one, with its key.")
                .needs(P::ModelUpstreamAdmin)
                .answers_nothing(),
        )
}

/// A name alone, or a name and the upstream's name for it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ModelBody {
    Name(String),
    Mapped(ServedModel),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    protocol: UpstreamProtocol,
    base_url: String,
    models: Vec<ModelBody>,
    priority: Option<i64>,
    key_header: Option<KeyHeader>,
    #[serde(default)]
    max_tokens_field: TokensField,
    #[serde(default)]
    allow_plain_http: bool,
    timeout_seconds: Option<i64>,
    api_key: Option<String>,
}

/// What is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    protocol: Option<UpstreamProtocol>,
    base_url: Option<String>,
    models: Option<Vec<ModelBody>>,
    priority: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    key_header: Option<Option<KeyHeader>>,
    max_tokens_field: Option<TokensField>,
    allow_plain_http: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    timeout_seconds: Option<Option<i64>>,
    #[serde(default, deserialize_with = "present")]
    api_key: Option<Option<String>>,
}

/// `null` is a value of its own.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl From<ModelBody> for ServedModel {
    fn from(body: ModelBody) -> Self {
        match body {
            ModelBody::Name(model) => Self {
                model,
                upstream_model: None,
            },
            ModelBody::Mapped(served) => served,
        }
    }
}

impl From<NewBody> for NewUpstreamRequest {
    fn from(body: NewBody) -> Self {
        Self {
            name: body.name,
            priority: body.priority,
            config: UpstreamConfig {
                protocol: body.protocol,
                base_url: body.base_url,
                models: body.models.into_iter().map(ServedModel::from).collect(),
                key_header: body.key_header,
                max_tokens_field: body.max_tokens_field,
                allow_plain_http: body.allow_plain_http,
                timeout_seconds: body.timeout_seconds,
            },
            api_key: body.api_key.map(SecretText::new),
        }
    }
}

impl From<ChangeBody> for UpstreamChange {
    fn from(body: ChangeBody) -> Self {
        let models = |models: Vec<ModelBody>| models.into_iter().map(ServedModel::from).collect();
        Self {
            name: body.name,
            priority: body.priority,
            protocol: body.protocol,
            base_url: body.base_url,
            models: body.models.map(models),
            key_header: body.key_header,
            max_tokens_field: body.max_tokens_field,
            allow_plain_http: body.allow_plain_http,
            timeout_seconds: body.timeout_seconds,
            api_key: body.api_key.map(|key| key.map(SecretText::new)),
            version: None,
        }
    }
}

fn protocol() -> Schema {
    Schema::words(["anthropic", "openai"])
        .says("The Messages API, or the Chat Completions API.")
        .named("ModelProtocol")
}

fn key_header() -> Schema {
    Schema::words(["x-api-key", "authorization"])
        .says("How the key is shown; null is as the protocol has it.")
        .named("ModelKeyHeader")
}

fn tokens_field() -> Schema {
    Schema::words(["max_tokens", "max_completion_tokens"]).named("MaxTokensField")
}

fn models() -> Schema {
    let name = || Schema::chars(1..=MODEL_ID_CHARS);
    let mapped = Schema::object()
        .needs("model", name())
        .may_be("upstream_model", name());
    let model = Schema::any_of([name(), mapped])
        .says("A model's name, or the beginning of names and `*`; and the upstream's name for it, if that is another one.")
        .named("ServedModelEntry");
    Schema::list_of(1..=MODELS_OF_UPSTREAM, model)
}

fn base_url() -> Schema {
    Schema::chars(1..=CREDENTIAL_URL_CHARS)
        .says("https://HOST[:PORT][/PATH]; what the paths of the API are appended to.")
}

fn priority() -> Schema {
    Schema::number(0..=MODEL_UPSTREAM_PRIORITY).says("The lowest is asked first.")
}

fn seconds() -> Schema {
    Schema::number(1..=MODEL_UPSTREAM_SECONDS)
        .says("How long it may take to begin an answer; null is the usual time.")
}

fn api_key() -> Schema {
    Schema::visible(ACCESS_TOKEN_CHARS).says("It is sealed, and never shown.")
}

impl NewBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("name", Schema::name())
            .needs("protocol", protocol())
            .needs("base_url", base_url())
            .needs("models", models())
            .may_be("priority", priority().otherwise(json!(100)))
            .may_be("key_header", key_header())
            .may("max_tokens_field", tokens_field())
            .may("allow_plain_http", Schema::boolean())
            .may_be("timeout_seconds", seconds())
            .may_be("api_key", api_key())
            .example(json!({
                "name": "main",
                "protocol": "anthropic",
                "base_url": "https://models.example.com",
                "models": ["claude-*", {"model": "fast", "upstream_model": "claude-haiku-4-5"}],
                "api_key": "sk-example",
            }))
            .named("NewModelUpstream")
    }
}

impl ChangeBody {
    fn schema() -> Schema {
        Schema::object()
            .may("name", Schema::name())
            .may("protocol", protocol())
            .may("base_url", base_url())
            .may("models", models())
            .may("priority", priority())
            .may_be("key_header", key_header())
            .may("max_tokens_field", tokens_field())
            .may("allow_plain_http", Schema::boolean())
            .may_be("timeout_seconds", seconds())
            .may_be("api_key", api_key())
            .example(json!({"api_key": "sk-another"}))
            .named("ModelUpstreamChange")
    }
}

fn shown_schema() -> Schema {
    let served = Schema::answer()
        .has("model", Schema::text())
        .has("upstream_model", Schema::text().or_null())
        .named("ServedModel");
    Schema::answer()
        .has("id", Schema::id::<ModelUpstreamId>().or_null())
        .has("name", Schema::text())
        .has("source", Schema::words(["organization", "server"]))
        .has("protocol", protocol())
        .has("base_url", Schema::text().or_null())
        .has("models", Schema::list(served))
        .has("priority", Schema::count().or_null())
        .has("key_header", key_header().or_null())
        .has("max_tokens_field", tokens_field())
        .has("allow_plain_http", Schema::boolean())
        .has("timeout_seconds", Schema::count().or_null())
        .has("has_key", Schema::boolean())
        .has("version", Schema::version().or_null())
        .has("created_at", Schema::moment().or_null())
        .has("updated_at", Schema::moment().or_null())
        .named("ModelUpstream")
}

fn shown(view: &UpstreamView) -> Value {
    let (upstream, config) = (&view.upstream, &view.config);
    json!({
        "id": upstream.id,
        "name": upstream.values.name,
        "source": "organization",
        "protocol": config.protocol,
        "base_url": config.base_url,
        "models": config.models,
        "priority": upstream.values.priority,
        "key_header": config.key_header,
        "max_tokens_field": config.max_tokens_field,
        "allow_plain_http": config.allow_plain_http,
        "timeout_seconds": config.timeout_seconds,
        "has_key": upstream.key.is_some(),
        "version": upstream.version,
        "created_at": upstream.created_at,
        "updated_at": upstream.updated_at,
    })
}

/// The server's own. Where it is is the operator's business, who alone changes it.
fn shown_of_server(has_key: bool) -> Value {
    json!({
        "id": null,
        "name": "server",
        "source": "server",
        "protocol": UpstreamProtocol::Anthropic,
        "base_url": null,
        "models": [{"model": "*", "upstream_model": null}],
        "priority": null,
        "key_header": null,
        "max_tokens_field": TokensField::MaxTokens,
        "allow_plain_http": false,
        "timeout_seconds": null,
        "has_key": has_key,
        "version": null,
        "created_at": null,
        "updated_at": null,
    })
}

fn answer(status: StatusCode, view: &UpstreamView) -> Response {
    let tag = [(ETAG, format!("\"{}\"", view.upstream.version))];
    (status, tag, Json(shown(view))).into_response()
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    let found = control.model_upstreams(&caller).await?;
    let server = found.server.map(|server| shown_of_server(server.has_key));
    let data: Vec<_> = found.own.iter().map(shown).chain(server).collect();
    Ok(Json(json!({"data": data})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<NewBody>,
) -> Result<Response, Failure> {
    let made = control.create_model_upstream(&caller, body.into()).await?;
    Ok(answer(StatusCode::CREATED, &made))
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<ModelUpstreamId>,
) -> Result<Response, Failure> {
    let found = control.model_upstream(&caller, &id).await?;
    Ok(answer(StatusCode::OK, &found))
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<ModelUpstreamId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Response, Failure> {
    let change = UpstreamChange {
        version: version(&headers)?,
        ..body.into()
    };
    let changed = control.update_model_upstream(&caller, &id, change).await?;
    Ok(answer(StatusCode::OK, &changed))
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<ModelUpstreamId>,
) -> Result<StatusCode, Failure> {
    control.delete_model_upstream(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
