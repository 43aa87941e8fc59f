//! The data path of LLM proxies: a client's request goes to an upstream as it is, and the answer back as it is.
//!
//! ```text
//! body ──▶ read       what it asks for: model, stream, cap, tools; refused if two parsers could read it differently
//!          (the caller decides: who, which model, which limit; reserves `Asks::worst`)
//!          forward    headers of a list and the upstream's key; the same bytes, but for the model's name and the wish for usage
//!             │ 408, 429, 5xx, no connection: the next route          │ any other answer
//!             ▼                                                       ▼
//!          once more after a wait, else the last such answer       meter   usage, read beside the bytes that pass
//!                                                                     └──▶ Settlement, exactly once
//! ```
//!
//! Nothing of a client that says who it is reaches an upstream, and nothing of an upstream that says whose key it is reaches a client: of headers
//! only those on a list pass, both ways. The module must never hold back bytes of a stream (but for one event that only the proxy asked for), never
//! keep more of an answer than a few counts, and never ask twice for what may have been worked on.
//!
//! Entry points: [`read`], [`forward`], [`Refusal::response`].

mod asks;
mod body;
mod edit;
mod endpoint;
mod forward;
mod headers;
mod lines;
mod listing;
mod meter;
mod refusal;
mod route;
mod scan;
mod settlement;
mod tally;

pub use asks::{AskedModel, AskedTool, Asks, NotARequest, fetched_urls, read};
pub use body::{BrokenOff, ProxyBody};
pub use endpoint::{Endpoint, Provider};
pub use forward::{Asked, forward};
pub use listing::{ListedModel, listed, listing};
pub use refusal::{LIMIT_CODE, Left, LimitReached, Refusal};
pub use route::{Route, Target};
pub use settlement::{SettledAs, Settlement};
