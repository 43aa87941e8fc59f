//! A server's news, while somebody listens to those of the gateway.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_GATEWAY_NEWS_WAIT, MCP_GATEWAY_NEWS_WAIT_MOST, MCP_GATEWAY_SUBSCRIPTIONS,
    MCP_LIST_TIME, MCP_LISTEN_LOOK,
};
use bailiwick_outbound::Body;
use http_body_util::BodyExt as _;
use hyper::{Method, Response};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::answer::{Media, Said, change, media_type};
use super::begin::Agreed;
use super::{Asides, Failure, HeldAccess, Question, Upstream};
use crate::client::McpError;
use crate::events::EventStream;
use crate::news::Change;
use crate::view::Talk;

/// What became of a stream.
enum Ended {
    /// The server has none.
    HasNone,
    /// The server has ended, and another one may have other things.
    Gone,
    /// It is to be opened again at once: under another access, or for other resources.
    Anew,
    /// It broke off, after something had come if that is so.
    BrokeOff { was_open: bool },
}

impl Upstream {
    /// Listens without end. Nothing is begun with a server for this.
    pub(crate) async fn attend<F>(
        &self,
        access: impl Fn() -> F + Send + Sync,
        told: &(dyn Fn(Change) + Send + Sync),
    ) where
        F: Future<Output = Result<HeldAccess, McpError>> + Send,
    {
        let mut known = self.agreed.subscribe();
        let mut wait = MCP_GATEWAY_NEWS_WAIT;
        loop {
            let agreed = known.borrow_and_update().clone();
            let Some(agreed) = agreed else {
                if known.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let ended = tokio::select! {
                ended = self.listen(&access, &agreed, told) => ended,
                // There is another session.
                _ = known.changed() => continue,
            };
            match ended {
                Ended::Anew => continue,
                Ended::HasNone => {
                    if known.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Ended::Gone => {
                    for change in [Change::Tools, Change::Prompts, Change::Resources] {
                        told(change);
                    }
                    if known.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Ended::BrokeOff { was_open: true } => {
                    wait = MCP_GATEWAY_NEWS_WAIT;
                    // Something may have been missed.
                    for change in [Change::Tools, Change::Prompts, Change::Resources] {
                        told(change);
                    }
                }
                Ended::BrokeOff { was_open: false } => {}
            }
            sleep(wait).await;
            wait = (wait * 2).min(MCP_GATEWAY_NEWS_WAIT_MOST);
        }
    }

    /// Lets a server say when a resource has changed, or no more.
    ///
    /// Where there are no sessions that is a part of the stream of news, which is opened anew.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        access: &HeldAccess,
        uri: &str,
        wish: Wish,
    ) -> Result<(), Failure> {
        let agreed = self.agreed(access).await?;
        if agreed.pipes().is_some() && wish == Wish::Untold {
            // Somebody else may still want it: the session is everybody's.
            return Ok(());
        }
        if agreed.has_sessions() {
            let mut fields = br#""uri":"#.to_vec();
            crate::raw::write_text(&mut fields, uri);
            let question = Question {
                method: wish.method(),
                fields: &fields,
                name: None,
            };
            let silent = (&Talk::silent(), &|_: Change| {});
            self.ask(access, &question, (silent.0, silent.1)).await?;
            return Ok(());
        }
        self.subscribed.send_if_modified(|all| match wish {
            Wish::Told if all.len() < MCP_GATEWAY_SUBSCRIPTIONS => all.insert(uri.to_owned()),
            Wish::Told => false,
            Wish::Untold => all.remove(uri),
        });
        Ok(())
    }

    async fn listen<F>(
        &self,
        access: &(impl Fn() -> F + Send + Sync),
        agreed: &Agreed,
        told: &(dyn Fn(Change) + Send + Sync),
    ) -> Ended
    where
        F: Future<Output = Result<HeldAccess, McpError>> + Send,
    {
        const FAILED: Ended = Ended::BrokeOff { was_open: false };
        if let Some(line) = agreed.line() {
            // It ends with what was agreed, which somebody else looks at.
            let mut following = line.follow();
            loop {
                following.next().await.into_iter().for_each(told);
            }
        }
        if let Some(pipes) = agreed.pipes() {
            let mut following = pipes.follow();
            loop {
                tokio::select! {
                    changes = following.next() => changes.into_iter().for_each(told),
                    () = pipes.over() => return Ended::Gone,
                }
            }
        }
        let Ok(held) = access().await else {
            return FAILED;
        };
        let mut subscribed = self.subscribed.subscribe();
        let uris = subscribed.borrow_and_update().clone();
        let opening = timeout(MCP_LIST_TIME, self.open(&held, agreed, &uris));
        let Ok(Ok(answer)) = opening.await else {
            return FAILED;
        };
        match answer.status().as_u16() {
            200 if media_type(&answer) == Media::Events => {}
            200 | 400 | 404 | 405 | 406 | 501 => return Ended::HasNone,
            _ => return FAILED,
        }
        let mut body = answer.into_body();
        let reading = async {
            let reading = self.read_news((&held, agreed), &mut body, told);
            reading.await
        };
        let looking = async {
            // What would not be opened now does not stay open.
            loop {
                sleep(MCP_LISTEN_LOOK).await;
                match access().await {
                    Ok(now) if now.is_same(&held) => {}
                    Ok(_) | Err(_) => return,
                }
            }
        };
        tokio::select! {
            was_open = reading => Ended::BrokeOff { was_open },
            () = looking => Ended::Anew,
            _ = subscribed.changed() => Ended::Anew,
        }
    }

    async fn open(
        &self,
        access: &HeldAccess,
        agreed: &Agreed,
        uris: &BTreeSet<String>,
    ) -> Result<Response<Body>, McpError> {
        let mut headers = agreed.headers().clone();
        if agreed.has_sessions() {
            return self.send(access, Method::GET, headers, Vec::new()).await;
        }
        let wanted = json!({
            "toolsListChanged": true,
            "promptsListChanged": true,
            "resourcesListChanged": true,
            "resourceSubscriptions": uris,
        });
        let fields = format!(r#""notifications":{wanted}"#);
        let question = Question {
            method: "subscriptions/listen",
            fields: fields.as_bytes(),
            name: None,
        };
        question.mirror(&mut headers);
        let message = question.message(self.fresh_id(), agreed, &Talk::silent());
        self.send(access, Method::POST, headers, message).await
    }

    /// Reads to the end; whether anything came.
    async fn read_news(
        &self,
        (access, agreed): (&HeldAccess, &Agreed),
        body: &mut Body,
        told: &(dyn Fn(Change) + Send + Sync),
    ) -> bool {
        let (mut stream, mut asides) = (EventStream::default(), Asides::default());
        let (mut room, mut was_open) = (MCP_ANSWER_BYTES, false);
        let mut asked_last = Instant::now();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            // What comes between two pieces of news is bounded.
            let Some(left) = room.checked_sub(data.len()) else {
                return was_open;
            };
            room = left;
            for event in stream.push(data) {
                was_open = true;
                if event.is_empty() {
                    continue;
                }
                match Said::of(access, event.data.into()) {
                    Ok(Said::Tells { method, params }) => {
                        if let Some(change) = change(&method, &params) {
                            room = MCP_ANSWER_BYTES;
                            told(change);
                        }
                    }
                    Ok(Said::Asks { id, asked }) => {
                        // Who is there all day is asked so all day.
                        if asked_last.elapsed() >= MCP_LISTEN_LOOK {
                            (asides, asked_last) = (Asides::default(), Instant::now());
                        }
                        if let Some(answer) = asides.answer(&id, asked) {
                            self.tell(access, agreed, answer).await;
                        }
                    }
                    Ok(Said::Answer { .. } | Said::Else) => {}
                    Err(_) => return was_open,
                }
            }
        }
        was_open
    }
}

/// Whether somebody wants to know when a resource has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Yes.
    Told,
    /// No more.
    Untold,
}

impl Wish {
    fn method(self) -> &'static str {
        match self {
            Self::Told => "resources/subscribe",
            Self::Untold => "resources/unsubscribe",
        }
    }
}
