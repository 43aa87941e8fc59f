//! Why there is no answer.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use bailiwick_dial::DialError;
use bailiwick_model::Decision;

use crate::NotHttpUrl;

/// Why there is no answer. None of it holds anything that was sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboundError {
    /// What somebody named is no URL that can be asked.
    #[error(transparent)]
    Url(#[from] NotHttpUrl),
    /// It may not be reached, or cannot be.
    #[error(transparent)]
    Dial(Arc<DialError>),
    /// TLS failed: above all, the certificate is not one for this name that is trusted.
    #[error("TLS: {0}")]
    Tls(#[source] Arc<io::Error>),
    /// What came back is not HTTP, is more than is read, or ended early.
    #[error("the server did not answer in HTTP: {0}")]
    Http(#[source] Arc<dyn Error + Send + Sync>),
    /// It took too long.
    #[error("the server did not {0} in time")]
    Timeout(Waited),
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// To be connected to, TLS included.
    Connection,
    /// The head of the answer.
    Answer,
}

impl OutboundError {
    /// What a policy said against it, if that is the reason.
    pub fn denial(&self) -> Option<&Decision> {
        match self {
            Self::Dial(error) => match &**error {
                DialError::Denied(decision) => Some(decision),
                DialError::NameNotFound | DialError::Unreachable(_) => None,
            },
            Self::Url(_) | Self::Tls(_) | Self::Http(_) | Self::Timeout(_) => None,
        }
    }

    /// Whether TLS failed because of the server's certificate.
    pub fn is_about_a_certificate(&self) -> bool {
        let Self::Tls(error) = self else {
            return false;
        };
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
    }

    pub(crate) fn http(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Http(Arc::new(error))
    }
}

impl From<DialError> for OutboundError {
    fn from(error: DialError) -> Self {
        Self::Dial(Arc::new(error))
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "take the connection",
            Self::Answer => "answer",
        })
    }
}
