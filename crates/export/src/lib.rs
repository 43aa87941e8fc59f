//! Where records go that are exported as they are made: a file, syslog, or a webhook.
//!
//! Lines of JSON come in, and are delivered in their order. Whoever delivers remembers how far it came and delivers again what this crate did
//! not say was delivered: a record may come twice, and none is left out. What a destination of syslog got, nobody says: it acknowledges nothing.
//!
//! Destinations are the operator's, from the server's own configuration. The crate must never send to what an API caller names.
//!
//! Entry points: [`Destination`], [`Sink::deliver`]; [`Receiver`] for what is no record.

mod destination;
mod error;
mod file;
mod http;
mod sink;
mod syslog;
mod webhook;

use jiff::Timestamp;

pub use destination::{Destination, NotADestination};
pub use error::ExportError;
pub use http::{HttpUrl, Receiver};
pub use sink::Sink;
pub use webhook::{NotAWebhookSecret, WebhookSecret};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is of, in a word: `audit`.
    pub kind: &'static str,
    /// When it was made.
    pub at: Timestamp,
    /// The record, as JSON in one line.
    pub json: String,
}

/// Records that are delivered together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The same if they are delivered again: who gets them twice can tell by it.
    pub id: String,
    /// In their order; one at least.
    pub records: Vec<Record>,
}
