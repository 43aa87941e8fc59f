//! `bailiwick up`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bailiwick_store::DatabaseUrl;

/// The program that this one becomes; it lies beside it.
const SERVER: &str = "bailiwick-server";

/// Serve an organization: its environments, policies, keys and audit log.
///
/// Without a database's URL everything is kept in SQLite in the data directory. The first start makes an organization, its Default
/// environment and an administrator, and prints the administrator's key, once.
///
/// Secrets of vaults are sealed (AES-256-GCM). With SQLite the first start makes the key, `secret.key` in the data directory: back it up,
/// apart from the database. With PostgreSQL it must be given. To change it put the new key before the old one, start again, and take the
/// old one away once a start has said that everything was sealed anew. Where several servers run, give the new key to all of them as the
/// last one first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick up
  bailiwick up --listen 0.0.0.0:8080 --database-url postgres://bailiwick@db.example.com/bailiwick
  BAILIWICK_BOOTSTRAP_KEY=\"$(openssl rand -hex 32)\" bailiwick up
      Unattended: the administrator's key is the one that was given.
  bailiwick up --secret-key-file <(decrypt-with-kms secret.key.encrypted)
      A pipe will do, so that the key lies nowhere.")]
pub(crate) struct Arguments {
    /// Where data is kept [default: `server` in the state directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE [default: sqlite in the data directory].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<DatabaseUrl>,
    /// The keys that secrets are sealed with: one a line, 32 bytes in hexadecimal or base64, the current one first. Nobody else may be able
    /// to read the file [default: BAILIWICK_SECRET_KEY, or with SQLite a file in the data directory].
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_key_file: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

/// Becomes the server, with the arguments that were just understood.
pub(crate) fn execute() -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let server = own.with_file_name(SERVER);
    if !server.is_file() {
        bail!(
            "{} is not there: the server is a program of its own beside this one (`cargo build -p bailiwick --bins` builds both, an installation has both)",
            server.display()
        );
    }
    let mut arguments = std::env::args_os().skip(1);
    let given: Vec<OsString> = arguments
        .by_ref()
        .skip_while(|word| word != "up")
        .skip(1)
        .collect();
    #[expect(
        clippy::disallowed_methods,
        reason = "it becomes a program of its own, and starts none beside it"
    )]
    let error = std::process::Command::new(&server).args(given).exec();
    Err(error).with_context(|| format!("cannot become {}", server.display()))
}
