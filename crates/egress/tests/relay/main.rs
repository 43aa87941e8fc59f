//! The relay, on plain loopback: the original destination of every connection is pretended.

mod bytes;
mod host;
mod policy;
mod tls;
mod world;
