//! `bailiwick run`.

mod request;
pub(crate) mod session;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_dial::ProxyUrl;
use bailiwick_images::{BaseSource, Registry};
use bailiwick_policy::Pin;

use crate::credential::CredentialArgument;
use crate::host_environment::HostEnvironment;
use crate::images::ProgressForm;
use crate::lock_source::LockArguments;
use crate::project::ProjectArguments;
use crate::value::{self, Bytes, MilliCpus, Variable};

pub(crate) use request::RunRequest;

/// Run a program inside an environment.
///
/// The program sees the work directory at /workspace, the host's programs read-only, and private directories that vanish
/// with it. It reaches what the environment's policy allows and nothing else: there is no route out of its network, and
/// every connection is decided before it is made. Terminal, pipes, signals and exit code behave as without Bailiwick.
///
/// Without -f the built-in policy holds: every public destination, never the host, private networks or cloud metadata.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick run -- curl https://example.com
      The public internet, and nothing of this machine or its network.
  bailiwick run -f examples/node-test.yaml -- npm test
      What the environment allows; the summary names what it denied and the rule that would allow it.
  bailiwick run -f environment.yaml --dry-run -- make
      Print what would be done: mounts, namespaces, limits, rules and the policy with its source.
  bailiwick run -f environment.yaml --resolve api.staging.example.com=127.0.0.1:8443 -- pytest
      Let a name lead to a server on this machine.
  bailiwick run -f environment.yaml --locked -- pytest
      With exactly the packages that environment.lock says.
  bailiwick run --memory 2GiB --cpus 1.5 --timeout 10m -- cargo test
      With limits.
  bailiwick run --credential API_TOKEN=token.txt,host=api.example.com -- ./deploy.sh
      The program sends $API_TOKEN, api.example.com gets what token.txt holds, and the program never has it.
  bailiwick run --project https://git.example.com/team/app.git#main -- make test
      At the head of a branch, in a copy that is the sandbox's own.
  bailiwick run -- bash
      A shell.")]
pub(crate) struct Arguments {
    /// The environment file. Without it: the built-in policy.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The directory that the program works in, mounted read-write at /workspace [default: the current directory].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Set a variable in the program's environment; may be given many times.
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = value::variable)]
    pub(crate) env: Vec<Variable>,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print no summary at the end.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// How to tell of packages that are installed first.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = ProgressForm::Text)]
    pub(crate) progress: ProgressForm,
    /// Write every flow as a JSON line to this file as it happens; appends.
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) project: ProjectArguments,
    #[command(flatten)]
    pub(crate) network: NetworkArguments,
    #[command(flatten)]
    pub(crate) lock: LockArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) files: FileArguments,

    /// The program and its arguments.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// What the program reaches, beside the environment's policy.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArguments {
    /// Let requests to a host carry a secret that the program never sees: the variable NAME holds a placeholder inside, which is replaced on
    /// the way out. The secret is what FILE holds; hosts are names, *.NAME and IPv4 addresses. It goes into header fields (all, or those of
    /// field=FIELD), and with in=body into bodies. May be given many times.
    #[arg(
        long = "credential",
        value_name = "NAME=FILE,host=HOST[,host=HOST][,in=header|body][,field=FIELD]"
    )]
    pub(crate) credentials: Vec<CredentialArgument>,
    /// Let a name lead to an address (and port) of your choice; may be given many times. The policy must allow the name.
    /// An address on this machine's loopback needs the port.
    #[arg(long, value_name = "NAME=ADDR[:PORT]")]
    pub(crate) resolve: Vec<Pin>,
    /// Open a port of this machine's loopback as host.internal:PORT, in addition to the environment's `host_ports`.
    #[arg(long = "host-port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) host_ports: Vec<u16>,
    /// Offer a port on which a server inside listens on this machine's loopback.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) publish: Vec<u16>,
    /// Trust the CA certificates of this PEM file inside, in addition to those that this machine trusts.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Reach the network through this HTTP proxy [default: https_proxy or all_proxy of the environment].
    #[arg(long, value_name = "URL", value_parser = ProxyUrl::parse)]
    pub(crate) upstream_proxy: Option<ProxyUrl>,
    /// Install the environment's packages from another registry than the public one (MANAGER: apt, cargo, gem, go, npm or pip); may be given many times. The
    /// program itself reaches it only if the policy allows that.
    #[arg(long = "registry", value_name = "MANAGER=URL")]
    pub(crate) registries: Vec<Registry>,
    /// Allow names whose addresses cannot be checked here because the upstream proxy resolves them.
    #[arg(long)]
    pub(crate) trust_proxy_dns: bool,
}

/// What the program may use up.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Memory, such as 2GiB or 512MiB.
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) memory: Option<Bytes>,
    /// Processors, such as 2 or 1.5.
    #[arg(long, value_name = "NUMBER", value_parser = value::cpus)]
    pub(crate) cpus: Option<MilliCpus>,
    /// Processes and threads.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pids: Option<u32>,
    /// What may be written outside the work directory, such as 10GiB.
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) disk: Option<Bytes>,
    /// End the program after this time, such as 10m or 1h30m; the exit code is then 124.
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// What the program sees of the file system, and as whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "File system and identity")]
pub(crate) struct FileArguments {
    /// Mount a toolchain of the host read-only at its place, its credentials masked; may be given many times. rustup,
    /// nvm, pyenv and the like are found without it.
    #[arg(long = "toolchain", value_name = "DIR")]
    pub(crate) toolchains: Vec<PathBuf>,
    /// What the sandbox stands on: host (its own programs), dir:PATH, tar:PATH, debian:SUITE or oci:REFERENCE. All but the first two are
    /// made once and kept, as images are [default: what the environment names, else host].
    #[arg(long, value_name = "BASE")]
    pub(crate) base: Option<BaseSource>,
    /// Let the program write what this host later runs or trusts: .git/hooks, .git/config, .envrc, editor and agent
    /// settings.
    #[arg(long)]
    pub(crate) writable_meta: bool,
    /// Take a work directory that holds unix sockets.
    #[arg(long)]
    pub(crate) allow_sockets: bool,
    /// Be uid 0 inside. It is nobody outside.
    #[arg(long)]
    pub(crate) root: bool,
}

pub(crate) fn execute(arguments: Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    session::run(RunRequest::new(arguments, host)?, host)
}
