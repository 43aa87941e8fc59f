//! What a scripted model says, and when.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::ModelRequest;

/// A script, from Rust or from JSON:
///
/// ```
/// let script = r#"{"keys": ["sk-test"], "steps": [
///     {"when": {"round": 0}, "times": null, "answer": {"reply": {"pieces": [
///         {"thinking": "Look first."}, {"tool": {"name": "bash", "input": {"command": "ls"}}}]}}},
///     {"answer": {"failure": {"status": 529}}},
///     {"answer": {"reply": {"pieces": [{"text": "Done."}], "pace": {"event_ms": 20}, "fault": {"cut_after": 4}}}}
/// ]}"#;
/// let script: bailiwick_testkit::ModelScript = serde_json::from_str(script).unwrap();
/// assert_eq!(script.steps.len(), 3);
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelScript {
    /// What is said. A request gets the first step that is meant for it, else the first of those for anybody that is left.
    pub steps: Vec<ModelStep>,
    /// The keys that are taken; any if there are none.
    pub keys: Vec<String>,
    /// The models that there are; any if there are none.
    pub models: Vec<String>,
    /// Tokens that a conversation has at most.
    pub context_tokens: Option<u64>,
}

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelStep {
    /// For which request it is.
    #[serde(default)]
    pub when: ModelWhen,
    /// How many requests it is for; as many as come if it is missing.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// What is said.
    pub answer: ModelAnswer,
}

/// For which request a step is.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelWhen {
    /// For the next one.
    #[default]
    Next,
    /// For a conversation in which the model has spoken this often, so that one script serves any number of conversations at once.
    Round(usize),
    /// For one whose body has this text.
    Contains(String),
    /// For one that is all of it.
    All(Vec<ModelWhen>),
    /// For what a test says.
    #[serde(skip)]
    Matches(Arc<dyn Fn(&ModelRequest) -> bool + Send + Sync>),
}

/// What is said.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelAnswer {
    /// A message.
    Reply(ModelReply),
    /// An error in place of one.
    Failure(ModelFailure),
}

/// A message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelReply {
    /// What it is made of.
    pub pieces: Vec<ModelPiece>,
    /// Why it ends: as the pieces have it if it is missing.
    pub stop_reason: Option<String>,
    /// Tokens of output: as the pieces have it if they are missing.
    pub output_tokens: Option<u64>,
    /// How fast it comes.
    pub pace: Pace,
    /// What goes wrong on the way.
    pub fault: Option<ModelFault>,
}

/// A block of a message.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelPiece {
    /// Text.
    Text(String),
    /// Thinking, with a signature.
    Thinking(String),
    /// A call of a tool.
    Tool {
        /// Its name.
        name: String,
        /// Its input.
        input: Value,
        /// Its id; one is made up if it is missing.
        #[serde(default)]
        id: Option<String>,
    },
    /// A block of another kind, which comes whole.
    Block(Value),
}

/// How fast a message comes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Until the head of the answer, in milliseconds.
    pub head_ms: u64,
    /// From the head to the first event.
    pub first_event_ms: u64,
    /// Between two events.
    pub event_ms: u64,
    /// Characters in one delta.
    pub delta_chars: usize,
    /// A ping after every so many events besides the one that is always there; none for 0.
    pub ping_every: usize,
}

/// What goes wrong within a stream.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFault {
    /// The connection breaks after so many events.
    CutAfter(usize),
    /// The stream ends as if it were whole after so many events.
    EndAfter(usize),
    /// Nothing comes any more after so many events, and the connection stays.
    StallAfter(usize),
    /// After so many events comes an event `error`.
    ErrorAfter(usize, ModelFailure),
    /// After so many events come these bytes.
    GarbageAfter(usize, String),
}

/// An error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFailure {
    /// The status; of an event it is not sent.
    pub status: u16,
    /// Its kind; as the status has it if it is missing.
    #[serde(default)]
    pub kind: Option<String>,
    /// What is said about it.
    #[serde(default)]
    pub message: Option<String>,
    /// The header `retry-after`.
    #[serde(default)]
    pub retry_after: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn once() -> Option<u32> {
    Some(1)
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            head_ms: 0,
            first_event_ms: 0,
            event_ms: 0,
            delta_chars: 12,
            ping_every: 0,
        }
    }
}

impl Pace {
    pub(super) fn head(&self) -> Duration {
        Duration::from_millis(self.head_ms)
    }

    pub(super) fn before(&self, event: usize) -> Duration {
        Duration::from_millis(if event == 0 {
            self.first_event_ms
        } else {
            self.event_ms
        })
    }
}

impl ModelScript {
    /// Steps, any key and any model.
    pub fn of(steps: impl IntoIterator<Item = ModelStep>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl ModelStep {
    /// A text, for the next request.
    pub fn text(text: impl Into<String>) -> Self {
        Self::reply([ModelPiece::Text(text.into())])
    }

    /// A call of a tool, for the next request.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::reply([ModelPiece::tool(name, input)])
    }

    /// A message, for the next request.
    pub fn reply(pieces: impl IntoIterator<Item = ModelPiece>) -> Self {
        Self::answer(ModelAnswer::Reply(ModelReply {
            pieces: pieces.into_iter().collect(),
            ..ModelReply::default()
        }))
    }

    /// An error, for the next request.
    pub fn failure(status: u16) -> Self {
        Self::answer(ModelAnswer::Failure(ModelFailure::of(status)))
    }

    /// Any answer, for the next request.
    pub fn answer(answer: ModelAnswer) -> Self {
        Self {
            when: ModelWhen::Next,
            times: Some(1),
            answer,
        }
    }

    /// The same for other requests.
    #[must_use]
    pub fn when(self, when: ModelWhen) -> Self {
        Self { when, ..self }
    }

    /// The same for conversations in which the model has spoken this often.
    #[must_use]
    pub fn in_round(self, round: usize) -> Self {
        self.when(ModelWhen::Round(round)).always()
    }

    /// The same for all requests that it is for, however many.
    #[must_use]
    pub fn always(self) -> Self {
        Self {
            times: None,
            ..self
        }
    }

    /// The same with a fault.
    ///
    /// # Panics
    ///
    /// If it is an error already.
    #[must_use]
    pub fn with_fault(self, fault: ModelFault) -> Self {
        self.change(|reply| reply.fault = Some(fault))
    }

    /// The same at another pace.
    ///
    /// # Panics
    ///
    /// If it is an error.
    #[must_use]
    pub fn at(self, pace: Pace) -> Self {
        self.change(|reply| reply.pace = pace)
    }

    /// The same that ends for another reason.
    ///
    /// # Panics
    ///
    /// If it is an error.
    #[must_use]
    pub fn stopping(self, reason: &str) -> Self {
        self.change(|reply| reply.stop_reason = Some(reason.to_owned()))
    }

    fn change(mut self, change: impl FnOnce(&mut ModelReply)) -> Self {
        match &mut self.answer {
            ModelAnswer::Reply(reply) => change(reply),
            ModelAnswer::Failure(_) => panic!("an error has no stream"),
        }
        self
    }
}

impl ModelPiece {
    /// A call of a tool.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::Tool {
            name: name.into(),
            input,
            id: None,
        }
    }
}

impl ModelFailure {
    /// The error that this status means.
    pub fn of(status: u16) -> Self {
        Self {
            status,
            kind: None,
            message: None,
            retry_after: None,
        }
    }

    pub(super) fn body(&self, request_id: &str) -> Value {
        let (kind, message) = usual(self.status);
        let kind = self.kind.as_deref().unwrap_or(kind);
        let message = self.message.as_deref().unwrap_or(message);
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})
    }

    /// As the Chat Completions API has it.
    pub(super) fn openai_body(&self) -> Value {
        let (kind, message) = usual(self.status);
        let kind = self.kind.as_deref().unwrap_or(kind);
        let message = self.message.as_deref().unwrap_or(message);
        json!({"error": {"type": kind, "code": kind, "message": message, "param": null}})
    }
}

/// The kinds of errors that the API documents.
fn usual(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => (
            "invalid_request_error",
            "There was an issue with your request.",
        ),
        401 => ("authentication_error", "invalid x-api-key"),
        402 => (
            "billing_error",
            "There is an issue with your billing or payment information.",
        ),
        403 => (
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        ),
        404 => ("not_found_error", "Not found"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => (
            "rate_limit_error",
            "This request would exceed your organization's rate limit.",
        ),
        504 => ("timeout_error", "The request timed out."),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    }
}

impl fmt::Debug for ModelWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.write_str("Next"),
            Self::Round(round) => write!(f, "Round({round})"),
            Self::Contains(text) => write!(f, "Contains({text:?})"),
            Self::All(all) => f.debug_tuple("All").field(all).finish(),
            Self::Matches(_) => f.write_str("Matches(…)"),
        }
    }
}

impl ModelWhen {
    /// What a test says. It must not ask the server, which waits for it.
    pub fn matches(says: impl Fn(&ModelRequest) -> bool + Send + Sync + 'static) -> Self {
        Self::Matches(Arc::new(says))
    }

    pub(super) fn is_for_anybody(&self) -> bool {
        matches!(self, Self::Next)
    }

    pub(super) fn is_met(&self, request: &ModelRequest) -> bool {
        match self {
            Self::Next => true,
            Self::Round(round) => request.round() == *round,
            Self::Contains(text) => request.body.to_string().contains(text),
            Self::All(all) => all.iter().all(|when| when.is_met(request)),
            Self::Matches(says) => says(request),
        }
    }
}
