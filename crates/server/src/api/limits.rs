//! `/api/limits`: what may be spent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use bailiwick_control::{
    Control, LimitAlertLine, LimitConfig, LimitRequest, LimitState, LimitView, money_or_tokens,
    nano_dollars,
};
use bailiwick_model::limits::{
    LIMIT_NAME_CHARS, LIMIT_THRESHOLD_PERCENT, LIMIT_THRESHOLDS, SPEND_LIMIT_MODELS,
    SPEND_LIMIT_TOKENS,
};
use bailiwick_model::{
    Enforcement, EnvironmentId, LimitAmount, LimitEntity, LimitId, LimitWindow, Permission,
};
use bailiwick_wire::{FieldProblem, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::environments::version;
use super::llm_proxies::{apply_set, models};
use super::numbered::Page;
use crate::authenticated::Authenticated;
use crate::body::{IdOf, JsonBody, Parameters};
use crate::failure::Failure;
use crate::operation::{Routes, delete, get, post, put};

pub(super) fn routes() -> Routes {
    use Permission as P;
    Routes::of("limits")
        .add(
            get("list", "/limits", list)
                .says("All limits, the oldest first, with how much of each is used.")
                .needs(P::LimitRead)
                .answers(Schema::answer().has("data", Schema::list(shown_schema()))),
        )
        .add(
            post("create", "/limits", create)
                .says("Sets a limit. What was spent in its window before counts.")
                .needs(P::LimitAdmin)
                .takes(LimitBody::schema())
                .with_etag()
                .makes(shown_schema()),
        )
        .add(
            get("retrieve", "/limits/{id}", retrieve)
                .says("One limit, with how much of it is used.")
                .needs(P::LimitRead)
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            put("update", "/limits/{id}", update)
                .says("Replaces a limit: requests that are made from then on go by it.")
                .needs(P::LimitAdmin)
                .takes_version()
                .takes(LimitBody::schema())
                .with_etag()
                .answers(shown_schema()),
        )
        .add(
            delete("delete", "/limits/{id}", remove)
                .says("Takes a limit away.")
                .needs(P::LimitAdmin)
                .answers_nothing(),
        )
        .add(
            Page::describe(
                get("alerts", "/limits/alerts", alerts)
                    .says("Thresholds of limits that were passed, the oldest first: each is told once in a window.")
                    .needs(P::LimitRead),
                "Only those after the one with this number.",
            )
            .answers(Alerts::schema()),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertParameters {
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Alerts {
    data: Vec<LimitAlertLine>,
    /// What to ask for with `after`, if there is more.
    next_after: Option<i64>,
}

impl Alerts {
    fn schema() -> Schema {
        let next = Schema::version().or_null();
        Schema::answer()
            .has("data", Schema::list(LimitAlertLine::schema()))
            .has(
                "next_after",
                next.says("`after` of the next request, if there is more."),
            )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitBody {
    entity: LimitEntity,
    environment_id: Option<EnvironmentId>,
    max_cost_usd: Option<String>,
    max_tokens: Option<i64>,
    window: LimitWindow,
    enforcement: Option<Enforcement>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    thresholds: Vec<u16>,
    name: Option<String>,
    apply_set: Option<String>,
}

impl LimitBody {
    fn schema() -> Schema {
        Schema::object()
            .needs("entity", entity())
            .may_be(
                "environment_id",
                Schema::id::<EnvironmentId>().says("Where it counts; null is everywhere."),
            )
            .may_be(
                "max_cost_usd",
                cost().says("Dollars, such as 30 or 0.50; this or max_tokens."),
            )
            .may_be(
                "max_tokens",
                Schema::number(0..=SPEND_LIMIT_TOKENS)
                    .says("Tokens of input and output, cached ones too; this or max_cost_usd."),
            )
            .needs("window", window())
            .may_be("enforcement", enforcement().otherwise(json!("hard")))
            .may("models", models(SPEND_LIMIT_MODELS))
            .may("thresholds", thresholds())
            .may_be("name", Schema::chars(1..=LIMIT_NAME_CHARS))
            .may_be("apply_set", apply_set())
            .example(
                json!({"entity": {"type": "organization"}, "max_cost_usd": "30", "window": "24h"}),
            )
            .named("NewLimit")
    }

    fn amount(&self) -> Result<LimitAmount, Failure> {
        match (&self.max_cost_usd, self.max_tokens) {
            (Some(cost), None) => match nano_dollars(cost) {
                Some(nanos) => Ok(LimitAmount::CostNanos(nanos)),
                None => Err(invalid(
                    "max_cost_usd",
                    "invalid_amount",
                    "is no amount of dollars",
                    "write digits, with up to nine more behind a point, such as 30 or 0.50",
                )),
            },
            (None, Some(tokens)) => Ok(LimitAmount::Tokens(tokens)),
            (Some(_), Some(_)) | (None, None) => Err(invalid(
                "max_cost_usd",
                "one_amount",
                "a limit is of money or of tokens",
                "give max_cost_usd or max_tokens",
            )),
        }
    }

    fn request(self) -> Result<LimitRequest, Failure> {
        let amount = self.amount()?;
        Ok(LimitRequest {
            entity: self.entity,
            environment: self.environment_id,
            config: LimitConfig {
                amount,
                window: self.window,
                enforcement: self.enforcement.unwrap_or(Enforcement::Hard),
                models: self.models,
                thresholds: self.thresholds,
                name: self.name,
                apply_set: self.apply_set,
            },
        })
    }
}

fn invalid(field: &str, code: &'static str, message: &str, help: &str) -> Failure {
    bailiwick_control::ControlError::Invalid(vec![FieldProblem {
        field: field.to_owned(),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }])
    .into()
}

fn entity() -> Schema {
    let of_all = Schema::object().needs("type", Schema::words(["organization", "each_user"]));
    let kinds = [
        "team",
        "user",
        "agent",
        "llm_proxy",
        "virtual_key",
        "environment",
    ];
    let of_one = Schema::object()
        .needs("type", Schema::words(kinds))
        .needs("id", Schema::text());
    Schema::any_of([of_all, of_one])
        .says("Whose spending it holds down. What is for each user is replaced in an environment by that environment's own, and for a user by theirs.")
        .named("LimitEntity")
}

fn cost() -> Schema {
    Schema::text().matching("^[0-9]{1,9}(\\.[0-9]{1,9})?$")
}

fn window() -> Schema {
    Schema::words(LimitWindow::ALL.map(LimitWindow::as_str))
        .says("The last so many hours or days, or a window of the calendar in the organization's time zone.")
        .named("LimitWindow")
}

fn enforcement() -> Schema {
    Schema::words(["hard", "soft"])
        .says("Nothing is asked that could exceed it, or it is only counted.")
        .named("LimitEnforcement")
}

fn thresholds() -> Schema {
    let percent = Schema::number(1..=i64::from(LIMIT_THRESHOLD_PERCENT));
    Schema::list_of(0..=LIMIT_THRESHOLDS, percent)
        .says("How much of it has to be spent for that to be told, in percent, in ascending order.")
}

fn shown_schema() -> Schema {
    let user = Schema::answer()
        .has("user_id", Schema::text())
        .has("spent_usd", Schema::text().or_null())
        .has("spent_tokens", Schema::count().or_null());
    Schema::answer()
        .has("id", Schema::id::<LimitId>())
        .has("entity", entity())
        .has("environment_id", Schema::id::<EnvironmentId>().or_null())
        .has("max_cost_usd", Schema::text().or_null())
        .has("max_tokens", Schema::count().or_null())
        .has("window", window())
        .has("enforcement", enforcement())
        .has("models", Schema::list(Schema::text()))
        .has("thresholds", thresholds())
        .has("name", Schema::text().or_null())
        .has("apply_set", apply_set().or_null())
        .has("spent_usd", Schema::text().or_null())
        .has("spent_tokens", Schema::count().or_null())
        .has("reserved_usd", Schema::text().or_null())
        .has("reserved_tokens", Schema::count().or_null())
        .has("resets_at", Schema::moment().or_null())
        .has("users", Schema::list(user))
        .has("version", Schema::version())
        .has("created_at", Schema::moment())
        .has("updated_at", Schema::moment())
        .named("Limit")
}

fn shown(view: &LimitView, state: &LimitState) -> Value {
    let (limit, config) = (&view.limit, &view.config);
    let of = |number| money_or_tokens(config.amount, number);
    let (most, spent, reserved) = (
        of(config.amount.number()),
        of(state.spent),
        of(state.leased),
    );
    let users = state.users.iter().map(|(user, number)| {
        let (usd, tokens) = of(*number);
        json!({"user_id": user, "spent_usd": usd, "spent_tokens": tokens})
    });
    json!({
        "id": limit.id,
        "entity": limit.values.entity,
        "environment_id": limit.values.environment,
        "max_cost_usd": most.0,
        "max_tokens": most.1,
        "window": config.window,
        "enforcement": config.enforcement,
        "models": config.models,
        "thresholds": config.thresholds,
        "name": config.name,
        "apply_set": config.apply_set,
        "spent_usd": spent.0,
        "spent_tokens": spent.1,
        "reserved_usd": reserved.0,
        "reserved_tokens": reserved.1,
        "resets_at": state.resets_at,
        "users": users.collect::<Vec<_>>(),
        "version": limit.version,
        "created_at": limit.created_at,
        "updated_at": limit.updated_at,
    })
}

async fn answer(
    control: &Control,
    caller: &bailiwick_control::Caller,
    status: StatusCode,
    view: &LimitView,
) -> Result<Response, Failure> {
    let state = control.limit_state(caller, view).await?;
    let tag = [(ETAG, format!("\"{}\"", view.limit.version))];
    Ok((status, tag, Json(shown(view, &state))).into_response())
}

async fn list(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
) -> Result<Response, Failure> {
    let mut data = Vec::new();
    for view in control.limits(&caller).await? {
        let state = control.limit_state(&caller, &view).await?;
        data.push(shown(&view, &state));
    }
    Ok(Json(json!({"data": data})).into_response())
}

async fn create(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<LimitBody>,
) -> Result<Response, Failure> {
    let made = control.create_limit(&caller, body.request()?).await?;
    answer(&control, &caller, StatusCode::CREATED, &made).await
}

async fn retrieve(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LimitId>,
) -> Result<Response, Failure> {
    let found = control.limit(&caller, &id).await?;
    answer(&control, &caller, StatusCode::OK, &found).await
}

async fn update(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LimitId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<LimitBody>,
) -> Result<Response, Failure> {
    let version = version(&headers)?;
    let changed = control.update_limit(&caller, &id, body.request()?, version);
    answer(&control, &caller, StatusCode::OK, &changed.await?).await
}

async fn remove(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    IdOf(id): IdOf<LimitId>,
) -> Result<StatusCode, Failure> {
    control.delete_limit(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn alerts(
    State(control): State<Arc<Control>>,
    Authenticated(caller): Authenticated,
    Parameters(parameters): Parameters<AlertParameters>,
) -> Result<Response, Failure> {
    let page = Page::of(parameters.after, parameters.limit, "an alert")?;
    let found = control.limit_alerts(&caller, page.after, page.wanted());
    let mut data = found.await?;
    let next_after = page.cut(&mut data, |alert| alert.sequence);
    Ok(Json(Alerts { data, next_after }).into_response())
}
