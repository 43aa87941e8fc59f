//! Why something was not delivered.

use std::io;
use std::path::PathBuf;

use bailiwick_dial::DialError;
use bailiwick_outbound::{NotTrusted, OutboundError};

/// Why something was not delivered. It is to be delivered again.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file could not be opened or written.
    #[error("cannot write {}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The receiver cannot be reached.
    #[error("cannot reach the receiver: {0}")]
    Dial(#[from] DialError),
    /// The connection ended.
    #[error("the connection to the receiver ended: {0}")]
    Connection(#[source] io::Error),
    /// The receiver cannot be asked over HTTP.
    #[error("the receiver did not take it: {0}")]
    Outbound(#[from] OutboundError),
    /// The receiver did not take it.
    #[error("the receiver answered {0}")]
    Status(u16),
    /// Certificates of authorities of this machine could not be read.
    #[error("cannot check certificates on this machine: {0}")]
    Trust(#[from] NotTrusted),
    /// It took too long.
    #[error("the receiver did not take it in time")]
    Timeout,
    /// There is nothing to sign with.
    #[error("a webhook needs a secret: --export-secret-file FILE or BAILIWICK_EXPORT_SECRET")]
    NoSecret,
}
