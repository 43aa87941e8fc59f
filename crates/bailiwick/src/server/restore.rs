//! What `bailiwick restore` does.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bailiwick_store::check_copy;
use tempfile::NamedTempFile;

use crate::bad_input::BadInput;
use crate::clock;
use crate::command::restore::Arguments;
use crate::database_lock::DatabaseLock;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output;

/// Files that SQLite keeps beside a database, and that belong to it alone.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let to = arguments.database.file(host)?;
    let _lock = DatabaseLock::take(&to)?;
    let there = to.try_exists()?;
    anyhow::ensure!(
        !there || arguments.replace,
        "there is a database already, {}: --replace puts the copy in its place and keeps it under another name",
        to.display()
    );
    let copy = copied(&arguments.file, &to)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(check_copy(copy.path()))
        .with_context(|| format!("{} cannot be used", arguments.file.display()))?;
    if there {
        let kept = set_aside(&to)?;
        output::print(&format!("what was there is {} now\n", kept.display()))?;
    }
    let told = || format!("cannot write {}", to.display());
    copy.persist_noclobber(&to).with_context(told)?;
    // The name lasts, too.
    File::open(directory(&to))?.sync_all().with_context(told)?;
    output::print(&format!(
        "{} is what {} was\n",
        to.display(),
        arguments.file.display()
    ))?;
    Ok(Exit::Done.into())
}

fn directory(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The copy, on the file system of the database, readable for its owner alone.
fn copied(from: &Path, to: &Path) -> anyhow::Result<NamedTempFile> {
    let mut source = File::open(from).map_err(|source| BadInput::Unreadable {
        path: from.to_owned(),
        source,
    })?;
    let mut copy = tempfile::Builder::new()
        .prefix(".bailiwick-restore-")
        .tempfile_in(directory(to))?;
    io::copy(&mut source, &mut copy)?;
    copy.as_file().sync_all()?;
    Ok(copy)
}

/// Gives the database another name, with what belongs to it: a log of another database would be applied to the copy.
fn set_aside(database: &Path) -> anyhow::Result<PathBuf> {
    let named = |name: &Path, end: &str| {
        let mut name = name.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    // One that was kept in the same second has a number less.
    let now = clock::now_seconds();
    let names = (1..).map(|number| named(database, &format!(".replaced-{now}-{number}")));
    let kept = names.into_iter().find(|name| !name.exists());
    let kept = kept.context("no name is free")?;
    for end in BESIDE {
        match fs::rename(named(database, end), named(&kept, end)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.with_context(|| format!("cannot rename {}", database.display()))?,
        }
    }
    Ok(kept)
}
