//! What one caller may see of what a gateway serves, and how it is asked.
//!
//! The protocol is the [`Gateway`](crate::Gateway)'s business; who may see what is the view's. A view belongs to one caller: whatever it keeps of
//! what servers listed was listed for that caller.

use std::sync::Arc;

use bailiwick_model::limits::MCP_GATEWAY_NOTICE_BYTES;
use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::McpError;
use crate::news::News;
use crate::raw::Fields;

/// What a caller is served.
pub trait View: Send + Sync + 'static {
    /// What is said to those who begin.
    fn greeting(&self) -> Greeting;

    /// Asks, and gives the result as the protocol has it: one JSON object, which is passed on as it is.
    ///
    /// Whoever does not want the result any more drops the future; [`Talk::cancellation`] tells then whether what was asked for is to be stopped.
    ///
    /// # Errors
    ///
    /// See [`ViewError`].
    fn ask(
        &self,
        request: ViewRequest,
        talk: &Talk,
    ) -> impl Future<Output = Result<Bytes, ViewError>> + Send;

    /// Where it is told what has changed.
    fn news(&self) -> &News;

    /// Listens to whatever the news come from, for as long as what it gives is held.
    fn attend(self: &Arc<Self>) -> impl Send + 'static;

    /// Ends what was begun with servers, for politeness.
    fn end(&self) -> impl Future<Output = ()> + Send;
}

/// What is said to those who begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The name of the gateway, for people.
    pub title: Option<String>,
    /// How a model is to use what is served.
    pub instructions: Option<String>,
}

/// What can be asked. Everything raw is JSON that is well formed and within its bounds, and was not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewRequest {
    /// `tools/list`, from where a cursor says.
    Tools {
        /// Of the page before.
        cursor: Option<String>,
    },
    /// `tools/call`.
    Call {
        /// As it was listed.
        tool: String,
        /// An object, if there are any.
        arguments: Option<Bytes>,
    },
    /// `resources/list`.
    Resources {
        /// Of the page before.
        cursor: Option<String>,
    },
    /// `resources/templates/list`.
    Templates {
        /// Of the page before.
        cursor: Option<String>,
    },
    /// `resources/read`.
    Read {
        /// As it was listed, or made from a template.
        uri: String,
    },
    /// `resources/subscribe`.
    Subscribe {
        /// As for reading.
        uri: String,
    },
    /// `resources/unsubscribe`.
    Unsubscribe {
        /// As for reading.
        uri: String,
    },
    /// `prompts/list`.
    Prompts {
        /// Of the page before.
        cursor: Option<String>,
    },
    /// `prompts/get`.
    Prompt {
        /// As it was listed.
        name: String,
        /// An object, if there are any.
        arguments: Option<Bytes>,
    },
    /// `completion/complete`.
    Complete {
        /// What is completed.
        of: Completed,
        /// Its argument, raw.
        argument: Bytes,
        /// What is known already, raw.
        context: Option<Bytes>,
    },
    /// `logging/setLevel`.
    Level(LogLevel),
}

/// What an argument belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completed {
    /// A prompt of this name.
    Prompt(String),
    /// A template of resources.
    Template(String),
}

/// How severe a message of a log is (RFC 5424, section 6.2.1), the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `notice`
    Notice,
    /// `warning`
    Warning,
    /// `error`
    Error,
    /// `critical`
    Critical,
    /// `alert`
    Alert,
    /// `emergency`
    Emergency,
}

impl LogLevel {
    const ALL: [(Self, &str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// The level of this name.
    pub fn of(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(level, _)| *level)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(level, _)| *level == self);
        found.map_or("info", |(_, name)| name)
    }
}

/// What is told while a result is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `params` of `notifications/progress`, raw, without the token.
    Progress(Bytes),
    /// `params` of `notifications/message`, raw, and how severe it is.
    Log(LogLevel, Bytes),
}

/// What belongs to one request besides what is asked.
#[derive(Debug)]
pub struct Talk {
    notices: Option<mpsc::Sender<Notice>>,
    progress: Progress,
    level: Option<LogLevel>,
    meta: Option<Bytes>,
    cancellation: CancellationToken,
}

/// Whether somebody wants to know how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Yes.
    Wanted,
    /// No.
    Unwanted,
}

impl Talk {
    /// One that hears nothing.
    pub fn silent() -> Self {
        Self {
            notices: None,
            progress: Progress::Unwanted,
            level: None,
            meta: None,
            cancellation: CancellationToken::new(),
        }
    }

    pub(crate) fn new(
        notices: mpsc::Sender<Notice>,
        (progress, level): (Progress, Option<LogLevel>),
        meta: Option<Bytes>,
        cancellation: CancellationToken,
    ) -> Self {
        Self {
            notices: Some(notices),
            progress,
            level,
            meta,
            cancellation,
        }
    }

    /// Whether progress is wanted.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// How severe a message has to be to be told; nothing is told if there is none.
    pub fn level(&self) -> Option<LogLevel> {
        self.level
    }

    /// What the client said besides (`_meta`), raw, without what concerns the gateway.
    pub fn meta(&self) -> Option<&Bytes> {
        self.meta.as_ref()
    }

    /// Whether the client wants what it asked for to be stopped.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Tells something, once there is room for it.
    pub async fn tell(&self, notice: Notice) {
        let is_wanted = match &notice {
            Notice::Progress(_) => self.progress == Progress::Wanted,
            Notice::Log(level, _) => self.level.is_some_and(|least| *level >= least),
        };
        if let (true, Some(notices)) = (is_wanted, &self.notices) {
            // Who is gone hears nothing.
            let _ = notices.send(notice).await;
        }
    }
}

impl Notice {
    /// Reads the parameters of a notification; `None` if it is of another kind, malformed, or longer than is passed on.
    pub(crate) fn of(method: &str, params: &[u8]) -> Option<Self> {
        if params.len() > MCP_GATEWAY_NOTICE_BYTES {
            return None;
        }
        match method {
            "notifications/progress" => {
                let fields = Fields::of(params)?.without(&["progressToken"]);
                Some(Self::Progress(fields.whole().into()))
            }
            "notifications/message" => {
                let level = LogLevel::of(&Fields::of(params)?.text("level")?)?;
                Some(Self::Log(level, Bytes::copy_from_slice(params)))
            }
            _ => None,
        }
    }
}

/// Why there is no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ViewError {
    /// There is no such tool, or not for this caller.
    #[error("unknown tool: {0}")]
    Tool(String),
    /// There is no such prompt, or not for this caller.
    #[error("unknown prompt: {0}")]
    Prompt(String),
    /// There is no such resource, or not for this caller.
    #[error("unknown resource: {0}")]
    Resource(String),
    /// The cursor is none that was given, or its place is gone.
    #[error("the cursor is not known (any more): list from the beginning")]
    Cursor,
    /// Who could answer does not know how.
    #[error("no server behind the gateway does this")]
    NotOffered,
    /// There are as many subscriptions as one may have.
    #[error("there are too many subscriptions")]
    Subscriptions,
    /// A server refused, in these words: an error of JSON-RPC, raw.
    #[error("the server answered with an error")]
    Refused(Bytes),
    /// A server did not answer, or not as it should.
    #[error("the server {server}: {error}")]
    Failed {
        /// Its name in the gateway.
        server: String,
        /// What happened.
        error: Arc<McpError>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_to_be_told_is_not_kept_until_then() {
        let log = |length| format!(r#"{{"level":"info","data":"{}"}}"#, "x".repeat(length));
        let told = |length| Notice::of("notifications/message", log(length).as_bytes());
        assert!(matches!(told(10), Some(Notice::Log(LogLevel::Info, _))));
        assert_eq!(told(MCP_GATEWAY_NOTICE_BYTES), None);
    }
}
