//! What can go wrong with an upstream: one variant for each cause that a caller acts on.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::DialError;
use bailiwick_outbound::{OutboundError, Waited};

use crate::{SseError, Untranslatable};

/// Why there is no answer, or not all of it. Its text is this project's own and may be shown to anybody; what the upstream said is in
/// [`UpstreamError::told`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// The upstream has too much to do (529, or 503 where it says so).
    #[error("the model upstream is overloaded")]
    Overloaded {
        /// What it said.
        told: Told,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Too many requests or tokens for this key (429).
    #[error("the model upstream limits the rate of this key")]
    RateLimited {
        /// What it said.
        told: Told,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It could not do it this time (5xx, 408, 409).
    #[error("the model upstream failed ({status})")]
    Server {
        /// The status; 500 for an error within a stream.
        status: u16,
        /// What it said.
        told: Told,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It does not take this request, now or ever (400, 413, 422, …).
    #[error("the model upstream refused the request ({status})")]
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        told: Told,
    },
    /// The conversation is longer than the model's context.
    #[error("the conversation is longer than the model's context")]
    ContextTooLong {
        /// What it said.
        told: Told,
    },
    /// No such model, or no such path (404): the model's name or the base URL is wrong.
    #[error(
        "the model upstream knows no such model or path: check the model's name and the base URL"
    )]
    NotFound {
        /// What it said.
        told: Told,
    },
    /// The key is wrong, or may not do this (401, 403).
    #[error("the model upstream does not accept the key ({status})")]
    Authentication {
        /// The status.
        status: u16,
        /// What it said.
        told: Told,
    },
    /// Nobody has paid (402, or another status where it says so).
    #[error("the account at the model upstream has no credit left")]
    Billing {
        /// What it said.
        told: Told,
    },
    /// It could not be connected to, or may not be: the policy's decision is in it.
    #[error("cannot connect to the model upstream: {0}")]
    Dial(Arc<DialError>),
    /// TLS failed: its certificate is not what it should be, or it speaks none.
    #[error("cannot speak TLS with the model upstream: {0}")]
    Tls(Arc<std::io::Error>),
    /// The connection broke before an answer came, or what came is no HTTP.
    #[error("the connection to the model upstream failed: {0}")]
    Http(Arc<dyn std::error::Error + Send + Sync>),
    /// The answer ended before it was whole.
    #[error("the model upstream's answer was cut off")]
    Cut,
    /// The answer makes no sense.
    #[error("the model upstream's answer makes no sense: {0}")]
    Malformed(#[from] Malformed),
    /// It took too long.
    #[error("the model upstream took too long {0}")]
    Timeout(Phase),
    /// A status that no API of models answers with; a redirection is not followed, since the key would go along.
    #[error(
        "the model upstream answered {status}, which is none of the API's answers: check the base URL"
    )]
    Status {
        /// The status.
        status: u16,
        /// What it said.
        told: Told,
    },
    /// The request has something that this upstream's API has no form for.
    #[error("this model upstream cannot be asked: {0}")]
    Untranslatable(#[from] Untranslatable),
    /// The request is larger than any upstream takes.
    #[error(
        "the request has {bytes} bytes, more than {}",
        bailiwick_model::limits::LLM_REQUEST_BYTES
    )]
    RequestTooLarge {
        /// How many.
        bytes: usize,
    },
}

impl From<OutboundError> for UpstreamError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Dial(error) => Self::Dial(error),
            OutboundError::Tls(error) => Self::Tls(error),
            OutboundError::Http(error) => Self::Http(error),
            OutboundError::Url(error) => Self::Http(Arc::new(error)),
            OutboundError::Timeout(Waited::Connection) => Self::Timeout(Phase::Connect),
            OutboundError::Timeout(Waited::Answer) => Self::Timeout(Phase::FirstByte),
        }
    }
}

/// What an upstream said about an error, for people to read. It is the upstream's text, with the key taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Its word for the kind of error, such as `overloaded_error`.
    pub kind: Option<String>,
    /// Its message; empty where it said nothing that could be read.
    pub message: String,
    /// Its id of the request, to ask it about.
    pub request_id: Option<String>,
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, TLS included.
    Connect,
    /// The first bytes of the answer.
    FirstByte,
    /// More bytes of the answer.
    NextChunk,
    /// The end of the answer.
    Whole,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "to be connected to",
            Self::FirstByte => "to begin its answer",
            Self::NextChunk => "within its answer",
            Self::Whole => "to end its answer",
        })
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no stream of events.
    #[error(transparent)]
    Sse(#[from] SseError),
    /// It has another media type.
    #[error("it is no stream of events but {0:?}")]
    MediaType(String),
    /// An event is no JSON, or JSON of another shape.
    #[error("an event cannot be read: {0}")]
    Json(String),
    /// An event that belongs elsewhere.
    #[error("an event {0} is out of place")]
    OutOfPlace(&'static str),
    /// More than one answer may have.
    #[error("it is larger than an answer may be")]
    TooLarge,
}

impl Malformed {
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

impl UpstreamError {
    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Overloaded { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Http(_)
            | Self::Cut
            | Self::Timeout(_) => true,
            Self::Dial(error) => match **error {
                DialError::Denied(_) => false,
                DialError::NameNotFound | DialError::Unreachable(_) => true,
            },
            Self::Refused { .. }
            | Self::ContextTooLong { .. }
            | Self::NotFound { .. }
            | Self::Authentication { .. }
            | Self::Billing { .. }
            | Self::Tls(_)
            | Self::Malformed(_)
            | Self::Status { .. }
            | Self::Untranslatable(_)
            | Self::RequestTooLarge { .. } => false,
        }
    }

    /// How long the upstream asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::Server { retry_after, .. } => *retry_after,
            Self::Refused { .. }
            | Self::ContextTooLong { .. }
            | Self::NotFound { .. }
            | Self::Authentication { .. }
            | Self::Billing { .. }
            | Self::Dial(_)
            | Self::Tls(_)
            | Self::Http(_)
            | Self::Cut
            | Self::Malformed(_)
            | Self::Timeout(_)
            | Self::Status { .. }
            | Self::Untranslatable(_)
            | Self::RequestTooLarge { .. } => None,
        }
    }

    /// What the upstream itself said.
    pub fn told(&self) -> Option<&Told> {
        match self {
            Self::Overloaded { told, .. }
            | Self::RateLimited { told, .. }
            | Self::Server { told, .. }
            | Self::Refused { told, .. }
            | Self::ContextTooLong { told }
            | Self::NotFound { told }
            | Self::Authentication { told, .. }
            | Self::Billing { told }
            | Self::Status { told, .. } => Some(told),
            Self::Dial(_)
            | Self::Tls(_)
            | Self::Http(_)
            | Self::Cut
            | Self::Malformed(_)
            | Self::Timeout(_)
            | Self::Untranslatable(_)
            | Self::RequestTooLarge { .. } => None,
        }
    }
}
