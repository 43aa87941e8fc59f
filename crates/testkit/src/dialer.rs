//! The door outwards, for tests of crates that do not open it themselves.

use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_policy::{HostFacts, Pins};
use tokio::sync::watch;

/// One without pins and without a proxy, as an operator's server has it.
pub fn dialer() -> Arc<Dialer> {
    let (_, facts) = watch::channel(Arc::new(HostFacts::unknown()));
    Arc::new(Dialer::new(DialOptions::new(facts)))
}

/// One with this pin (`NAME=ADDR:PORT`), on a machine whose own addresses are those of loopback.
///
/// # Panics
///
/// When it is no pin.
pub fn dialer_to(pin: &str) -> Arc<Dialer> {
    dialer_to_all(&[pin])
}

/// The same with several.
///
/// # Panics
///
/// When one of them is no pin.
pub fn dialer_to_all(pins: &[&str]) -> Arc<Dialer> {
    let own = ["127.0.0.1", "::1"].map(|address| address.parse().expect("an address"));
    let facts = HostFacts {
        addresses: own.to_vec(),
        listeners: Vec::new(),
    };
    let (_, host) = watch::channel(Arc::new(facts));
    let pins: Pins = pins.iter().map(|pin| pin.parse().expect("a pin")).collect();
    Arc::new(Dialer::new(DialOptions {
        pins,
        ..DialOptions::new(host)
    }))
}
