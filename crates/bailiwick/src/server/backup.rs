//! What `bailiwick backup` does.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bailiwick_store::{check_copy, copy_database};

use crate::command::backup::Arguments;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
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
