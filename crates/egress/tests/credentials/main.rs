//! Credentials on their way through the relay: a client of TLS on one side, a server on the other, and both look at every byte.

#![expect(
    clippy::disallowed_methods,
    reason = "these are the clients inside, whose connections the relay takes"
)]

mod changes;
mod http1;
mod http2;
mod requests;
mod tls;
mod world;
