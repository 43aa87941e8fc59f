//! What a session waits for, as far as whoever is attached to it can do something about it. It neither prints nor sends.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::rest::{Rest, Rests};
use super::send::confirmation;

/// Where a conversation stands.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Calls that ask for permission, the oldest first.
    asks: VecDeque<String>,
    rests: Rests,
    /// How the session rests; none while it works.
    rest: Option<Rest>,
    is_interrupted: bool,
}

/// What a line would be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wants<'a> {
    /// The session works; a line would wait.
    Nothing,
    /// Something to do.
    Words,
    /// Whether this call may be made.
    Permission(&'a str),
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            asks: VecDeque::new(),
            rests: Rests::default(),
            rest: Some(Rest::Done),
            is_interrupted: false,
        }
    }
}

impl Conversation {
    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &Value) {
        let named = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let rest = self.rests.note(event);
        match event["type"].as_str().unwrap_or_default() {
            "agent.tool_use" | "agent.mcp_tool_use" if event["evaluated_permission"] == "ask" => {
                self.asks.push_back(named("id"));
            }
            "user.tool_confirmation" | "user.tool_result" | "agent.tool_result" => {
                self.settled(&named("tool_use_id"));
            }
            "agent.mcp_tool_result" => self.settled(&named("mcp_tool_use_id")),
            "user.message" | "session.status_running" => self.rest = None,
            "user.interrupt" => self.asks.clear(),
            _ => {
                if let Some(rest) = rest {
                    self.rest = Some(rest);
                    self.is_interrupted = false;
                    if rest != Rest::Waits {
                        self.asks.clear();
                    }
                }
            }
        }
    }

    fn settled(&mut self, call: &str) {
        self.asks.retain(|asks| asks != call);
    }

    pub(super) fn wants(&self) -> Wants<'_> {
        match (self.asks.front(), self.rest) {
            (Some(call), Some(_)) => Wants::Permission(call),
            (None, Some(_)) => Wants::Words,
            (_, None) => Wants::Nothing,
        }
    }

    pub(super) fn takes_a_line(&self) -> bool {
        self.wants() != Wants::Nothing
    }

    /// How it rests, if it does.
    pub(super) fn rests(&self) -> Option<Rest> {
        self.rest
    }

    /// Whether there is something to interrupt that was not interrupted yet.
    pub(super) fn may_be_interrupted(&self) -> bool {
        let is_busy = self.rest.is_none() || !self.asks.is_empty();
        is_busy && !self.is_interrupted
    }

    pub(super) fn is_interrupted(&mut self) {
        self.is_interrupted = true;
    }

    /// The event that a line is; none if it is no answer to what is asked. The session works from here on, as far as anybody knows.
    pub(super) fn answer(&mut self, line: &str) -> Option<Value> {
        let Wants::Permission(call) = self.wants() else {
            self.rest = None;
            let content = json!([{"type": "text", "text": line}]);
            return Some(json!({"type": "user.message", "content": content}));
        };
        let (word, why) = line.split_once(' ').unwrap_or((line, ""));
        let why = Some(why.trim()).filter(|why| !why.is_empty());
        let event = match word.to_lowercase().as_str() {
            "y" | "yes" if why.is_none() => confirmation(call, true, None),
            "n" | "no" => confirmation(call, false, why),
            _ => return None,
        };
        self.asks.pop_front();
        if self.asks.is_empty() {
            self.rest = None;
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[Value]) -> Conversation {
        let mut conversation = Conversation::default();
        for event in events {
            conversation.note(event);
        }
        conversation
    }

    fn asks(id: &str) -> Value {
        json!({"type": "agent.tool_use", "id": id, "evaluated_permission": "ask"})
    }

    fn idle(reason: &str) -> Value {
        json!({"type": "session.status_idle", "stop_reason": {"type": reason}})
    }

    #[test]
    fn a_line_is_what_the_session_waits_for() {
        let message = json!({"type": "user.message"});
        assert_eq!(after(&[]).wants(), Wants::Words);
        assert_eq!(
            after(std::slice::from_ref(&message)).wants(),
            Wants::Nothing
        );
        assert_eq!(
            after(&[message.clone(), idle("end_turn")]).wants(),
            Wants::Words
        );
        let asked = [message, asks("a"), asks("b"), idle("requires_action")];
        let mut conversation = after(&asked);
        assert_eq!(conversation.wants(), Wants::Permission("a"));
        assert_eq!(conversation.answer("perhaps"), None);
        assert_eq!(conversation.answer("yes but"), None);
        assert_eq!(conversation.answer("y").unwrap()["result"], "allow");
        assert_eq!(conversation.wants(), Wants::Permission("b"));
        let denied = conversation.answer("n not today").unwrap();
        assert_eq!(denied["deny_message"], "not today");
        assert_eq!(denied["tool_use_id"], "b");
        assert_eq!(conversation.wants(), Wants::Nothing);
    }

    #[test]
    fn what_was_answered_elsewhere_is_not_asked_again() {
        let confirmed = json!({"type": "user.tool_confirmation", "tool_use_id": "a"});
        let waits = idle("requires_action");
        assert_eq!(
            after(&[asks("a"), waits.clone(), confirmed]).wants(),
            Wants::Words
        );
        let interrupted = json!({"type": "user.interrupt"});
        assert_eq!(
            after(&[asks("a"), waits, interrupted]).wants(),
            Wants::Words
        );
    }

    #[test]
    fn the_second_interrupt_leaves() {
        let mut conversation = after(&[json!({"type": "session.status_running"})]);
        assert!(conversation.may_be_interrupted());
        conversation.is_interrupted();
        assert!(!conversation.may_be_interrupted());
        conversation.note(&idle("end_turn"));
        assert!(!conversation.may_be_interrupted());
        conversation.note(&json!({"type": "session.status_running"}));
        assert!(conversation.may_be_interrupted());
    }
}
