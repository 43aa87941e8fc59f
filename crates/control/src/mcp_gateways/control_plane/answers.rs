//! What the tools of the control plane answer: of the environment of a gateway, and of no other.

use std::sync::Arc;

use bailiwick_model::limits::CONTROL_PLANE_LISTED;
use bailiwick_model::{EnvironmentId, LimitAmount, LimitEntity, SessionId, Verdict};
use bailiwick_store::{
    FlowFilter, Order, OrderedPageRequest, PageRequest, SessionFilter, UsageFilter, UsageGroup,
};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::tool::Tool;
use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::environments::EnvironmentView;
use crate::error::ControlError;
use crate::limits::LimitView;
use crate::mcp_catalog::{McpEntryView, McpServerConfig};
use crate::names::problem;
use crate::sessions::SessionView;
use crate::spend::dollars;
use crate::usage::UsageBy;

/// Where a tool is asked: in which environment.
type Place<'a> = (&'a Arc<Control>, &'a EnvironmentId);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentArguments {
    environment_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionArguments {
    session_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainArguments {
    destination: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageArguments {
    days: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowArguments {
    after: Option<i64>,
    verdict: Option<Verdict>,
}

/// What a tool answers to its caller.
pub(super) async fn answer(
    place: Place<'_>,
    caller: &Caller,
    (tool, arguments): (Tool, Value),
) -> Result<Value, ControlError> {
    // Each use case asks for its own; this is for whoever adds a tool.
    if let Some(permission) = tool.permission() {
        caller.require(permission)?;
    }
    match tool {
        // They are asked where the gateway is.
        Tool::SearchTools | Tool::SearchKnowledge => Err(ControlError::NotFound("tool")),
        Tool::EnvironmentList => {
            let Nothing {} = read(arguments)?;
            let one = environment(place, caller).await?;
            Ok(json!({"environments": [one]}))
        }
        Tool::EnvironmentGet => {
            let arguments: EnvironmentArguments = read(arguments)?;
            if arguments.environment_id != place.1.to_string() {
                return Err(ControlError::NotFound("environment"));
            }
            environment(place, caller).await
        }
        Tool::Explain => explain(place, caller, &read::<ExplainArguments>(arguments)?).await,
        Tool::CatalogList => {
            let Nothing {} = read(arguments)?;
            let found = place.0.mcp_catalog(caller, Some(place.1), &first()).await?;
            let entries: Vec<_> = found.items.iter().map(entry).collect();
            Ok(json!({"mcp_servers": entries, "has_more": found.next.is_some()}))
        }
        Tool::SessionList => {
            let Nothing {} = read(arguments)?;
            sessions(place, caller).await
        }
        Tool::SessionGet => one_session(place, caller, &read(arguments)?).await,
        Tool::LimitList => {
            let Nothing {} = read(arguments)?;
            limits(place, caller).await
        }
        Tool::Usage => used(place, caller, &read(arguments)?).await,
        Tool::FlowList => flows(place, caller, &read(arguments)?).await,
    }
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ControlError> {
    serde_json::from_value(arguments).map_err(|error| {
        let help = "see the schema of the tool's input";
        problem("arguments", "invalid_arguments", &error.to_string(), help)
    })
}

fn first<I>() -> PageRequest<I> {
    PageRequest {
        before: None,
        limit: CONTROL_PLANE_LISTED,
    }
}

async fn environment(
    (control, environment): Place<'_>,
    caller: &Caller,
) -> Result<Value, ControlError> {
    let EnvironmentView { environment, .. } = control.environment(caller, environment).await?;
    let held = control.effective_policy(caller, &environment.id).await?;
    Ok(json!({
        "id": environment.id,
        "name": environment.values.name,
        "description": environment.values.description,
        "is_default": environment.is_default,
        "restricted": environment.values.restricted,
        "policy": held.policy,
    }))
}

async fn explain(
    (control, environment): Place<'_>,
    caller: &Caller,
    arguments: &ExplainArguments,
) -> Result<Value, ControlError> {
    let destination = bailiwick_policy::parse_destination(&arguments.destination);
    let destination = destination.map_err(|error| {
        let help = "write HOST or HOST:PORT";
        problem(
            "destination",
            "invalid_destination",
            &error.to_string(),
            help,
        )
    })?;
    let decision = control.explain(caller, environment, &destination).await?;
    Ok(json!({
        "destination": destination.to_string(),
        "verdict": decision.verdict,
        "reason": decision.reason,
        "rule": decision.rule,
        "source": decision.source.to_string(),
        "hint": decision.hint,
    }))
}

/// What is stored of a self-hosted one is for who administers it.
fn entry(view: &McpEntryView) -> Value {
    let values = &view.entry.values;
    let (kind, url) = match &view.server {
        McpServerConfig::Remote { url } => ("remote", Some(url)),
        McpServerConfig::SelfHosted(_) => ("self_hosted", None),
    };
    json!({"id": view.entry.id, "name": values.name, "type": kind, "url": url})
}

fn session(view: &SessionView) -> Value {
    let session = &view.session;
    json!({
        "id": session.id,
        "title": session.values.title,
        "status": session.status,
        "agent_id": session.pins.agent,
        "environment_id": session.pins.environment,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "archived_at": session.archived_at,
    })
}

async fn sessions(
    (control, environment): Place<'_>,
    caller: &Caller,
) -> Result<Value, ControlError> {
    let page = OrderedPageRequest {
        order: Order::NewestFirst,
        edge: None,
        limit: CONTROL_PLANE_LISTED,
    };
    let filter = SessionFilter {
        environment: Some(environment.clone()),
        ..SessionFilter::default()
    };
    let found = control.sessions(caller, &page, &filter).await?;
    let all: Vec<_> = found.items.iter().map(session).collect();
    Ok(json!({"sessions": all, "has_more": found.next.is_some()}))
}

async fn one_session(
    (control, environment): Place<'_>,
    caller: &Caller,
    arguments: &SessionArguments,
) -> Result<Value, ControlError> {
    let unknown = || ControlError::NotFound("session");
    let id: SessionId = arguments.session_id.parse().map_err(|_| unknown())?;
    let found = control.session(caller, &id).await?;
    if found.session.pins.environment != *environment {
        return Err(unknown());
    }
    Ok(session(&found))
}

async fn limits((control, environment): Place<'_>, caller: &Caller) -> Result<Value, ControlError> {
    let mut all = Vec::new();
    for view in control.limits(caller).await? {
        let values = &view.limit.values;
        let is_its_own =
            matches!(&values.entity, LimitEntity::Environment(id) if id == environment);
        if is_its_own || values.environment.as_ref() == Some(environment) {
            all.push(limit(control, caller, &view).await?);
        }
    }
    Ok(json!({"limits": all}))
}

async fn limit(
    control: &Control,
    caller: &Caller,
    view: &LimitView,
) -> Result<Value, ControlError> {
    let state = control.limit_state(caller, view).await?;
    let amount = |number: i64| match view.config.amount {
        LimitAmount::CostNanos(_) => json!({"usd": dollars(number)}),
        LimitAmount::Tokens(_) => json!({"tokens": number}),
    };
    Ok(json!({
        "id": view.limit.id,
        "entity": view.limit.values.entity,
        "window": view.config.window,
        "most": amount(view.config.amount.number()),
        "spent": amount(state.spent),
        "resets_at": state.resets_at,
    }))
}

async fn used(
    (control, environment): Place<'_>,
    caller: &Caller,
    arguments: &UsageArguments,
) -> Result<Value, ControlError> {
    let days = arguments.days.unwrap_or(30).clamp(1, 365);
    let until = clock::now();
    let filter = UsageFilter {
        from: until - SignedDuration::from_hours(24 * days),
        until,
        environment: Some(environment.clone()),
        user: None,
        agent: None,
        model: None,
    };
    let by = UsageBy::Group(UsageGroup::Model);
    let sums = control.usage(caller, by, &filter).await?;
    let sums = sums.iter().map(|sum| {
        json!({
            "model": sum.of,
            "requests": sum.requests,
            "tokens": sum.spent.tokens(),
            "usd": dollars(sum.spent.cost_nanos),
        })
    });
    Ok(json!({"days": days, "by_model": sums.collect::<Vec<_>>()}))
}

async fn flows(
    (control, environment): Place<'_>,
    caller: &Caller,
    arguments: &FlowArguments,
) -> Result<Value, ControlError> {
    let filter = FlowFilter {
        session: None,
        environment: Some(environment.clone()),
        verdict: arguments.verdict,
    };
    let after = arguments.after.unwrap_or(0).max(0);
    let found = control.flows(caller, after, CONTROL_PLANE_LISTED, &filter);
    Ok(json!({"flows": found.await?}))
}
