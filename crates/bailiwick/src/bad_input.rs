//! What a person can have typed or written wrong; each ends in exit code 2, and nothing was started.

use std::io;
use std::path::{Path, PathBuf};

use bailiwick_control::NotAHostPath;
use bailiwick_control::SealingKeysError;
use bailiwick_dial::ProxyUrlError;
use bailiwick_export::NotAWebhookSecret;
use bailiwick_images::InvalidBase;
use bailiwick_images::lock::{LockMismatch, NotALock};
use bailiwick_llm::{NotABaseUrl, NotASecret};
use bailiwick_model::SandboxId;
use bailiwick_model::limits::HOST_PORTS;
use bailiwick_sandbox::ProgramError;
use bailiwick_wire::EnvironmentFileErrors;

use crate::command::mcp_catalog::NotImported;
use crate::server::NotAConfig;

/// Input that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadInput {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file is not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// A file is larger than what it is read for can be.
    #[error("{} has more than {limit} bytes", .path.display())]
    TooLarge { path: PathBuf, limit: usize },
    /// Something else stands where a directory is wanted.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Something else stands where a file is wanted.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// A work directory beside a project.
    #[error(
        "the project is what the program works in, at /workspace/{0}: leave out --workdir, or the project"
    )]
    WorkdirWithProject(String),
    /// A repository over ssh without a key.
    #[error(
        "a repository over ssh needs --ssh-key FILE, a private key without a passphrase that may read it"
    )]
    NoSshKey,
    /// A repository over ssh without known hosts.
    #[error(
        "a repository over ssh needs the keys of hosts that you trust: ~/.ssh/known_hosts, or --ssh-known-hosts FILE (`ssh-keyscan HOST` prints what to check and put there)"
    )]
    NoKnownHosts,
    /// The file of `--ca` holds no certificate.
    #[error("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// The file of `--flows` cannot be written.
    #[error("cannot write flows to {}", .path.display())]
    FlowLog { path: PathBuf, source: io::Error },
    /// The file of `--flows` is reached through a symbolic link in the work directory that leads out of it.
    #[error("{} leaves the work directory through a symbolic link, which a program may have left there; name the real place", .0.display())]
    FlowLogLeavesWorkDirectory(PathBuf),
    /// What is said of telemetry cannot be used.
    #[error(transparent)]
    Telemetry(#[from] bailiwick_telemetry::InvalidSettings),
    /// A proxy variable of the environment cannot be used.
    #[error(
        "the proxy of the environment (https_proxy, all_proxy or http_proxy) cannot be used (unset it, or give --upstream-proxy)"
    )]
    ProxyVariable(#[source] ProxyUrlError),
    /// The environment and `--host-port` open too many ports together.
    #[error(
        "the environment and --host-port open {0} ports of the host together, more than {HOST_PORTS}"
    )]
    TooManyHostPorts(usize),
    /// A line of a flow file is no flow.
    #[error("{}:{line} is not a flow, as `bailiwick run --flows FILE` writes them", .path.display())]
    Flow {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    /// No such sandbox runs.
    #[error("no sandbox {0} is running; `bailiwick ps` lists those that are")]
    NoSandbox(SandboxId),
    /// A lock file is none.
    #[error("{} cannot be used as a lock", .path.display())]
    Lock { path: PathBuf, source: NotALock },
    /// A lock was made for something else.
    #[error(
        "{} cannot be used (`bailiwick image lock` brings it up to date, --no-lock leaves it alone)", .path.display()
    )]
    LockMismatch { path: PathBuf, source: LockMismatch },
    /// A lock is wanted, and there is none.
    #[error("there is no lock {}; `bailiwick image lock` writes one", .0.display())]
    NoLock(PathBuf),
    /// The file of a body with a secret is none.
    #[error("{} cannot be read as YAML or JSON, at line:column {places}", .path.display())]
    SecretFile { path: PathBuf, places: String },
    /// There is nothing where a secret should be.
    #[error("{} holds no secret", .0.display())]
    NoSecret(PathBuf),
    /// A secret that the program could read.
    #[error(
        "{} is in {}, which the program can read: keep the secret elsewhere", .file.display(), .directory.display()
    )]
    SecretWithin { file: PathBuf, directory: PathBuf },
    /// A credential without its secret.
    #[error("a credential needs --secret-file FILE, or -f FILE")]
    NoSecretFile,
    /// A file holds something else than the command is for.
    #[error("{} must hold one document of `kind: {wanted}`", .path.display())]
    NotOneDocument { path: PathBuf, wanted: &'static str },
    /// A call that is to be confirmed with another word.
    #[error("a call is confirmed with `allow` or `deny`, not with {0:?}")]
    NotAVerdict(String),
    /// A worker of nobody.
    #[error("a worker needs --base-url URL, the service that it works for (or ANTHROPIC_BASE_URL)")]
    NoService,
    /// A worker without the environment's id.
    #[error("a worker needs --environment-id ID (or ANTHROPIC_ENVIRONMENT_ID)")]
    NoEnvironmentId,
    /// A worker without a key.
    #[error(
        "a worker needs the key of its environment, which `bailiwick environment key create` makes: --environment-key-file FILE (or ANTHROPIC_ENVIRONMENT_KEY)"
    )]
    NoEnvironmentKey,
    /// A worker's environment with what workers do not make.
    #[error("a worker makes no sandboxes with a `base` or a `project`: leave them out")]
    WorkerEnvironment,
    /// A file of MCP servers cannot be imported.
    #[error(transparent)]
    NotImported(#[from] NotImported),
    /// What is to be a name and a value is not.
    #[error("{0:?} is not NAME=VALUE")]
    NotAPair(String),
    /// What is to be a package and its manager is not.
    #[error("{0:?} is not MANAGER:PACKAGE, such as npm:typescript")]
    NotAPackage(String),
    /// There is nothing to change.
    #[error("nothing is to be changed: say what, see --help")]
    NothingToChange,
    /// A directory without a document.
    #[error("{} has nothing to apply: no file called *.yaml, *.yml or *.json", .0.display())]
    NothingToApply(PathBuf),
    /// A directory with too many documents.
    #[error("{} has more than {limit} files to apply", .path.display())]
    TooManyToApply { path: PathBuf, limit: usize },
    /// Documents that are too large together.
    #[error("with {} there are more than {limit} bytes to apply", .path.display())]
    TooMuchToApply { path: PathBuf, limit: usize },
    /// Directories too far inside one another.
    #[error("{} lies more than {limit} directories deep", .path.display())]
    TooDeep { path: PathBuf, limit: usize },
    /// Too many files.
    #[error("with {} there are more than {limit} files", .path.display())]
    TooManyFiles { path: PathBuf, limit: usize },
    /// Files that are too large together.
    #[error("with {} there are more than {limit} bytes", .path.display())]
    TooMuch { path: PathBuf, limit: u64 },
    /// The floor has no such rule.
    #[error(
        "the floor does not deny {0:?}; `bailiwick organization get -o yaml` shows what it denies"
    )]
    NotInFloor(String),
    /// Nobody can be asked.
    #[error(
        "nobody can be asked here: give --yes to do it, or --dry-run to only see it; nothing was written"
    )]
    NotConfirmed,
    /// What was wrong with what is to be applied was printed already.
    #[error("{0}; nothing was written")]
    NotApplied(String),
    /// A base of an environment that cannot be one.
    #[error("the environment's base cannot be used")]
    Base(#[source] InvalidBase),
    /// An export that was asked for twice.
    #[error("{0} is exported twice")]
    ExportTwice(String),
    /// What webhooks would be signed with is no secret.
    #[error("{place} holds no secret to sign with")]
    ExportSecret {
        place: String,
        source: NotAWebhookSecret,
    },
    /// A directory that environments cannot name.
    #[error("--allow-host-path cannot be used")]
    HostPath(#[from] NotAHostPath),
    /// PostgreSQL without a key.
    #[error(
        "the key that seals secrets must be given with PostgreSQL, which several servers can share: --secret-key-file FILE, --secret-key-command COMMAND or BAILIWICK_SECRET_KEY, the same for all (`openssl rand -hex 32` makes one)"
    )]
    NoSecretKey,
    /// The key of the data directory is gone.
    #[error(
        "{} is missing, and the database holds secrets that are sealed with it: put it back from the backup, or give it with --secret-key-file FILE", .0.display()
    )]
    LostSecretKey(PathBuf),
    /// Keys that somebody else knows.
    #[error("{} can be read or written by others: `chmod 600` it, and let it belong to you or root", .0.display())]
    OpenSecretKey(PathBuf),
    /// Something else than keys.
    #[error("{place} does not hold the keys that secrets are sealed with")]
    SecretKey {
        place: String,
        source: SealingKeysError,
    },
    /// The command that prints keys did not.
    #[error("--secret-key-command gives no keys")]
    SecretKeyCommand(#[source] ProgramError),
    /// It printed something else than text.
    #[error("--secret-key-command gives no keys: what it prints is no text")]
    SecretKeyCommandText,
    /// The file of `--config` cannot be used.
    #[error("{} cannot be used", .path.display())]
    Config { path: PathBuf, source: NotAConfig },
    /// `ANTHROPIC_BASE_URL` is none that models can be asked at.
    #[error("ANTHROPIC_BASE_URL cannot be used")]
    ModelUrl(#[source] NotABaseUrl),
    /// `ANTHROPIC_API_KEY` is no key.
    #[error("ANTHROPIC_API_KEY cannot be used")]
    ModelKey(#[source] NotASecret),
    /// Keys that secrets are sealed with were not given.
    #[error(
        "the database holds secrets that are sealed with keys that were not given ({}): add them after the current one", .0.join(", ")
    )]
    MissingSecretKeys(Vec<String>),
    /// An environment file with its problems; printed with their places.
    #[error(transparent)]
    EnvironmentFile(#[from] EnvironmentFileErrors),
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
///
/// [`BadInput`], with the path.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, BadInput> {
    use std::io::Read;
    let unreadable = |source| BadInput::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    // One byte more than allowed, so that too much is seen, whatever the file system says about the size.
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > limit {
        return Err(BadInput::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    String::from_utf8(bytes).map_err(|_| BadInput::NotText(path.to_owned()))
}
