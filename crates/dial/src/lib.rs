//! The one door outwards: every outgoing connection of the product is made here.
//!
//! A connection is made to an address that `policy` checked in the same call; nothing resolves twice, so that neither a
//! rebinding name nor an expiring record can lead elsewhere. The crate never connects for somebody without a
//! [`Policy`](bailiwick_policy::Policy), never reads the process's environment (proxy settings come as values), and never
//! falls back to another way out when the chosen one fails.
//!
//! Entry points: [`Dialer::dial`], [`Dialer::dial_for_operator`], [`Dialer::lookup`], [`ProxySettings::from_variables`].

mod connect;
mod dialer;
mod error;
mod operator;
mod proxy;
mod resolve;
mod tunnel;

pub use dialer::{DialOptions, Dialed, Dialer};
pub use error::{DialError, LookupError, Unreachable};
pub use hickory_resolver::lookup::Lookup;
pub use hickory_resolver::proto::rr::RecordType;
pub use proxy::{ProxySettings, ProxyUrl, ProxyUrlError, ProxyVariables};
