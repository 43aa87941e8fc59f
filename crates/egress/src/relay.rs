//! Relaying connections: accept, find out what was meant, have it decided and dialled, move bytes, record.

mod accept;
mod connection;
mod intercepted;
mod lane;
mod live;
mod pipes;
mod refusal;
mod second_thread;
mod transfer;

pub(crate) use accept::{accept, enforce_policy};
pub(crate) use live::Live;
pub(crate) use pipes::Pipes;
pub(crate) use refusal::{answer_tls, body as refusal_body, reset};
pub(crate) use second_thread::SecondThread;
