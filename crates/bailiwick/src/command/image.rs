//! `bailiwick image`.

mod build;
mod gc;
mod list;
mod log;
mod refresh;
mod remove;
mod show;

use std::process::ExitCode;

use anyhow::{Context, bail};
use bailiwick_images::{Layer, Store};

use crate::host_environment::HostEnvironment;

/// Build, show and remove images: packages of environments, installed once.
///
/// An image is one layer for each package manager that an environment declares packages of. Layers are found by what they are
/// made of, so environments with the same packages share them. `bailiwick run` builds what is missing by itself.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Build(Box<build::Arguments>),
    List(list::Arguments),
    Show(show::Arguments),
    Log(log::Arguments),
    Refresh(Box<refresh::Arguments>),
    Remove(remove::Arguments),
    Gc(gc::Arguments),
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Build(arguments) => build::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Show(arguments) => show::execute(&arguments, host),
        Command::Log(arguments) => log::execute(&arguments, host),
        Command::Refresh(arguments) => refresh::execute(&arguments, host),
        Command::Remove(arguments) => remove::execute(&arguments, host),
        Command::Gc(arguments) => gc::execute(&arguments, host),
    }
}

/// The layer whose key begins with these digits.
fn layer(store: &Store, digits: &str) -> anyhow::Result<Layer> {
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    let mut found = store
        .list()?
        .into_iter()
        .filter(|layer| layer.key.digits().starts_with(digits));
    let first = found.next().with_context(|| {
        format!("no layer's key begins with {digits:?}; see `bailiwick image list`")
    })?;
    if found.next().is_some() {
        bail!("more than one layer's key begins with {digits:?}; give more of its digits");
    }
    Ok(first)
}

/// Enough of a key to find it again.
fn short(layer: &Layer) -> &str {
    &layer.key.digits()[..12]
}

/// Bytes, for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes.div_ceil(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
