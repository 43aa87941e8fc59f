//! Connections to hosts that a sandbox has credentials for: TLS ends here, secrets are put into requests and taken out of answers.
//!
//! Only there: to every other host bytes go through as they are. The certificate that a client gets is one of the sandbox's own authority;
//! that of the server is verified before anything is sent to it. Nothing that a secret is in is kept, printed or told.

mod authority;
mod body;
mod credentials;
mod exchange;
mod first;
mod request;
mod rewrite;
mod rules;
mod serve;
mod stream;
mod tasks;
mod tls;
mod tunnel;

pub use authority::{Authority, AuthorityError, DormantAuthority};
pub(crate) use first::begins_with_tls;
pub(crate) use serve::{End, serve};
pub(crate) use stream::CountedStream;
pub(crate) use tls::UpstreamTls;
