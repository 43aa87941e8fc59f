//! Inside a sandbox: keeps one flow open and says when it was cut.

use std::io::Read;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::client::ping;
use crate::{os, worker};

/// How long to wait before another attempt while the policy forbids the flow.
const RETRY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the echo service is, by name.
    echo: String,
}

/// One line each, shorter than PIPE_BUF: many write to one pipe.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The flow is open and has carried a byte there and back.
    Open,
    /// It was cut, by the clock of [`now_ns`].
    Cut { at_ns: i64 },
}

/// CLOCK_MONOTONIC, which is the same inside and outside: sandboxes have no time namespace.
pub(crate) fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Runs until it is killed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let address = args
        .echo
        .to_socket_addrs()?
        .next()
        .context("the echo service has no address")?;
    loop {
        let Ok(mut stream) = open(address) else {
            std::thread::sleep(RETRY);
            continue;
        };
        worker::say(&Said::Open)?;
        // The end of the stream or an error: either way it is cut.
        let _ = stream.read(&mut [0]);
        worker::say(&Said::Cut { at_ns: now_ns() })?;
    }
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = os::connect(address)?;
    ping(&mut stream)?;
    Ok(stream)
}
