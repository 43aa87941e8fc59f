//! `bailiwick worker`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_worker::WireId;
use url::Url;

use super::up::pin;
use crate::log::LogArguments;
use crate::value;

/// Work for a self-hosted environment, in sandboxes on this machine.
///
/// It takes sessions from the environment's queue, and runs the calls of their tools. The service is a `bailiwick up`, or any other that speaks the same API. Each session gets a sandbox of its own, under the policy of the
/// environment file, which is this machine's to choose: what the service says changes nothing about it. Without a sandbox nothing is run.
///
/// SIGTERM or Ctrl-C ends it: calls have --grace to end, files of sessions are kept for when they go on here, and what was not finished is
/// given back to the queue. Of a call that was cut off the agent is told that it may have happened, also after a crash; none is run twice.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick worker --base-url https://agents.example.com --environment-id env_01JQ8ZK5T6W3R9X2 --environment-key-file worker.key
  ANTHROPIC_ENVIRONMENT_KEY=bwe_… bailiwick worker --base-url http://127.0.0.1:8080 --environment-id env_01JQ8ZK5T6W3R9X2 -f payments.yaml")]
pub(crate) struct Arguments {
    /// The service [default: $ANTHROPIC_BASE_URL].
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<Url>,
    /// Send the key without TLS to another machine, too.
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// The environment whose queue it serves, on that service [default: $ANTHROPIC_ENVIRONMENT_ID].
    #[arg(long, value_name = "ID")]
    pub(crate) environment_id: Option<WireId>,
    /// The key of that environment. Everybody on this machine sees it here: better a file, or the variable [default:
    /// $ANTHROPIC_ENVIRONMENT_KEY].
    #[arg(long, value_name = "KEY", conflicts_with = "environment_key_file")]
    pub(crate) environment_key: Option<String>,
    /// A file with the key of that environment; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) environment_key_file: Option<PathBuf>,
    /// The environment file whose policy and packages its sandboxes have [default: the built-in policy, as `bailiwick run` has it].
    #[arg(short = 'f', long = "environment", value_name = "FILE")]
    pub(crate) environment: Option<PathBuf>,
    /// Sessions that it serves at once.
    #[arg(long, value_name = "NUMBER", default_value = "4")]
    pub(crate) max_sessions: NonZeroUsize,
    /// How long it stays with a session that rests; then the session's files are kept, for when it goes on.
    #[arg(long, value_name = "DURATION", value_parser = value::duration, default_value = "60s")]
    pub(crate) max_idle: Duration,
    /// How long an item is to be its own without a heartbeat, from 1s to 1h [default: as the service has it].
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub(crate) lease: Option<Duration>,
    /// How long calls may go on once it is asked to end.
    #[arg(long, value_name = "DURATION", value_parser = value::duration, default_value = "10s")]
    pub(crate) grace: Duration,
    /// What it calls itself: letters, digits, `_` and `-`. Two on one machine have two names [default: the machine's name].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<WireId>,
    /// Processes that sandboxes are in [default: one for each processor].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) sandbox_hosts: Option<NonZeroUsize>,
    /// Let a name lead sandboxes to an address (and port) of your choice; may be given many times. The policy must allow the name. An address on
    /// this machine's loopback needs the port.
    #[arg(long, value_name = "NAME=ADDR[:PORT]", value_parser = pin)]
    pub(crate) resolve: Vec<String>,
    /// Certificates (PEM) that sandboxes trust besides this machine's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}
