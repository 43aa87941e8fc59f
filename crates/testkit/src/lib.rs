//! What tests of the whole system share: servers on loopback, the `bailiwick` command, and a check that nothing is left behind.
//!
//! The servers are real ones, as processes ([`HttpsServer`], [`Postgres`], [`GitHttpsServer`], [`SshServer`], [`OciRegistry`]) or threads ([`HttpServer`],
//! [`FileServer`], [`BannerServer`], [`UdpEcho`], [`DnsServer`]); each ends when it is dropped, and counts who reached it, so that a test can show that nobody did.
//! [`Bailiwick`] runs the binary, as root or as an ordinary user. [`LeakCheck`] fails the test that leaves processes, control groups, mounts or
//! entries of the state directory.
//!
//! [`Sdk`] has the official SDKs. [`ModelServer`] is a model that says what a script says, to them too.
//!
//! Everything here panics when it cannot do its work: a test that cannot set its stage has failed. This crate never takes part in the product.

mod bailiwick;
mod certificate;
mod dialer;
mod git;
mod leak;
mod once;
mod process;
mod sdk;
mod search;
mod server;
mod terminal;
mod user;

pub use bailiwick::{Bailiwick, Outcome, Run};
pub use certificate::{Authority, Certificate};
pub use dialer::{dialer, dialer_to, dialer_to_all};
pub use git::GitRepository;
pub use leak::LeakCheck;
pub use process::{Child, eventually};
pub use sdk::Sdk;
pub use search::{descendants, file_with, has, memory_has};
pub use server::banner::BannerServer;
pub use server::dns::DnsServer;
pub use server::files::FileServer;
pub use server::git::{GitHttpsServer, SshServer};
pub use server::http::HttpServer;
pub use server::https::HttpsServer;
pub use server::identity_provider::IdentityProvider;
pub use server::mcp::McpServer;
pub use server::model::{
    ModelAnswer, ModelFailure, ModelFault, ModelPiece, ModelReply, ModelRequest, ModelScript,
    ModelServer, ModelStep, ModelUsage, ModelWhen, Pace,
};
pub use server::otlp::{OtlpManner, OtlpReceiver};
pub use server::port::FreePort;
pub use server::postgres::{Crash, Postgres};
pub use server::registry::{OciRegistry, SecureRegistry, root_archive};
pub use server::udp::UdpEcho;
pub use terminal::Terminal;
pub use user::User;
