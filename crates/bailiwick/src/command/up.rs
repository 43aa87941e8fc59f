//! `bailiwick up`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_control::Export;
use bailiwick_policy::{CidrRule, Pin, PinError};

use crate::database::DatabaseArguments;
use crate::log::LogArguments;
use crate::server::TrustedProxy;
use crate::telemetry::TelemetryArguments;
use crate::value;

/// Serve an organization: its environments, policies, keys and audit log.
///
/// Without a database's URL everything is kept in SQLite in the data directory. The first start makes an organization, its Default
/// environment and an administrator, and prints the administrator's key, once.
///
/// Secrets of vaults are sealed (AES-256-GCM). With SQLite the first start makes the key, `secret.key` in the data directory: back it up,
/// apart from the database. With PostgreSQL it must be given. To change it put the new key before the old one, start again, and take the
/// old one away once a start has said that everything was sealed anew. Where several servers run, give the new key to all of them as the
/// last one first.
///
/// Agents of sessions work here: their models are asked at $ANTHROPIC_BASE_URL with $ANTHROPIC_API_KEY, and their tools run in sandboxes on
/// this machine, one for each session, under the policy of its environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick up
  bailiwick up --listen 0.0.0.0:8080 --database-url postgres://bailiwick@db.example.com/bailiwick
  BAILIWICK_BOOTSTRAP_KEY=\"$(openssl rand -hex 32)\" bailiwick up
      Unattended: the administrator's key is the one that was given.
  bailiwick up --export audit=file:/var/log/bailiwick/audit.jsonl --export audit=syslog+tcp://logs.example.com
  bailiwick up --otlp-endpoint http://127.0.0.1:4318 --otlp-sampler parentbased_traceidratio=0.1
      A trace of each tenth request, and all numbers, to a collector of OpenTelemetry.
  bailiwick up --secret-key-command 'decrypt-with-kms secret.key.encrypted'
      So the key lies nowhere.
  bailiwick up --config /etc/bailiwick/server.yaml --trusted-proxy 10.0.0.0/8")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) database: DatabaseArguments,
    /// The keys that secrets are sealed with: one a line, 32 bytes in hexadecimal or base64, the current one first. Nobody else may be able
    /// to read the file [default: $BAILIWICK_SECRET_KEY, or with SQLite a file in the data directory].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<PathBuf>,
    /// A command that prints these keys, such as the client of a key management service; `/bin/sh -c` runs it at every start, for 30 seconds
    /// at most.
    #[arg(long, value_name = "COMMAND", conflicts_with = "secret_key_file")]
    pub(crate) secret_key_command: Option<String>,
    /// Further settings, in YAML: identity providers, trusted proxies, the command above.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Believe the proxy at this address, or those of this network, where requests came from (`Forwarded`, `X-Forwarded-For`); may be given
    /// many times.
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    pub(crate) trusted_proxies: Vec<TrustedProxy>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where to answer `/metrics`, and there alone [default: with everything else].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Let environments name this directory of this machine, and what is below it, as a base (`dir:`, `tar:`) or a repository (`file://`);
    /// may be given many times. Without it they name none.
    #[arg(long = "allow-host-path", value_name = "DIR")]
    pub(crate) host_paths: Vec<PathBuf>,
    /// Export records as they are made; may be given many times. RECORDS is `audit`, `flows` or `limits`; DESTINATION is file:PATH, syslog+udp://HOST[:PORT],
    /// syslog+tcp://HOST[:PORT], syslog+unix:PATH or https://HOST/PATH (a webhook).
    #[arg(long = "export", value_name = "RECORDS=DESTINATION")]
    pub(crate) exports: Vec<Export>,
    /// The secret that webhooks are signed with, `whsec_` and base64. Nobody else may be able to read the file [default:
    /// $BAILIWICK_EXPORT_SECRET].
    #[arg(long, value_name = "FILE")]
    pub(crate) export_secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArguments,
    /// Pin a name that credentials or model upstreams name (MCP servers, token endpoints, models) to an address; may be given many times. Only
    /// so may one be on this machine.
    #[arg(long, value_name = "NAME=ADDR[:PORT]")]
    pub(crate) resolve: Vec<Pin>,
    #[command(flatten)]
    pub(crate) work: WorkArguments,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}

/// How agents work.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Agents")]
pub(crate) struct WorkArguments {
    /// Processes that sandboxes of sessions are in [default: one for each processor].
    #[arg(long, value_name = "NUMBER", conflicts_with = "no_sandboxes")]
    pub(crate) sandbox_hosts: Option<NonZeroUsize>,
    /// Run no sandboxes on this machine: agents have no tools that need one.
    #[arg(long)]
    pub(crate) no_sandboxes: bool,
    /// Let a name lead sandboxes to an address (and port) of your choice; may be given many times. The policy must allow the name. An address on
    /// this machine's loopback needs the port.
    #[arg(long, value_name = "NAME=ADDR[:PORT]", value_parser = pin)]
    pub(crate) sandbox_resolve: Vec<String>,
    /// Let the model upstreams of organizations be in this network, which is not public; may be given many times. Without it they are public
    /// servers.
    #[arg(long = "model-upstream-cidr", value_name = "CIDR[:PORT]")]
    pub(crate) model_upstream_cidrs: Vec<CidrRule>,
    /// Certificates (PEM) that sandboxes trust besides this machine's, and by which servers are known that get the secrets of credentials, or
    /// that pages are fetched from.
    #[arg(long, value_name = "FILE")]
    pub(crate) sandbox_ca: Option<PathBuf>,
    /// How long the sandbox of a session that does nothing runs on, such as 90s or 1h; then its files are kept, and it is stopped until the next
    /// call [default: 10m].
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub(crate) sandbox_idle: Option<Duration>,
}

/// The text of a pin that is one: it goes to another process.
pub(super) fn pin(text: &str) -> Result<String, PinError> {
    text.parse::<Pin>().map(|_| text.to_owned())
}
