//! Requests that carry a credential, which whoever stands between puts in.

use anyhow::Result;

use super::network::{Through, Way, direct, probe, relayed};
use super::turns::{Contestant, line_up};
use crate::peers::destination::Destination;
use crate::peers::interceptors::{self, Interceptor};
use crate::peers::{Stage, sandboxed};
use crate::protocol::Probe;
use crate::report::{BAILIWICK, Better, Report, Row};

const DOWNLOAD_BYTES: u64 = 200 * 1024 * 1024;

/// A new connection, one that is there, and a large answer.
pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let (_destination, mut ways) = ways(stage, report)?;
    let rounds = stage.pick(20, 3);
    let row = |name, unit, better| Row::new("credentials", name, unit, better);
    probe(
        row(
            "request with a credential, new connection",
            "us",
            Better::Lower,
        )
        .aim("under 1500 us"),
        &mut ways,
        rounds,
        report,
        Probe::Request { count: 10 },
    );
    probe(
        row("request with a credential, kept alive", "us", Better::Lower).aim("under 45 us"),
        &mut ways,
        rounds,
        report,
        Probe::RequestKeptAlive { count: 50 },
    );
    let bytes = stage.pick(DOWNLOAD_BYTES, DOWNLOAD_BYTES / 10);
    probe(
        row("answer of 200 MiB", "MB/s", Better::Higher).aim("at least 450 MB/s"),
        &mut ways,
        stage.pick(5, 1),
        report,
        Probe::Download { bytes },
    );
    Ok(())
}

fn ways(stage: &Stage, report: &mut Report) -> Result<(Destination, Vec<Contestant<Way>>)> {
    let destination = Destination::start(stage)?;
    let all = vec![
        ("direct", direct(stage, &destination)),
        ("bare relay", relayed(stage, &destination, "relay")),
        (
            "squid, bump",
            intercepted(stage, &destination, interceptors::squid),
        ),
        (
            "mitmproxy",
            intercepted(stage, &destination, interceptors::mitmproxy),
        ),
        (BAILIWICK, sandboxed(stage, &destination)),
    ];
    let ways = line_up("credentials", all, report);
    Ok((destination, ways))
}

fn intercepted(
    stage: &Stage,
    destination: &Destination,
    start: fn(&Stage) -> Result<Interceptor>,
) -> Result<Way> {
    let Interceptor { proxy, authority } = start(stage)?;
    let client = destination.client_trusting(stage, &authority, Some(proxy.address))?;
    Ok(Way::new(client, Through::Proxy { _process: proxy }))
}

fn sandboxed(stage: &Stage, destination: &Destination) -> Result<Way> {
    let client = sandboxed::client_with_credential(stage, destination)?;
    Ok(Way::new(client, Through::Nothing))
}
