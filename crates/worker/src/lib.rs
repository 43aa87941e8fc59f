//! A worker of self-hosted environments: it takes sessions from an environment's queue and runs the calls of their tools in sandboxes of its
//! own, against any service that speaks the wire API.
//!
//! A [`Worker`] polls with the key of its environment and serves several sessions at once. Each has one sandbox, which it sees through the
//! runtime port; what comes of a call is sent as a `user.tool_result`. What the service says is untrusted: every answer is bounded, every id is
//! checked before it is used, an item or a session of another environment is refused, and a session's calls reach its own sandbox and nothing
//! else of this machine.
//!
//! It must never run a call outside of a sandbox, never run one that asks for permission before that is given, and never run one twice: that a
//! call begins is written down before it does, and one that had begun when its worker died is reported as such.
//!
//! Entry points: [`Service`], [`Sandboxes`], [`Journal`], [`Worker::run`].

mod calls;
mod error;
mod event;
mod id;
mod journal;
mod kept;
mod lease;
mod place;
mod served;
mod service;
mod skills;
mod stream;
mod worker;

pub use error::{JournalError, ServiceError, WorkerError};
pub use id::{NotAnId, WireId};
pub use journal::Journal;
pub use place::Sandboxes;
pub use service::{Key, NotAKey, Service};
pub use worker::{Terms, Worker};
