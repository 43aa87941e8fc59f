//! HTTP: `/v1` for the official SDKs, `/api` for administration, `/llm` for clients of models, and what operators ask for.
//!
//! A handler turns a request into one use case of `control` and its value into an answer. What fails travels as a `failure::Failure` to the
//! edge of its face, which alone writes the error body: the wire's form under `/v1`, problem details (RFC 9457) under `/api`.

mod agent_json;
mod api;
mod authenticated;
mod body;
mod client_address;
mod connections;
mod environment_json;
mod event_json;
mod face;
mod failure;
mod front;
mod llm;
mod mcp;
mod metrics;
mod oauth;
mod observe;
mod openapi;
mod operation;
mod service;
mod session_json;
mod v1;

pub use client_address::TrustedProxies;
pub use connections::ConnectionLimits;
pub use openapi::openapi;
pub use service::{Numbers, ServeError, Service};
