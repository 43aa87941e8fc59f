//! Answers of the proxy's own, in the shape of the provider whose API was asked, so that its SDKs read them.

use bailiwick_model::limits::LLM_REQUEST_BYTES;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::{NotARequest, Provider, ProxyBody};
use crate::{NanoDollars, Phase};

/// The code of a limit that is reached.
pub const LIMIT_CODE: &str = "token_cost_limit_exceeded";

/// Why a request is not passed on, or has no answer of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody is known by what the request shows (401).
    #[error("the key is missing or not known here: use one of this proxy")]
    Unauthenticated,
    /// Somebody is known, who may not do this (403). The text says what and why.
    #[error("{0}")]
    Forbidden(String),
    /// It defines a tool of the registry that belongs to another environment (403).
    #[error(
        "tools: {0:?} belongs to another environment than this proxy's: leave it out, or ask through a proxy of that environment"
    )]
    ForeignTool(String),
    /// There is no such model, or no upstream has it (404).
    #[error("model: {0:?} is not one of this proxy's models")]
    UnknownModel(String),
    /// There is no such proxy, or it has no such path (404).
    #[error("there is no such proxy, or it has no such path")]
    UnknownPath,
    /// The body is none that can be passed on (400, or 413).
    #[error("{0}")]
    Request(#[from] NotARequest),
    /// The body has more bytes than are read (413).
    #[error("the request has more than {LLM_REQUEST_BYTES} bytes")]
    TooLarge,
    /// The body did not arrive whole in time (408).
    #[error("the request's body did not arrive whole")]
    Incomplete,
    /// Money or tokens are used up (402).
    #[error("{0}")]
    Limit(LimitReached),
    /// Too much at once (429).
    #[error("too many requests at once: try again in {retry_seconds} s")]
    Busy {
        /// After so many seconds there may be room.
        retry_seconds: u32,
    },
    /// What decides cannot be read, and is not guessed (503).
    #[error("limits cannot be checked at the moment, so nothing is passed on")]
    Undecided,
    /// No upstream could be connected to (502). Which, and why, is in the proxy's log.
    #[error("no model upstream can be reached")]
    Unreachable,
    /// The egress policy of the proxy's environment does not let any upstream be reached (502).
    #[error(
        "no model upstream may be reached from here: the environment's egress policy denies it"
    )]
    Denied,
    /// The upstream's connection broke, or what it said was no answer (502).
    #[error("the model upstream's answer makes no sense, or its connection broke")]
    Broken,
    /// The upstream took too long (504).
    #[error("the model upstream took too long {0}")]
    TimedOut(Phase),
}

/// A limit that the request would exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitReached {
    /// What the limit is called, and of whom or what it is.
    pub limit: String,
    /// Over which time it is counted, such as `24h` or `month`.
    pub window: String,
    /// What is left of it.
    pub left: Left,
    /// What the request may take at most.
    pub needed: Left,
    /// When all of it is there again, if that is at once.
    pub resets_at: Option<String>,
}

/// An amount of what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// Billionths of a dollar.
    NanoDollars(NanoDollars),
    /// Tokens.
    Tokens(i64),
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NanoDollars(NanoDollars(nano)) => {
                let micro = nano / 1000;
                let sign = if micro < 0 { "-" } else { "" };
                let micro = micro.unsigned_abs();
                write!(f, "{sign}${}.{:06}", micro / 1_000_000, micro % 1_000_000)
            }
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
        }
    }
}

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the limit {:?} is reached: {} is left of it in its window ({}), and this request may take {}. Ask for a shorter answer, or whoever administers this proxy for a higher limit",
            self.limit, self.left, self.window, self.needed
        )
    }
}

/// How a provider's API calls a cause.
struct Words {
    status: StatusCode,
    /// The Messages API's type.
    anthropic: &'static str,
    /// OpenAI's type.
    openai: &'static str,
    /// OpenAI's code; the proxy's own where OpenAI has none.
    code: &'static str,
    /// What of the request it is about.
    param: Option<&'static str>,
    /// What the SDKs go by, where the status alone would mislead them.
    should_retry: Option<bool>,
}

impl Refusal {
    /// The answer for a client of this provider's API.
    pub fn response(&self, provider: Provider) -> Response<ProxyBody> {
        let words = self.words();
        let mut response = Response::new(ProxyBody::own(self.body(&words, provider)));
        *response.status_mut() = words.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        if let Some(retry) = words.should_retry {
            let retry = HeaderValue::from_static(if retry { "true" } else { "false" });
            headers.insert(HeaderName::from_static("x-should-retry"), retry);
        }
        if let Self::Busy { retry_seconds } = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(*retry_seconds));
        }
        response
    }

    /// The status of that answer.
    pub fn status(&self) -> StatusCode {
        self.words().status
    }

    fn body(&self, words: &Words, provider: Provider) -> Vec<u8> {
        let (kind, outer) = match provider {
            Provider::Anthropic => (words.anthropic, Some("error")),
            Provider::OpenAi => (words.openai, None),
        };
        let body = Body {
            kind: outer,
            error: Inner {
                kind,
                code: words.code,
                message: self.to_string(),
                param: words.param,
                limit: match self {
                    Self::Limit(limit) => Some(limit),
                    Self::Unauthenticated
                    | Self::Forbidden(_)
                    | Self::ForeignTool(_)
                    | Self::UnknownModel(_)
                    | Self::UnknownPath
                    | Self::Request(_)
                    | Self::TooLarge
                    | Self::Incomplete
                    | Self::Busy { .. }
                    | Self::Undecided
                    | Self::Unreachable
                    | Self::Denied
                    | Self::Broken
                    | Self::TimedOut(_) => None,
                },
            },
        };
        serde_json::to_vec(&body).expect("texts and numbers can be written as JSON")
    }

    fn words(&self) -> Words {
        let invalid = |status, code| {
            let kind = "invalid_request_error";
            Words::of(status, (kind, kind), code)
        };
        match self {
            Self::Unauthenticated => Words::of(
                StatusCode::UNAUTHORIZED,
                ("authentication_error", "invalid_request_error"),
                "invalid_api_key",
            ),
            Self::Forbidden(_) => Words::of(
                StatusCode::FORBIDDEN,
                ("permission_error", "invalid_request_error"),
                "permission_denied",
            ),
            Self::ForeignTool(_) => Words {
                param: Some("tools"),
                ..Words::of(
                    StatusCode::FORBIDDEN,
                    ("permission_error", "invalid_request_error"),
                    "tool_of_another_environment",
                )
            },
            Self::UnknownModel(_) => Words {
                param: Some("model"),
                anthropic: "not_found_error",
                ..invalid(StatusCode::NOT_FOUND, "model_not_found")
            },
            Self::UnknownPath => Words {
                anthropic: "not_found_error",
                ..invalid(StatusCode::NOT_FOUND, "unknown_url")
            },
            Self::TooLarge | Self::Request(NotARequest::TooLarge { .. }) => Words {
                anthropic: "request_too_large",
                ..invalid(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large")
            },
            Self::Request(_) => invalid(StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Incomplete => invalid(StatusCode::REQUEST_TIMEOUT, "request_incomplete"),
            Self::Limit(_) => Words {
                should_retry: Some(false),
                ..Words::of(
                    StatusCode::PAYMENT_REQUIRED,
                    ("billing_error", "insufficient_quota"),
                    LIMIT_CODE,
                )
            },
            Self::Busy { .. } => Words::of(
                StatusCode::TOO_MANY_REQUESTS,
                ("rate_limit_error", "requests"),
                "rate_limit_exceeded",
            ),
            Self::Undecided => Words::of_server(503, "limits_unavailable"),
            Self::Unreachable => Words::of_server(502, "upstream_unreachable"),
            Self::Denied => Words {
                should_retry: Some(false),
                ..Words::of_server(502, "upstream_denied")
            },
            Self::Broken => Words::of_server(502, "upstream_broken"),
            Self::TimedOut(_) => Words {
                anthropic: "timeout_error",
                ..Words::of_server(504, "upstream_timeout")
            },
        }
    }
}

impl Words {
    fn of(
        status: StatusCode,
        (anthropic, openai): (&'static str, &'static str),
        code: &'static str,
    ) -> Self {
        Self {
            status,
            anthropic,
            openai,
            code,
            param: None,
            should_retry: None,
        }
    }

    /// What is not the client's fault.
    fn of_server(status: u16, code: &'static str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::of(status, ("api_error", "server_error"), code)
    }
}

/// `{"type": "error", "error": {…}}` of Anthropic, `{"error": {…}}` of OpenAI.
#[derive(Serialize)]
struct Body<'r> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    error: Inner<'r>,
}

#[derive(Serialize)]
struct Inner<'r> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    message: String,
    param: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'r LimitReached>,
}
