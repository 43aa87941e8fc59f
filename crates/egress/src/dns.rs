//! The resolver of a sandbox. Nothing leaves the machine because somebody asked it: an allowed name is answered with a
//! synthetic address, a denied one with REFUSED and the reason. Only in an unrestricted policy, records of other types are
//! looked up for the sandbox.

mod answer;
pub(crate) mod message;
mod serve;

pub(crate) use serve::{serve_tcp, serve_udp};
