//! Why something was not delivered.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_dial::DialError;

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
    /// The receiver did not speak HTTP.
    #[error("the receiver did not answer in HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The receiver did not take it.
    #[error("the receiver answered {0}")]
    Status(u16),
    /// Certificates of authorities of this machine could not be read.
    #[error("cannot check certificates on this machine: {0}")]
    Tls(#[from] Arc<rustls::Error>),
    /// It took too long.
    #[error("the receiver did not take it in time")]
    Timeout,
    /// There is nothing to sign with.
    #[error("a webhook needs a secret: --export-secret-file FILE or BAILIWICK_EXPORT_SECRET")]
    NoSecret,
}
