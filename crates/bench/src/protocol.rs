//! What the conductor and its workers say to each other: one JSON value a line.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// An order to the client.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// New connection, one byte there and back; microseconds each.
    FirstByte { count: u32 },
    /// One byte there and back on an open connection; microseconds each.
    RoundTrip { count: u32 },
    /// New connection, TLS handshake, one HTTP request of 1 KiB; microseconds each.
    Request { count: u32 },
    /// One HTTP request of 1 KiB on an open TLS connection; microseconds each.
    RequestKeptAlive { count: u32 },
    /// One answer of so many bytes over TLS; MB a second, once.
    Download { bytes: u64 },
    /// Bytes from the server on so many connections at once; MiB a second, once.
    Throughput { streams: u32, millis: u64 },
    /// New connections, one byte each, from so many threads; connections a second, once.
    Connections { threads: u32, millis: u64 },
}

/// An order to the spawner: start this so many times, one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spawn {
    /// The program and its arguments. `{n}` becomes a number that never comes twice.
    pub(crate) command: Vec<String>,
    pub(crate) count: u32,
}

/// An order to the launcher: `/bin/true` in a new sandbox, once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Launch {
    /// From the finished plan until the command has been started.
    UntilStarted,
    /// From the request until the command has ended and nothing is left of the sandbox.
    Whole,
}

/// An order to who has sandboxes through the runtime port.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Ported {
    /// Until `/bin/true` has ended in a new one.
    Start,
    /// Until `/bin/true` has ended in one that runs.
    Exec,
    /// Start so many, with a program that waits, and keep them.
    Hold(u32),
}

/// An order to the holder of many sandboxes: forbid everything, say after how many milliseconds each flow was cut, allow
/// it again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Cut {
    /// In one sandbox, another one each time.
    One,
    /// In all at the same moment.
    All,
}

/// An order to the load generator for HTTP: these requests, from so many connections at once, each sending its next one when it has the
/// answer to the last. It answers with requests a second, and the median and the 99th percentile of their microseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HttpLoad {
    pub(crate) address: SocketAddr,
    /// Sent with every request.
    pub(crate) key: String,
    /// Sent with every request, too.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) connections: usize,
    pub(crate) millis: u64,
    #[serde(default)]
    pub(crate) timed: Timed,
    /// Connection `c` of `n` sends the requests `c`, `c + n`, `c + 2n` and so on, round and round.
    pub(crate) requests: Vec<HttpRequest>,
}

/// Until when a request is timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Timed {
    /// Until its answer is whole.
    #[default]
    Whole,
    /// Until the first event of its answer is there, which is a stream.
    FirstEvent,
}

/// A request that is answered with 200 or 202.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    /// JSON; `{n}` becomes a number that never comes twice.
    pub(crate) body: String,
}

/// Where something that answers HTTP requests listens, and the paths that its rows are at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answering {
    pub(crate) address: SocketAddr,
    pub(crate) paths: Vec<String>,
}

/// What a worker measured, or why it could not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Samples(Vec<f64>),
    Failed(String),
}

/// Where the server, or something that stands before it, listens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Services<Address = SocketAddr> {
    /// Sends back what it gets.
    pub(crate) echo: Address,
    /// Sends without end.
    pub(crate) source: Address,
    /// HTTP over TLS.
    pub(crate) https: Address,
}

/// Where the server is, on a command line.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ServiceArgs {
    /// Where the echo service is.
    #[arg(long)]
    echo: SocketAddr,
    /// Where the source is.
    #[arg(long)]
    source: SocketAddr,
    /// Where the HTTPS service is.
    #[arg(long)]
    https: SocketAddr,
}

impl From<ServiceArgs> for Services {
    fn from(args: ServiceArgs) -> Self {
        Self {
            echo: args.echo,
            source: args.source,
            https: args.https,
        }
    }
}

/// The names that the client knows the server by, where it goes by name; the certificate is for the last.
pub(crate) const NAMES: Services<&str> = Services {
    echo: "echo.bench.internal",
    source: "source.bench.internal",
    https: "https.bench.internal",
};

impl<A> Services<A> {
    /// The same services under other addresses.
    pub(crate) fn map<B>(self, mut f: impl FnMut(A) -> B) -> Services<B> {
        Services {
            echo: f(self.echo),
            source: f(self.source),
            https: f(self.https),
        }
    }

    /// Each service with the other's of the same kind.
    pub(crate) fn zip<B>(self, other: Services<B>) -> Services<(A, B)> {
        Services {
            echo: (self.echo, other.echo),
            source: (self.source, other.source),
            https: (self.https, other.https),
        }
    }

    /// All three.
    pub(crate) fn into_array(self) -> [A; 3] {
        [self.echo, self.source, self.https]
    }
}
