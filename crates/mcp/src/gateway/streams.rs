//! Streams of news: the one of a session (GET), and those that requests of 2026-07-28 ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_model::limits::{MCP_GATEWAY_KEEP_ALIVE, MCP_GATEWAY_SUBSCRIPTIONS};
use futures_util::stream::unfold;
use hyper::body::Bytes;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::body::{GatewayBody, event, keep_alive};
use super::incoming::Wanted;
use super::outgoing;
use super::session::{Open, Session};
use crate::news::{Change, Following};
use crate::view::{Talk, View, ViewRequest};

/// What comes, or nothing where nothing happened for a while.
async fn soon<T>(next: impl Future<Output = T>) -> Option<T> {
    timeout(MCP_GATEWAY_KEEP_ALIVE, next).await.ok()
}

/// The stream of a session.
pub(super) fn of_session<V: View>(open: Open<V>) -> GatewayBody {
    let attending = open.session.view.attend();
    let begin = (open, attending, true);
    GatewayBody::events(unfold(begin, async |(mut open, attending, is_new)| {
        // The head goes out with the first piece of the body.
        if is_new {
            return Some((keep_alive(), (open, attending, false)));
        }
        let events = match soon(open.next()).await {
            None => keep_alive(),
            Some(None) => return None,
            Some(Some(changes)) => session_events(&open.session, &changes),
        };
        Some((events, (open, attending, false)))
    }))
}

/// Those changes that a session wants to know of.
pub(super) fn session_events<V>(session: &Session<V>, changes: &[Change]) -> Bytes {
    let wanted = changes.iter().filter(|change| match change {
        Change::Updated(uri) => session.is_subscribed(uri),
        Change::Tools | Change::Prompts | Change::Resources => true,
    });
    events(wanted, None)
}

/// The stream of `subscriptions/listen`: it begins with what of it will come.
pub(super) async fn of_request<V: View>(
    view: Arc<V>,
    id: Bytes,
    wanted: Option<&Wanted>,
) -> GatewayBody {
    let mut filter = Filter::default();
    // From now on, so that nothing is missed while resources are subscribed to.
    let following = view.news().follow();
    let wanted = wanted.cloned().unwrap_or_default();
    filter.tools = wanted.tools_list_changed;
    filter.prompts = wanted.prompts_list_changed;
    filter.resources = wanted.resources_list_changed;
    let uris = wanted.resource_subscriptions.into_iter();
    for uri in uris.take(MCP_GATEWAY_SUBSCRIPTIONS) {
        let subscribe = ViewRequest::Subscribe { uri: uri.clone() };
        if view.ask(subscribe, &Talk::silent()).await.is_ok() {
            filter.updated.insert(uri);
        }
    }
    let first = event(&outgoing::acknowledged(&id, &filter.told()));
    let begin = (following, view.attend(), Some(first));
    GatewayBody::events(unfold(
        begin,
        move |(mut following, attending, first): (Following, _, Option<Bytes>)| {
            let (filter, id) = (filter.clone(), id.clone());
            async move {
                if let Some(first) = first {
                    return Some((first, (following, attending, None)));
                }
                let events = match soon(following.next()).await {
                    None => keep_alive(),
                    Some(changes) => {
                        let wanted = changes.iter().filter(|change| filter.has(change));
                        events(wanted, Some(&id))
                    }
                };
                Some((events, (following, attending, None)))
            }
        },
    ))
}

/// Events of changes; a sign of life where none of them is wanted.
fn events<'a>(changes: impl Iterator<Item = &'a Change>, id: Option<&Bytes>) -> Bytes {
    let mut all = Vec::new();
    for change in changes {
        all.extend_from_slice(&event(&outgoing::change(change, id)));
    }
    if all.is_empty() {
        return keep_alive();
    }
    all.into()
}

/// What of the news goes on a stream.
#[derive(Debug, Clone, Default)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    updated: BTreeSet<String>,
}

impl Filter {
    fn has(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            Change::Updated(uri) => self.updated.contains(uri),
        }
    }

    fn told(&self) -> Value {
        let lists = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ];
        let lists = lists.into_iter().filter(|(_, is_wanted)| *is_wanted);
        let mut told: Map<_, _> = lists
            .map(|(name, _)| (name.to_owned(), Value::Bool(true)))
            .collect();
        if !self.updated.is_empty() {
            let updated = self.updated.iter().map(|uri| Value::from(uri.as_str()));
            told.insert("resourceSubscriptions".to_owned(), updated.collect());
        }
        Value::Object(told)
    }
}
