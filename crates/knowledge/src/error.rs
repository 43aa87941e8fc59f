//! What can go wrong, in words for whoever keeps a connector.

use std::io;

use bailiwick_dial::DialError;
use bailiwick_fetch::FetchError;
use bailiwick_model::Decision;
use bailiwick_model::limits::{
    KNOWLEDGE_API_PAGES, KNOWLEDGE_DOCUMENT_TIME, KNOWLEDGE_DOCUMENTS, KNOWLEDGE_FILES,
    KNOWLEDGE_REDIRECTS, KNOWLEDGE_REQUEST_TIME, KNOWLEDGE_SYNC_TIME,
};
use bailiwick_outbound::{HttpUrl, OutboundError};
use jiff::Timestamp;

use crate::extract::ExtractError;
use crate::git::CheckoutError;
use crate::sync::SinkError;

/// Why a request has no answer. Each names the host that was asked.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Something named a place that cannot be asked over HTTP.
    #[error("{0:?} is no address that can be asked over HTTP")]
    Address(String),
    /// The egress policy denies the host, or an address that it resolved to.
    #[error("{host} is denied ({}) by the policy of {}{}", .decision.reason, .decision.source, hint(.decision))]
    Denied {
        /// The host.
        host: String,
        /// What the policy said.
        decision: Box<Decision>,
    },
    /// The name does not resolve, or nobody answers.
    #[error("{host} could not be reached: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// TLS failed: above all, the certificate is not one for this name that is trusted.
    #[error("{host} could not be trusted: {why}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// What came is no HTTP, or ended before it was whole.
    #[error("the answer of {host} is no HTTP, or ended early: {why}")]
    Http {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// It took longer than [`KNOWLEDGE_REQUEST_TIME`].
    #[error("{host} gave no whole answer in {} s", KNOWLEDGE_REQUEST_TIME.as_secs())]
    Timeout {
        /// The host.
        host: String,
    },
    /// The body is larger than is read, as it came or unpacked.
    #[error("the answer of {host} has more than {most_bytes} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// How many it may have.
        most_bytes: usize,
    },
    /// The body has a content encoding that was not offered, or is not what it says.
    #[error("the content encoding of the answer of {host} cannot be taken off")]
    Encoding {
        /// The host.
        host: String,
    },
    /// One redirection after another.
    #[error("{host} redirects more than {} times", KNOWLEDGE_REDIRECTS)]
    Redirects {
        /// The host that was asked first.
        host: String,
    },
    /// A redirection leads away from the source, and is not followed.
    #[error("{host} redirects to {to}, which is no part of the source")]
    Elsewhere {
        /// The host that was asked.
        host: String,
        /// Where it leads.
        to: String,
    },
}

/// Why one document is not read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The answer is none that is of use.
    #[error("{host} answered with status {status}")]
    Status {
        /// The host.
        host: String,
        /// The status of HTTP.
        status: u16,
    },
    /// An API said something that it should not.
    #[error("{host} did not say what its API promises: {why}")]
    Malformed {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// It has more bytes than are read.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// It redirects, together with others, to one page that is none of them.
    #[error("it redirects to {to}, as other documents do; what was known of it stays")]
    Redirected {
        /// Where they lead.
        to: String,
    },
    /// No text can be made of it.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// It is there and cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It took longer than [`KNOWLEDGE_DOCUMENT_TIME`].
    #[error("it was not read within {} s", KNOWLEDGE_DOCUMENT_TIME.as_secs())]
    Timeout,
}

/// Why a document that is there is left out. No error: nobody has to do anything about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// It is no text, such as a picture.
    #[error("it is no text")]
    Binary,
    /// It is no regular file.
    #[error("it is no file")]
    NotAFile,
    /// It is a symbolic link; what it leads to has a name of its own, if it is below.
    #[error("it is a link, and links are not followed")]
    Link,
    /// It asks not to be found (`noindex`).
    #[error("it asks not to be found")]
    NoIndex,
    /// The site's `robots.txt` asks not to read it.
    #[error("the site's robots.txt asks not to read it")]
    Robots,
    /// It says that it is another document of the same source.
    #[error("it is the same as {0}")]
    SameAs(String),
    /// It leads to a place that is no part of the source.
    #[error("it leads to {0}, which is no part of the source")]
    Elsewhere(String),
    /// It is empty.
    #[error("it says nothing")]
    Empty,
}

/// Why a sync ended before its end. What was told before holds.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A request that everything depends on has no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The source does not know who asks, or not any more.
    #[error("{host} does not take the credential (status 401)")]
    Unauthorized {
        /// The host.
        host: String,
    },
    /// The source answers something else than a list.
    #[error("{host} answered with status {status} when it was asked for {what}")]
    Status {
        /// The host.
        host: String,
        /// The status of HTTP.
        status: u16,
        /// What was asked for.
        what: &'static str,
    },
    /// The source is not there, or whoever asks may not see it.
    #[error("{0} is not there, or not to be seen with this credential")]
    NotFound(String),
    /// The source asks to come again later than is waited for.
    #[error("{host} has a limit on requests and asks to come again at {until}")]
    RateLimited {
        /// The host.
        host: String,
        /// When.
        until: Timestamp,
    },
    /// An API said something that it should not.
    #[error("{host} did not say what its API promises: {why}")]
    Malformed {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// Nobody can tell what a site allows, so nothing of it is read (RFC 9309, section 2.3.1.4).
    #[error("the robots.txt of {host} cannot be read ({why}), so nothing of the site is")]
    Robots {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// The site's `robots.txt` asks not to read where one would begin.
    #[error("the robots.txt of {host} asks not to read {path}")]
    RobotsForbid {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// Where a site begins redirects to another one than what is known of it is from.
    #[error(
        "{from} redirects to {to} now: what is known stays, and nothing is read; if it has moved, change the address of the connector"
    )]
    Moved {
        /// The host that the documents are from.
        from: String,
        /// Where it leads.
        to: String,
    },
    /// There is no list of pages.
    #[error("{host} has no list of pages that can be read: {why}")]
    NoSitemap {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// The directory, or one in it, cannot be listed.
    #[error("{path} cannot be listed: {error}")]
    Directory {
        /// Within the root.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The repository cannot be brought here.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// There are more documents than are taken.
    #[error("there are more than {} documents", KNOWLEDGE_DOCUMENTS)]
    TooManyDocuments,
    /// There are more files than are looked at.
    #[error("there are more than {} files", KNOWLEDGE_FILES)]
    TooManyFiles,
    /// A list goes on and on.
    #[error("{host} has a list of more than {} pages", KNOWLEDGE_API_PAGES)]
    TooManyPages {
        /// The host.
        host: String,
    },
    /// A connector is asked a second time; it is for one sync.
    #[error("the connector has been used before")]
    Used,
    /// Whoever takes the documents cannot.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Somebody ended it.
    #[error("it was cancelled")]
    Cancelled,
    /// It took longer than [`KNOWLEDGE_SYNC_TIME`].
    #[error("it was not over within {} h", KNOWLEDGE_SYNC_TIME.as_secs() / 3600)]
    Timeout,
}

/// Why something is not read: it alone, or nothing any more.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// This document alone.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Everything.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl DocumentError {
    /// Whether the next sync may read it although nothing has changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Request(error) => error.is_transient(),
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Extract(error) => error.is_transient(),
            Self::Io(_) | Self::Timeout | Self::Redirected { .. } => true,
            Self::Malformed { .. } | Self::TooLarge(_) => false,
        }
    }
}

impl RequestError {
    /// Whether asking again may help. A policy may be changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Http { .. }
            | Self::Timeout { .. } => true,
            Self::Address(_)
            | Self::TooLarge { .. }
            | Self::Encoding { .. }
            | Self::Redirects { .. }
            | Self::Elsewhere { .. } => false,
        }
    }

    /// What the policy said against it, if that is the reason.
    pub fn denial(&self) -> Option<&Decision> {
        match self {
            Self::Denied { decision, .. } => Some(decision),
            Self::Address(_)
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Http { .. }
            | Self::Timeout { .. }
            | Self::TooLarge { .. }
            | Self::Encoding { .. }
            | Self::Redirects { .. }
            | Self::Elsewhere { .. } => None,
        }
    }

    pub(crate) fn of(url: &HttpUrl, error: OutboundError) -> Self {
        let host = host_of(url);
        match error {
            OutboundError::Url(_) => Self::Address(url.to_string()),
            OutboundError::Dial(error) => match &*error {
                DialError::Denied(decision) => Self::Denied {
                    host,
                    decision: Box::new(decision.clone()),
                },
                DialError::NameNotFound | DialError::Unreachable(_) => {
                    let why = error.to_string();
                    Self::Unreachable { host, why }
                }
            },
            OutboundError::Tls(error) => {
                let why = error.to_string();
                Self::Tls { host, why }
            }
            OutboundError::Http(error) => {
                let why = error.to_string();
                Self::Http { host, why }
            }
            OutboundError::Timeout(_) => Self::Timeout { host },
        }
    }

    /// Of a body.
    pub(crate) fn of_body(url: &HttpUrl, error: &FetchError) -> Self {
        let host = host_of(url);
        match error {
            FetchError::TooLarge(most_bytes) => Self::TooLarge {
                host,
                most_bytes: *most_bytes,
            },
            FetchError::Encoding => Self::Encoding { host },
            FetchError::Timeout => Self::Timeout { host },
            FetchError::Url
            | FetchError::Denied(_)
            | FetchError::Dial(_)
            | FetchError::Tls(_)
            | FetchError::Http(_) => {
                let why = error.to_string();
                Self::Http { host, why }
            }
        }
    }
}

impl From<RequestError> for ReadError {
    fn from(error: RequestError) -> Self {
        Self::Document(error.into())
    }
}

/// For words.
pub(crate) fn host_of(url: &HttpUrl) -> String {
    url.destination().host.to_string()
}

fn hint(decision: &Decision) -> String {
    let hint = decision.hint.as_deref();
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}
