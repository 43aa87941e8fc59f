//! `/models`: what a proxy has, and nothing else, put together from what its upstreams say they have.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::http::{HeaderMap, Response};
use bailiwick_control::{Control, ListedUpstream, OpenProxy};
use bailiwick_llm::proxy::{self, Asked, Asks, Endpoint, ListedModel, ProxyBody, Refusal};
use bailiwick_model::limits::{LLM_LISTING_BYTES, LLM_LISTING_TIME};
use http_body_util::{BodyExt as _, Limited};

use super::refused;

/// Of Anthropic; OpenAI has no pages.
const WHOLE: &str = "limit=1000";

/// The list of a proxy, in the form of whose API was asked.
pub(super) async fn list(
    control: &Control,
    open: &OpenProxy,
    (endpoint, headers, asks): (Endpoint, &HeaderMap, &Asks<'_>),
) -> Result<Response<ProxyBody>, Refusal> {
    let upstreams = control.llm_upstreams(open).await.map_err(refused)?;
    let provider = endpoint.provider();
    let (mut models, mut names) = (Vec::new(), BTreeSet::new());
    for upstream in upstreams {
        if !upstream.route.target.has(endpoint) {
            continue;
        }
        let there = has(&upstream, (endpoint, headers, asks)).await;
        // What it is asked for by a name of its own is known also if it does not say.
        let own = upstream.names(&there.unwrap_or_default(), |name| {
            ListedModel::named(name, provider)
        });
        let new = own
            .into_iter()
            .filter(|model| open.serves(&model.id) && names.insert(model.id.clone()));
        models.extend(new);
    }
    Ok(proxy::listing(&models, provider))
}

/// What an upstream says it has; nothing if it says nothing that can be read.
async fn has(
    upstream: &ListedUpstream,
    (endpoint, headers, asks): (Endpoint, &HeaderMap, &Asks<'_>),
) -> Option<Vec<ListedModel>> {
    let asked = Asked {
        endpoint,
        headers,
        query: Some(WHOLE),
        body: &Bytes::new(),
        asks,
    };
    let routes = std::slice::from_ref(&upstream.route);
    let asking = async {
        let answer = proxy::forward(routes, asked, |_| {}).await;
        if !answer.status().is_success() {
            return None;
        }
        let body = Limited::new(answer.into_body(), LLM_LISTING_BYTES);
        let whole = body.collect().await.ok()?.to_bytes();
        proxy::listed(&whole)
    };
    tokio::time::timeout(LLM_LISTING_TIME, asking)
        .await
        .ok()
        .flatten()
}
