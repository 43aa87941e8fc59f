//! MCP servers as a client sees them: whether one takes a token (Streamable HTTP), and how OAuth gives another one.
//!
//! Values in, values out. Where secrets are kept, and who may ask, is the caller's business. Every connection is made by `dial` under a
//! [`Policy`](bailiwick_policy::Policy), also where a server redirects; the crate never sends a token to another origin than the one it was
//! made for, and what it hands out of answers has been rid of the secrets that went with the request.
//!
//! Entry points: [`Outbound`], [`probe`], [`refresh`].

mod answer;
mod message;
mod oauth;
mod outbound;
mod probe;
mod secrets;

pub use answer::ShownAnswer;
pub use oauth::{ClientAuthentication, Refresh, RefreshError, Tokens, refresh};
pub use outbound::{Outbound, OutboundError};
pub use probe::{FailedStep, Probe, StepFailure, probe};
