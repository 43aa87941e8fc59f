//! The client of model upstreams: one vocabulary, that of the Messages API, for every model that sessions and proxies talk to.
//!
//! An [`Upstream`] speaks either the Messages API or the OpenAI Chat Completions API; requests and streams of the latter are translated. What
//! comes back is a stream of [`Event`]s, which a [`Fold`] makes a [`Message`] of, or one [`UpstreamError`] that says what its cause was.
//!
//! [`proxy`] passes requests on as they are, for clients that speak a provider's API themselves, and reads beside it what the answers took.
//!
//! The client never retries ([`Backoff`] says how long to wait, waiting is the caller's). The crate never connects otherwise than through `dial`, never
//! shares a connection between two policies, and never prints a key. What an upstream says is untrusted: everything read from it is bounded.
//!
//! Entry points: [`Client::stream`], [`Request`], [`Fold`], [`PriceTable`], [`proxy::forward`].

mod backoff;
mod base_url;
mod block;
mod client;
mod decoder;
mod error;
mod event;
mod events;
mod fold;
mod messages;
mod openai;
mod prices;
pub mod proxy;
mod raw;
mod refusal;
mod request;
mod secret;
mod sse;
mod upstream;
mod usage;

pub use backoff::Backoff;
pub use base_url::{BaseUrl, NotABaseUrl};
pub use block::{Block, Media, RedactedThinking, Rest, Text, Thinking, ToolResult, ToolUse};
pub use client::{Client, Timeouts};
pub use decoder::Decoder;
pub use error::{Malformed, Phase, Told, UpstreamError};
pub use event::{Delta, Event, Start, StopReason, Stopped};
pub use events::Events;
pub use fold::{BrokenCall, Fold, Message};
pub use openai::Untranslatable;
pub use prices::{
    Cost, ModelPrice, NanoDollars, NotARate, NotATable, Overrides, PriceTable, Priced, Rate, Rates,
    Service, TableHead, Tier,
};
pub use raw::Raw;
pub use request::{CustomTool, Request, Role, Tool, ToolChoice, Turn};
pub use secret::{NotASecret, Secret};
pub use sse::{SseError, SseEvent, SseParser};
pub use upstream::{Authentication, OutputCap, Protocol, Upstream};
pub use usage::{Usage, UsageUpdate};
