//! What stands between a client and a server.

use anyhow::Result;

use super::turns::{Contestant, line_up, take};
use crate::peers::destination::Destination;
use crate::peers::proxies::{self, Proxy};
use crate::peers::{Stage, sandboxed};
use crate::protocol::Probe;
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::worker::Worker;

/// A client, and what it goes through, which must live as long.
#[derive(Debug)]
pub(super) struct Way {
    client: Worker,
    _through: Through,
}

#[derive(Debug)]
pub(super) enum Through {
    Nothing,
    Relay { _process: Worker },
    Proxy { _process: Proxy },
}

impl Way {
    pub(super) fn new(client: Worker, through: Through) -> Self {
        Self {
            client,
            _through: through,
        }
    }
}

/// Time to the first byte, and there and back.
pub(super) fn latency(stage: &Stage, report: &mut Report) -> Result<()> {
    let (_destination, mut ways) = ways(stage, "latency", report)?;
    let rounds = stage.pick(30, 3);
    let row = Row::new(
        "latency",
        "new connection to first byte",
        "us",
        Better::Lower,
    )
    .aim("under 120 us");
    probe(
        row,
        &mut ways,
        rounds,
        report,
        Probe::FirstByte { count: 50 },
    );
    let row = Row::new("latency", "round trip of one byte", "us", Better::Lower);
    probe(
        row,
        &mut ways,
        rounds,
        report,
        Probe::RoundTrip { count: 200 },
    );
    Ok(())
}

/// One HTTPS request.
pub(super) fn request(stage: &Stage, report: &mut Report) -> Result<()> {
    let (_destination, mut ways) = ways(stage, "request", report)?;
    let rounds = stage.pick(20, 3);
    let row = Row::new(
        "request",
        "HTTPS request, new connection",
        "us",
        Better::Lower,
    );
    probe(row, &mut ways, rounds, report, Probe::Request { count: 10 });
    let row = Row::new("request", "HTTPS request, kept alive", "us", Better::Lower);
    probe(
        row,
        &mut ways,
        rounds,
        report,
        Probe::RequestKeptAlive { count: 50 },
    );
    Ok(())
}

/// Bytes.
pub(super) fn throughput(stage: &Stage, report: &mut Report) -> Result<()> {
    let (_destination, mut ways) = ways(stage, "throughput", report)?;
    let (rounds, millis) = (stage.pick(9, 2), stage.pick(700, 200));
    let row = Row::new("throughput", "1 stream", "MiB/s", Better::Higher)
        .aim("at or above the bare relay");
    probe(
        row,
        &mut ways,
        rounds,
        report,
        Probe::Throughput { streams: 1, millis },
    );
    let row = Row::new("throughput", "64 streams", "MiB/s", Better::Higher)
        .aim("at or above the bare relay");
    probe(
        row,
        &mut ways,
        rounds,
        report,
        Probe::Throughput {
            streams: 64,
            millis,
        },
    );
    Ok(())
}

/// Connections a second.
pub(super) fn connections(stage: &Stage, report: &mut Report) -> Result<()> {
    let (_destination, mut ways) = ways(stage, "connections", report)?;
    let (rounds, millis) = (stage.pick(7, 2), stage.pick(700, 200));
    let row = Row::new(
        "connections",
        "connections, 16 at once",
        "1/s",
        Better::Higher,
    );
    probe(
        row,
        &mut ways,
        rounds,
        report,
        Probe::Connections {
            threads: 16,
            millis,
        },
    );
    Ok(())
}

pub(super) fn probe(
    row: Row,
    ways: &mut [Contestant<Way>],
    rounds: usize,
    report: &mut Report,
    probe: Probe,
) {
    take(row, ways, rounds, report, |way| way.client.measure(&probe));
}

/// The server and every way to it.
fn ways(
    stage: &Stage,
    group: &str,
    report: &mut Report,
) -> Result<(Destination, Vec<Contestant<Way>>)> {
    let destination = Destination::start(stage)?;
    let all = vec![
        ("direct", direct(stage, &destination)),
        ("bare relay", relayed(stage, &destination, "relay")),
        (
            "tinyproxy",
            proxied(stage, &destination, proxies::tinyproxy),
        ),
        ("squid", proxied(stage, &destination, proxies::squid)),
        (
            "bailiwick, relay alone",
            relayed(stage, &destination, "alone"),
        ),
        (BAILIWICK, sandboxed(stage, &destination)),
    ];
    let ways = line_up(group, all, report);
    Ok((destination, ways))
}

pub(super) fn direct(stage: &Stage, destination: &Destination) -> Result<Way> {
    let client = destination.client(stage, destination.services, None)?;
    Ok(Way {
        client,
        _through: Through::Nothing,
    })
}

pub(super) fn relayed(stage: &Stage, destination: &Destination, role: &str) -> Result<Way> {
    let (relay, services) = destination.stand_in(stage, role)?;
    let client = destination.client(stage, services, None)?;
    Ok(Way {
        client,
        _through: Through::Relay { _process: relay },
    })
}

fn proxied(
    stage: &Stage,
    destination: &Destination,
    start: fn(&Stage) -> Result<Proxy>,
) -> Result<Way> {
    let proxy = start(stage)?;
    let client = destination.client(stage, destination.services, Some(proxy.address))?;
    Ok(Way {
        client,
        _through: Through::Proxy { _process: proxy },
    })
}

/// Here the relay is part of the process that the client runs under.
fn sandboxed(stage: &Stage, destination: &Destination) -> Result<Way> {
    Ok(Way {
        client: sandboxed::client(stage, destination)?,
        _through: Through::Nothing,
    })
}
