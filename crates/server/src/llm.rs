//! `/llm/{proxy}/anthropic` and `/llm/{proxy}/openai`: the APIs of providers, through a proxy of an environment.
//!
//! Errors have the form of the provider whose API was asked, so that its SDKs read them.

mod listing;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use bailiwick_control::{
    Control, ControlError, LimitReached, NoModelRoute, OpenProxy, Outcome, Reservation, SpendError,
    SpendRequest,
};
use bailiwick_llm::NanoDollars;
use bailiwick_llm::proxy::{
    self, Asked, Asks, Endpoint, Left, Provider, ProxyBody, Refusal, SettledAs, Settlement,
};
use bailiwick_model::limits::LLM_REQUEST_BYTES;
use bailiwick_model::{LimitAmount, UsageKind};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::authenticated;
use crate::failure::Failure;
use crate::front::{self, Told};

/// How long a request's body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Its routes. Each endpoint of a provider is at the path at which the provider has it.
pub(crate) fn router() -> Router<Arc<Control>> {
    let mut router = Router::new();
    for endpoint in Endpoint::ALL {
        let path = format!("/llm/{{proxy}}{}", path(endpoint));
        router = router.route(
            &path,
            handler(endpoint).fallback(Told(nowhere(endpoint.provider()))),
        );
    }
    for (provider, begin) in [
        (Provider::Anthropic, "/llm/{proxy}/anthropic"),
        (Provider::OpenAi, "/llm/{proxy}/openai"),
    ] {
        for path in [
            begin.to_owned(),
            format!("{begin}/"),
            format!("{begin}/{{*rest}}"),
        ] {
            router = router.route(&path, any(Told(nowhere(provider))));
        }
    }
    router
}

/// What a provider's API does not have here, in the provider's own words.
fn nowhere(
    provider: Provider,
) -> impl Fn() -> std::future::Ready<Response> + Clone + Send + Sync + 'static {
    move || std::future::ready(written(Refusal::UnknownPath.response(provider)))
}

/// Where SDKs look for an endpoint: Anthropic's have a base without a version, OpenAI's one with it.
fn path(endpoint: Endpoint) -> String {
    match endpoint.provider() {
        Provider::Anthropic => format!("/anthropic/{}", endpoint.path()),
        Provider::OpenAi => format!("/openai/v1/{}", endpoint.path()),
    }
}

fn handler(endpoint: Endpoint) -> MethodRouter<Arc<Control>> {
    let answer = move |State(control): State<Arc<Control>>,
                       Path(proxy): Path<String>,
                       request: Request| async move {
        match answer(&control, endpoint, &proxy, request).await {
            Ok(response) => written(response),
            Err(refusal) => written(refusal.response(endpoint.provider())),
        }
    };
    if endpoint.has_body() {
        post(Told(answer))
    } else {
        get(Told(answer))
    }
}

fn written(response: axum::http::Response<ProxyBody>) -> Response {
    response.map(Body::new)
}

async fn answer(
    control: &Arc<Control>,
    endpoint: Endpoint,
    reference: &str,
    request: Request,
) -> Result<axum::http::Response<ProxyBody>, Refusal> {
    let (parts, body) = request.into_parts();
    let caller = authenticated::key_caller(&parts, control).await;
    let caller = caller.map_err(refused)?;
    front::Asked::of(&parts.extensions).is_of(caller.organization());
    let open = control.open_llm_proxy(&caller, reference).await;
    let open = open.map_err(refused)?;
    let body = whole(body).await?;
    let mut asks = proxy::read(endpoint, &body)?;
    asks.heed(&parts.headers);
    if endpoint.is_list() {
        let asked = (endpoint, &parts.headers, &asks);
        return listing::list(control, &open, asked).await;
    }
    let foreign = control.foreign_tool(&open, asks.client_tools()).await;
    if let Some(tool) = foreign.map_err(refused)? {
        return Err(Refusal::ForeignTool(tool));
    }
    if let Some(why) = open.denied_reach(&asks, &body)? {
        return Err(Refusal::Forbidden(why));
    }
    let routes = match control.llm_routes(&open, asks.model_name()).await {
        Ok(routes) => routes,
        Err(NoModelRoute::NotServed(model)) => return Err(Refusal::UnknownModel(model)),
        Err(NoModelRoute::Control(error)) => return Err(refused(error)),
    };
    let asked = Asked {
        endpoint,
        headers: &parts.headers,
        query: parts.uri.query(),
        body: &body,
        asks: &asks,
    };
    if !endpoint.costs() {
        return Ok(proxy::forward(&routes.routes, asked, |_| {}).await);
    }
    let reservation = reserve(control, open, &asks, &routes.candidates).await?;
    let settle = move |settlement: Settlement| settle(reservation, settlement);
    Ok(proxy::forward(&routes.routes, asked, settle).await)
}

async fn whole(body: Body) -> Result<Bytes, Refusal> {
    let arriving = Limited::new(body, LLM_REQUEST_BYTES).collect();
    match tokio::time::timeout(PATIENCE, arriving).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        // Nobody is there to read it.
        Ok(Err(_)) | Err(_) => Err(Refusal::Incomplete),
    }
}

/// Reserves what the request can take at most, on every limit that holds for who asks.
async fn reserve(
    control: &Control,
    open: OpenProxy,
    asks: &Asks<'_>,
    candidates: &[bailiwick_control::Candidate],
) -> Result<Reservation, Refusal> {
    let request = SpendRequest {
        organization: open.organization().clone(),
        spender: open.spender,
        model: asks.model_name().to_owned(),
        candidates: candidates.to_vec(),
        surcharge: asks.surcharge,
    };
    let reserved = control.ledger().reserve(request, |price| asks.worst(price));
    reserved.await.map_err(|error| match error {
        SpendError::Reached(reached) => Refusal::Limit(limit(&reached)),
        refused @ (SpendError::NoPrice { .. } | SpendError::Surcharge { .. }) => {
            Refusal::Forbidden(refused.to_string())
        }
        error @ (SpendError::Unavailable(_) | SpendError::Journal(_) | SpendError::Behind) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "nothing can be reserved"
            );
            Refusal::Undecided
        }
    })
}

fn limit(reached: &LimitReached) -> proxy::LimitReached {
    let of = |number| match reached.amount {
        LimitAmount::CostNanos(_) => Left::NanoDollars(NanoDollars(number)),
        LimitAmount::Tokens(_) => Left::Tokens(number),
    };
    proxy::LimitReached {
        limit: reached.name(),
        window: reached.window.to_string(),
        left: of(reached.left.max(0)),
        needed: of(reached.needed),
        resets_at: reached.resets_at.map(|at| at.to_string()),
    }
}

fn settle(reservation: Reservation, settlement: Settlement) {
    let kind = match settlement.kind {
        SettledAs::Told | SettledAs::Nothing => UsageKind::Told,
        SettledAs::Streamed => UsageKind::Streamed,
        // Dropped, it counts as its worst case.
        SettledAs::Unknown => return,
    };
    reservation.settle(Outcome {
        kind,
        candidate: settlement.upstream_index.unwrap_or(0),
        usage: settlement.usage,
        status: settlement.status,
    });
}

/// In the words of a provider. What is not for clients is in the log.
fn refused(error: ControlError) -> Refusal {
    let failure = Failure::from(error);
    match failure.status() {
        StatusCode::UNAUTHORIZED => Refusal::Unauthenticated,
        StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => Refusal::Forbidden(failure.to_string()),
        StatusCode::NOT_FOUND => Refusal::UnknownPath,
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = failure.retry_after().unwrap_or(1);
            Refusal::Busy {
                retry_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            }
        }
        _ => {
            tracing::error!(
                error = &failure as &dyn std::error::Error,
                "a request through a proxy failed"
            );
            Refusal::Undecided
        }
    }
}
