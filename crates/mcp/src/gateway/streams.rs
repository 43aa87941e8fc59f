//! Streams of news: the one of a session (GET), and those that requests of 2026-07-28 ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_model::limits::{
    MCP_GATEWAY_KEEP_ALIVE, MCP_GATEWAY_SUBSCRIPTIONS, MCP_GATEWAY_URI_CHARS,
};
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use hyper::body::Bytes;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::body::{GatewayBody, event, keep_alive};
use super::incoming::Wanted;
use super::outgoing;
use super::session::{Open, Session};
use super::turns::Turn;
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
    (view, turn): (Arc<V>, Turn),
    id: Bytes,
    wanted: Option<&Wanted>,
) -> GatewayBody {
    let wanted = wanted.cloned().unwrap_or_default();
    // From now on, so that nothing is missed while resources are subscribed to.
    let following = view.news().follow();
    let mut subscriptions = Subscriptions {
        view: Arc::clone(&view),
        uris: BTreeSet::new(),
    };
    let uris = wanted.resource_subscriptions.into_iter();
    let uris = uris.filter(|uri| uri.len() <= MCP_GATEWAY_URI_CHARS);
    for uri in uris.take(MCP_GATEWAY_SUBSCRIPTIONS) {
        subscriptions.add(uri).await;
    }
    let listening = Listening {
        following,
        tools: wanted.tools_list_changed,
        prompts: wanted.prompts_list_changed,
        resources: wanted.resources_list_changed,
        subscriptions,
        id,
        _turn: turn,
    };
    let first = event(&outgoing::acknowledged(&listening.id, &listening.told()));
    let begin = (listening, view.attend(), Some(first));
    GatewayBody::events(unfold(begin, async |(mut listening, attending, first)| {
        let events = match first {
            Some(first) => first,
            None => listening.next().await,
        };
        Some((events, (listening, attending, None)))
    }))
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

/// A stream that a request asked for, and what of the news goes on it.
struct Listening<V: View> {
    following: Following,
    tools: bool,
    prompts: bool,
    resources: bool,
    subscriptions: Subscriptions<V>,
    id: Bytes,
    _turn: Turn,
}

/// The resources that a stream tells of, for as long as it is open. The view may be that of other requests too: what its streams subscribe to and
/// leave behind would some day be all that it may.
struct Subscriptions<V: View> {
    view: Arc<V>,
    uris: BTreeSet<String>,
}

impl<V: View> Subscriptions<V> {
    /// One more, if the view takes it.
    async fn add(&mut self, uri: String) {
        if !self.uris.insert(uri.clone()) {
            return;
        }
        // From here on it ends with this, also if nobody waits for the answer any more.
        self.view.news().hold(&uri);
        let subscribe = ViewRequest::Subscribe { uri: uri.clone() };
        let talk = Talk::silent();
        // Of a type that says no more than it must: whoever serves a gateway has this inside many others.
        let subscribing: BoxFuture<'_, _> = Box::pin(self.view.ask(subscribe, &talk));
        if subscribing.await.is_err() {
            self.uris.remove(&uri);
            self.view.news().release(&uri);
        }
    }
}

impl<V: View> Drop for Subscriptions<V> {
    fn drop(&mut self) {
        let uris = std::mem::take(&mut self.uris);
        let last = uris.into_iter().filter(|uri| self.view.news().release(uri));
        let last: Vec<_> = last.collect();
        if last.is_empty() {
            return;
        }
        let view = Arc::clone(&self.view);
        tokio::spawn(async move {
            for uri in last {
                let talk = Talk::silent();
                let unsubscribe = ViewRequest::Unsubscribe { uri: uri.clone() };
                let _ = view.ask(unsubscribe, &talk).await;
                // Another stream may have come meanwhile, and its subscription have been ended.
                if view.news().is_held(&uri) {
                    let _ = view.ask(ViewRequest::Subscribe { uri }, &talk).await;
                }
            }
        });
    }
}

impl<V: View> Listening<V> {
    async fn next(&mut self) -> Bytes {
        let Some(changes) = soon(self.following.next()).await else {
            return keep_alive();
        };
        events(
            changes.iter().filter(|change| self.has(change)),
            Some(&self.id),
        )
    }

    fn has(&self, change: &Change) -> bool {
        match change {
            Change::Tools => self.tools,
            Change::Prompts => self.prompts,
            Change::Resources => self.resources,
            Change::Updated(uri) => self.subscriptions.uris.contains(uri),
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
        let updated = &self.subscriptions.uris;
        if !updated.is_empty() {
            let updated = updated.iter().map(|uri| Value::from(uri.as_str()));
            told.insert("resourceSubscriptions".to_owned(), updated.collect());
        }
        Value::Object(told)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Caller;
    use super::super::turns::Turns;
    use super::*;
    use crate::news::News;
    use crate::view::{Greeting, ViewError};

    /// Takes subscriptions to two resources and no more.
    #[derive(Default)]
    struct Two {
        news: News,
        subscribed: Mutex<BTreeSet<String>>,
    }

    impl View for Two {
        fn greeting(&self) -> Greeting {
            Greeting::default()
        }

        async fn ask(&self, request: ViewRequest, _: &Talk) -> Result<Bytes, ViewError> {
            let mut all = self.subscribed.lock().unwrap();
            if let ViewRequest::Unsubscribe { uri } = &request {
                all.remove(uri);
            }
            if let ViewRequest::Subscribe { uri } = request {
                if all.len() >= 2 && !all.contains(&uri) {
                    return Err(ViewError::Subscriptions);
                }
                all.insert(uri);
            }
            Ok(Bytes::from_static(b"{}"))
        }

        fn news(&self) -> &News {
            &self.news
        }

        fn attend(self: &Arc<Self>) -> impl Send + 'static {}

        async fn end(&self) {}
    }

    async fn listen(view: &Arc<Two>, uris: &[&str]) -> GatewayBody {
        let wanted = Wanted {
            resource_subscriptions: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            ..Wanted::default()
        };
        let turn = Arc::new(Turns::default())
            .take(&Caller::new("ann"))
            .unwrap();
        let id = Bytes::from_static(b"1");
        of_request((Arc::clone(view), turn), id, Some(&wanted)).await
    }

    /// What the view is subscribed to once everything is done that can be.
    async fn subscribed(view: &Two) -> Vec<String> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        view.subscribed.lock().unwrap().iter().cloned().collect()
    }

    #[tokio::test]
    async fn what_a_stream_subscribed_to_ends_with_the_last_stream_that_did() {
        let view = Arc::new(Two::default());
        for _ in 0..2 {
            let one = listen(&view, &["a:1", "a:2", "a:2", "a:3"]).await;
            let two = listen(&view, &["a:1"]).await;
            assert_eq!(subscribed(&view).await, ["a:1", "a:2"]);
            drop(one);
            assert_eq!(subscribed(&view).await, ["a:1"]);
            // There is room again.
            let three = listen(&view, &["a:3"]).await;
            drop(two);
            assert_eq!(subscribed(&view).await, ["a:3"]);
            drop(three);
            assert!(subscribed(&view).await.is_empty());
        }
    }

    #[tokio::test]
    async fn a_stream_that_comes_while_another_ends_keeps_its_subscription() {
        let view = Arc::new(Two::default());
        let one = listen(&view, &["a:1"]).await;
        drop(one);
        let two = listen(&view, &["a:1"]).await;
        assert_eq!(subscribed(&view).await, ["a:1"]);
        drop(two);
        assert!(subscribed(&view).await.is_empty());
    }
}
