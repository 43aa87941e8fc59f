//! The network side of a sandbox: its resolver, the relay of its connections, and the record of both.
//!
//! A sandbox's network namespace leads nowhere. Its init redirects TCP and DNS to sockets that it opened inside and passed
//! out; this crate serves them from outside. A name is answered with a synthetic address; a connection to that address
//! says which *name* was meant, for any protocol; `dial` resolves and checks it when the connection is made.
//!
//! What it must never do: connect other than through `dial`; decide other than through `policy`; forward a byte of a
//! client before it is known to be meant for the destination; run out of anything because of one sandbox; panic on what a
//! sandbox sends.
//!
//! Entry points: [`Egress::attach`], [`Attachment`].

mod clock;
mod engine;
mod inspect;
mod names;
mod relay;
mod repeats;
mod sandbox;
mod sockets;

pub use engine::{Attachment, Egress};
pub use names::NameLimit;
pub use sandbox::{Counters, SandboxLimits, SandboxNetwork};
pub use sockets::{OriginalDestination, Sockets};

/// The parsers of what a sandbox sends, for the fuzz targets. Not a public interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::inspect::client_hello::{ClientHello, MalformedHello, parse as client_hello};
}
