//! What an organization knows: connectors that read it, texts that are made of it, and the pieces that texts are cut into.
//!
//! Values in, values out. A [`Connector`] is made for one sync of one source; [`sync`](sync()) has it list what there is, reads what has changed, and tells a
//! [`Sink`] of each document: changed, unchanged, gone, left out, failed. Where documents are kept and how they are searched is the sink's business.
//!
//! A document is gone when its source says so, or when a listing of everything was whole and did not have it; a listing that failed or was cut
//! deletes nothing. What comes from a source is whatever a stranger wrote: its size, number, depth and time are bounded, and what is wrong with
//! one document fails that document alone.
//!
//! The crate must never connect to anything but by `outbound` under the egress policy that it is given, never send a credential to another origin
//! than the one it is for, never read a file outside of the directory that it was given, and never run anything that it reads.
//!
//! Entry points: [`sync`](sync()), the connectors ([`DirectoryConnector`], [`GitConnector`], [`WebConnector`], [`GitHubConnector`], [`ConfluenceConnector`]),
//! [`extract`](extract()), [`chunks`].

mod chunk;
mod confluence;
mod connector;
mod directory;
mod document;
mod error;
mod extract;
mod git;
mod github;
mod http;
mod room;
mod sync;
mod web;

use std::pin::Pin;

pub use chunk::{Chunk, chunks};
pub use confluence::{ConfluenceAccess, ConfluenceConnector, ConfluenceSource, Spaces};
pub use connector::{
    Body, Connector, Extent, Finder, Found, Known, Listing, Now, Presence, Raw, Reading,
};
pub use directory::{DirectoryConnector, GlobError, Globs, MissingRoot};
pub use document::{Cursor, Document, DocumentKey, Kind, NotAName, Revision};
pub use error::{DocumentError, ReadError, RequestError, Skip, SyncError};
pub use extract::pdf::{OnThread, PdfError, PdfText, ReadPdf, pdf_answer, read_pdf, serve_pdf};
pub use extract::{ExtractError, Extracted, Material, extract, text_of};
pub use git::{CheckedOut, Checkout, CheckoutError, Forge, GitConnector};
pub use github::{GitHubConnector, GitHubSource, PullRequests};
pub use http::{Access, InsecureBase};
pub use room::Room;
pub use sync::{Counts, Event, Outcome, Sink, SinkError, sync};
pub use web::{Gather, WebConnector, WebSource};

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
