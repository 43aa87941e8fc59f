//! The way to a test's own servers, as a server of Bailiwick's has it: one name is pinned to loopback, one authority is trusted.

use bailiwick_outbound::Outbound;
use bailiwick_testkit::{Authority, dialer_to};

/// With this pin (`NAME=ADDR:PORT`) and this authority.
pub(crate) fn outbound(authority: &Authority, pin: &str) -> Outbound {
    Outbound::new(dialer_to(pin), authority.trusted())
}
