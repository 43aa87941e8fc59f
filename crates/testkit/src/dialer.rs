//! The door outwards, for tests of crates that do not open it themselves.

use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_policy::HostFacts;
use tokio::sync::watch;

/// One without pins and without a proxy, as an operator's server has it.
pub fn dialer() -> Arc<Dialer> {
    let (_, facts) = watch::channel(Arc::new(HostFacts::unknown()));
    Arc::new(Dialer::new(DialOptions::new(facts)))
}
