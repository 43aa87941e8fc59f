//! The program beside this one.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, bail};

/// The program that this one becomes.
const SERVER: &str = "bailiwick-server";

/// Becomes the server, with the arguments that were just understood.
///
/// # Errors
///
/// If it is not there, or cannot be started.
pub(crate) fn become_server() -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let server = own.with_file_name(SERVER);
    if !server.is_file() {
        bail!(
            "{} is not there: the server is a program of its own beside this one (`cargo build -p bailiwick --bins` builds both, an installation has both)",
            server.display()
        );
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "it becomes a program of its own, and starts none beside it"
    )]
    let error = std::process::Command::new(&server)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).with_context(|| format!("cannot become {}", server.display()))
}
