//! MCP servers as a client sees them: their tools and calls of them (Streamable HTTP, and the transport before it), whether one takes a token, and how OAuth gives another one.
//!
//! Values in, values out. Where secrets are kept, and who may ask, is the caller's business. Every connection is made by `dial` under a
//! [`Policy`](bailiwick_policy::Policy), also where a server redirects; the crate never sends a token to another origin than the one it was
//! made for, and what it hands out of answers has been rid of the secrets that went with the request.
//!
//! Its other half serves MCP: a [`Gateway`] answers clients of every revision, and a [`View`] says what one caller is served. [`Joined`] is the
//! view of several servers as one. A server that is a program of ours is a [`PipedServer`], and a [`Pulse`] says whether it is well.
//!
//! Entry points: [`McpClient`], [`probe`], [`discover`], [`exchange`], [`refresh`]; [`Gateway`], [`Joined`].

mod answer;
mod client;
mod discovery;
mod events;
mod gateway;
mod heard;
mod joined;
mod lock;
mod message;
mod news;
mod oauth;
mod outbound;
mod probe;
mod raw;
mod result;
mod secrets;
mod tools;
mod upstream;
mod view;

pub use answer::ShownAnswer;
pub use client::{Access, Listening, McpClient, McpError, McpTimes};
pub use discovery::{
    AuthorizationServer, DiscoveryError, DocumentError, RegisteredAs, RegisteredMethod, discover,
    fetch_document, register,
};
pub use gateway::{Caller, Entrance, Gateway, GatewayBody, Hosts, Span};
pub use heard::RpcError;
pub use hyper::body::Bytes;
pub use joined::{
    Backing, InProcess, InProcessError, InProcessFuture, Item, Joined, LocalMember, Member, Naming,
    NotJoined, NotServerName, ServerName, Verdict,
};
pub use news::{Change, News};
pub use oauth::{ClientAuthentication, Exchange, Refresh, RefreshError, Tokens, exchange, refresh};
pub use probe::{FailedStep, Probe, StepFailure, probe};
pub use result::{CallResult, Content};
pub use tools::{LeftOut, Listing, McpTool, Unfit};
pub use upstream::{Connections, HeldAccess, PipedServer, Pulse};
pub use view::{
    Completed, Greeting, LogLevel, Notice, Progress, Talk, View, ViewError, ViewRequest,
};
