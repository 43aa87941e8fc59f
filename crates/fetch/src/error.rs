//! Why there is no page.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bailiwick_dial::DialError;
use bailiwick_model::Decision;
use bailiwick_model::limits::WEB_FETCH_TIME;
use bailiwick_outbound::{NotHttpUrl, OutboundError};

/// Why there is no answer, or none that is taken.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not the URL of a page: http or https, a host that can be dialled, no user information.
    #[error("the URL names no host that can be asked over HTTP")]
    Url,
    /// The policy denies the host, or an address that it resolved to.
    #[error("denied: {}", .0.reason)]
    Denied(Decision),
    /// The name does not resolve, or nobody answers.
    #[error(transparent)]
    Dial(Arc<DialError>),
    /// TLS failed: above all, the certificate is not one for this name that is trusted here.
    #[error("TLS: {0}")]
    Tls(#[source] Arc<io::Error>),
    /// What came is no HTTP, or ended before it was whole.
    #[error("the answer is no HTTP, or ended early: {0}")]
    Http(#[source] Arc<dyn Error + Send + Sync>),
    /// The body has a content encoding that was not offered, or is not what it says.
    #[error("the answer's content encoding cannot be taken off")]
    Encoding,
    /// The body is larger than was asked for, as it came or once its encoding was taken off.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// It took longer than [`WEB_FETCH_TIME`].
    #[error("no whole answer in {} s", WEB_FETCH_TIME.as_secs())]
    Timeout,
}

impl From<OutboundError> for FetchError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Url(_) => Self::Url,
            OutboundError::Dial(error) => match &*error {
                DialError::Denied(decision) => Self::Denied(decision.clone()),
                DialError::NameNotFound | DialError::Unreachable(_) => Self::Dial(error),
            },
            OutboundError::Tls(error) => Self::Tls(error),
            OutboundError::Http(error) => Self::Http(error),
            OutboundError::Timeout(_) => Self::Timeout,
        }
    }
}

impl From<NotHttpUrl> for FetchError {
    fn from(_: NotHttpUrl) -> Self {
        Self::Url
    }
}

impl From<hyper::Error> for FetchError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(Arc::new(error))
    }
}
