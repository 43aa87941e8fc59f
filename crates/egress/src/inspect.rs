//! What a client may send before, and while, its bytes go on to the server that a name stands for.
//!
//! Everything here is pure: bytes in, a verdict out. The relay holds the bytes back until the verdict is there.

pub(crate) mod client_hello;
pub(crate) mod first_bytes;
pub(crate) mod http;

mod agreement;
mod client;

pub(crate) use agreement::{names_destination, same_name};
pub(crate) use client::{ClientGuard, Violation};
