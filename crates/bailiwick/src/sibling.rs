//! The program beside this one.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

/// Its name.
const NAME: &str = "bailiwick-server";

/// Where it is.
///
/// # Errors
///
/// If it is not there.
pub(crate) fn path() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let path = own.with_file_name(NAME);
    if !path.is_file() {
        bail!(
            "{} is not there: `bailiwick` is two programs, and what has to do with a server or a registry is in the second, beside the first (`cargo build -p bailiwick --bins` builds both, an installation has both)",
            path.display()
        );
    }
    Ok(path)
}

/// Becomes it, with the arguments that were just understood.
///
/// # Errors
///
/// If it is not there, or cannot be started.
pub(crate) fn become_it() -> anyhow::Result<ExitCode> {
    let path = path()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it becomes a program of its own, and starts none beside it"
    )]
    let error = std::process::Command::new(&path)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).with_context(|| format!("cannot become {}", path.display()))
}
