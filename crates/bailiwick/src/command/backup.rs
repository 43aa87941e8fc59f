//! `bailiwick backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bailiwick_store::{check_copy, copy_database};

use crate::database::DatabaseArguments;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Write a copy of the embedded database to a file, also while a server uses it.
///
/// The copy holds what was acknowledged before it began, all of it or, of a change, nothing; it is read back before it gets its name. It is as
/// secret as the data directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick backup /var/backups/bailiwick-$(date +%F).db
  bailiwick backup --data /srv/bailiwick /mnt/backup/bailiwick.db")]
pub(crate) struct Arguments {
    /// Where to; it must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArguments,
}

pub(crate) fn execute(arguments: Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let from = arguments.database.file(host)?;
    anyhow::ensure!(from.exists(), "there is no database {}", from.display());
    let to = &arguments.file;
    anyhow::ensure!(!to.exists(), "{} is there already", to.display());
    let told = || format!("cannot write {}", to.display());
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Only its owner may read it, as tempfile has it.
    let file = tempfile::Builder::new()
        .prefix(".bailiwick-backup-")
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .with_context(told)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        copy_database(&from, file.path())
            .await
            .context("cannot copy the database")?;
        check_copy(file.path())
            .await
            .context("the copy cannot be used")
    })?;
    // SQLite does not sync what it vacuums into.
    file.as_file().sync_all().with_context(told)?;
    file.persist_noclobber(to).with_context(told)?;
    output::print(&format!(
        "{} has a copy of {}\n",
        to.display(),
        from.display()
    ))?;
    Ok(Exit::Done.into())
}
