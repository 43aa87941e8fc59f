//! Deliveries to real receivers on this machine.

mod file;
mod syslog;
mod webhook;

use std::sync::Arc;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_export::{Delivery, Record, Sink, WebhookSecret};
use bailiwick_policy::HostFacts;
use jiff::Timestamp;
use tokio::sync::watch;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

fn dialer() -> Arc<Dialer> {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    Arc::new(Dialer::new(DialOptions::new(host)))
}

fn sink(destination: &str) -> Sink {
    let secret: WebhookSecret = SECRET.parse().unwrap();
    Sink::open(&destination.parse().unwrap(), &dialer(), Some(&secret)).unwrap()
}

/// Records with these numbers.
fn delivery(numbers: impl IntoIterator<Item = u32>) -> Delivery {
    let record = |number: u32| Record {
        kind: "audit",
        at: Timestamp::from_microsecond(1_795_000_000_123_456).unwrap(),
        json: format!("{{\"sequence\":{number},\"text\":\"caf\u{e9} \\n\"}}"),
    };
    let records: Vec<_> = numbers.into_iter().map(record).collect();
    let last = records.len();
    Delivery {
        id: format!("audit-{last}"),
        records,
    }
}

/// What `delivery` makes of a number.
fn line(number: u32) -> String {
    delivery([number]).records[0].json.clone()
}
