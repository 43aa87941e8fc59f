//! What sessions become, as the wire tells it.

use bailiwick_model::{Activity, SessionEventType, SessionUsage, StatusEvent, StopReason};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::session::NANOS_PER_CENT;

/// What a session has used, as the wire shows it: every key always there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WireUsage {
    input_tokens: i64,
    output_tokens: i64,
    cache_read_input_tokens: i64,
    cache_creation: CacheCreation,
    list_cost: Option<Cost>,
    active_seconds: f64,
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: i64,
    ephemeral_1h_input_tokens: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Cost {
    amount: String,
    currency: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ServerToolUse {
    web_search_requests: i64,
    web_fetch_requests: i64,
}

/// What there is to tell of a change besides the change itself.
#[derive(Debug, Clone, Copy)]
pub struct StatusFacts<'a> {
    /// What the thread's agent is called.
    pub agent_name: &'a str,
    /// What the session has used.
    pub usage: SessionUsage,
    /// How long it was at work.
    pub activity: Activity,
    /// What it may cost, as it is stored.
    pub budget: Option<&'a str>,
    /// When the change happens.
    pub at: Timestamp,
}

impl WireUsage {
    /// At this moment.
    pub fn of(usage: SessionUsage, activity: Activity, at: Timestamp) -> Self {
        let was_used = usage != SessionUsage::default();
        let cents = usage.list_cost_nanos.saturating_add(NANOS_PER_CENT / 2) / NANOS_PER_CENT;
        let searched = usage.web_searches + usage.web_fetches > 0;
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_input_tokens: usage.cache_read_tokens,
            cache_creation: CacheCreation {
                ephemeral_5m_input_tokens: usage.cache_5m_tokens,
                ephemeral_1h_input_tokens: usage.cache_1h_tokens,
            },
            list_cost: was_used.then(|| Cost {
                amount: cents.to_string(),
                currency: "USD",
            }),
            active_seconds: seconds(activity, at),
            server_tool_use: searched.then_some(ServerToolUse {
                web_search_requests: usage.web_searches,
                web_fetch_requests: usage.web_fetches,
            }),
        }
    }
}

fn seconds(activity: Activity, at: Timestamp) -> f64 {
    activity.micros_at(at) as f64 / 1e6
}

/// `stop_reason` and `stop_details`, as the wire shows them.
pub fn stop_reason_json(reason: &StopReason) -> (Value, Value) {
    let kind = |kind: &str| (json!({"type": kind}), Value::Null);
    match reason {
        StopReason::EndTurn => kind("end_turn"),
        StopReason::RequiresAction(calls) => {
            let reason = json!({"type": "requires_action", "event_ids": calls});
            (reason, Value::Null)
        }
        StopReason::RetriesExhausted => kind("retries_exhausted"),
        StopReason::BudgetReached => kind("budget_reached"),
        StopReason::Refusal(details) => (
            json!({"type": "refusal"}),
            json!({"type": "refusal", "category": details.category, "explanation": details.explanation}),
        ),
    }
}

impl StatusFacts<'_> {
    /// What is stored of a change.
    pub fn tell(&self, change: &StatusEvent) -> (SessionEventType, String) {
        use SessionEventType as T;
        let thread = |id: &_| json!({"session_thread_id": id, "agent_name": self.agent_name});
        let (kind, body) = match change {
            StatusEvent::ThreadRunning(id) => (T::SessionThreadStatusRunning, thread(id)),
            StatusEvent::ThreadIdle(id, reason) => {
                let mut body = thread(id);
                (body["stop_reason"], body["stop_details"]) = stop_reason_json(reason);
                (T::SessionThreadStatusIdle, body)
            }
            StatusEvent::ThreadRescheduled(id) => (T::SessionThreadStatusRescheduled, thread(id)),
            StatusEvent::ThreadTerminated(id) => (T::SessionThreadStatusTerminated, thread(id)),
            StatusEvent::Running => (T::SessionStatusRunning, json!({})),
            StatusEvent::Usage => {
                let budget: Option<Value> =
                    self.budget.and_then(|text| serde_json::from_str(text).ok());
                let usage = WireUsage::of(self.usage, self.activity, self.at);
                (T::SessionUsage, json!({"usage": usage, "budget": budget}))
            }
            StatusEvent::Idle(reason) => {
                let (reason, details) = stop_reason_json(reason);
                let body = json!({"stop_reason": reason, "stop_details": details});
                (T::SessionStatusIdle, body)
            }
            StatusEvent::Rescheduled => (T::SessionStatusRescheduled, json!({})),
            StatusEvent::Terminated => (T::SessionStatusTerminated, json!({})),
        };
        (kind, body.to_string())
    }
}
