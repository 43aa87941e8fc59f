//! The resolver and the record of refused datagrams, on plain loopback: the sockets are those of a sandbox, without its
//! namespace.

mod names;
mod refused;
mod world;
