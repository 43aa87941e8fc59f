//! `bailiwick image`.

mod build;
mod gc;
mod list;
mod lock;
mod log;
mod refresh;
mod remove;
mod sbom;
mod show;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bailiwick_images::{BaseSource, BuildLimits, Layer, Registry, Store};
use bailiwick_runtime::LayerDigest;

use crate::environment_source::Environment;
use crate::host_environment::HostEnvironment;
use crate::images::{Images, ProgressForm, Telling};
use crate::project::Fetching;
use crate::value::{self, Bytes};

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
    Lock(Box<lock::Arguments>),
    Sbom(Box<sbom::Arguments>),
    Refresh(Box<refresh::Arguments>),
    Remove(remove::Arguments),
    Gc(gc::Arguments),
}

/// What is built, and how that is told.
#[derive(Debug, clap::Args)]
struct BuildArguments {
    /// Ask another registry than the public one (MANAGER: apt, cargo, gem, go, npm or pip); may be given many times.
    #[arg(long = "registry", value_name = "MANAGER=URL")]
    registries: Vec<Registry>,
    /// What the image stands on: host, dir:PATH, tar:PATH, debian:SUITE or oci:REFERENCE [default: what the environment names, else host].
    #[arg(long, value_name = "BASE")]
    base: Option<BaseSource>,
    /// Tell nothing while it goes on.
    #[arg(short, long)]
    quiet: bool,
    /// How to tell of what goes on.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = ProgressForm::Text)]
    progress: ProgressForm,
}

impl BuildArguments {
    fn images(
        &self,
        environment: &Environment,
        fetching: Fetching,
        host: &HostEnvironment,
    ) -> anyhow::Result<Images> {
        let base = environment.base(self.base.clone())?;
        Images::open(&base, &self.registries, fetching, host)
    }

    fn telling(&self) -> Telling {
        Telling::of(self.progress, self.quiet)
    }
}

/// What the build of one layer may use up.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits of the build of one layer")]
struct LimitArguments {
    /// Memory, such as 2GiB, where a control group can hold it [default: 8GiB if one can].
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    memory: Option<Bytes>,
    /// Processes and threads [default: 4096].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pids: Option<u32>,
    /// What it may write to the layer, such as 2GiB [default: 20GiB].
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    disk: Option<Bytes>,
    /// How long it may take, such as 10m [default: 30m].
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    timeout: Option<Duration>,
}

impl LimitArguments {
    /// Changes what was named.
    fn change(&self, limits: &mut BuildLimits) {
        limits.time = self.timeout.unwrap_or(limits.time);
        limits.disk_bytes = self.disk.map_or(limits.disk_bytes, |disk| disk.0);
        limits.memory_bytes = self.memory.map(|memory| memory.0).or(limits.memory_bytes);
        limits.processes = self.pids.or(limits.processes);
    }
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Build(arguments) => build::execute(&arguments, host),
        Command::List(arguments) => list::execute(&arguments, host),
        Command::Show(arguments) => show::execute(&arguments, host),
        Command::Log(arguments) => log::execute(&arguments, host),
        Command::Lock(arguments) => lock::execute(&arguments, host),
        Command::Sbom(arguments) => sbom::execute(&arguments, host),
        Command::Refresh(arguments) => refresh::execute(&arguments, host),
        Command::Remove(arguments) => remove::execute(&arguments, host),
        Command::Gc(arguments) => gc::execute(&arguments, host),
    }
}

/// The layer whose key begins with these digits.
fn layer(store: &Store, digits: &str) -> anyhow::Result<Layer> {
    let mut layers = store.list()?;
    let keys = layers.iter().map(|layer| layer.key.clone());
    let key = only(keys, digits)?;
    let found = layers
        .iter()
        .position(|layer| Some(&layer.key) == key.as_ref());
    let found = found.with_context(|| {
        format!("no layer's key begins with {digits:?}; see `bailiwick image list`")
    })?;
    Ok(layers.swap_remove(found))
}

/// The key that begins with these digits, where that is one only.
fn only(
    keys: impl IntoIterator<Item = LayerDigest>,
    digits: &str,
) -> anyhow::Result<Option<LayerDigest>> {
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    if digits.is_empty() {
        bail!("a key has digits; see `bailiwick image list`");
    }
    let found = keys
        .into_iter()
        .filter(|key| key.digits().starts_with(digits));
    // A layer may have failed to be built before.
    let mut found = found.collect::<BTreeSet<_>>().into_iter();
    let first = found.next();
    if found.next().is_some() {
        bail!("more than one layer's key begins with {digits:?}; give more of its digits");
    }
    Ok(first)
}

/// Enough of a key to find it again.
fn short(layer: &Layer) -> &str {
    &layer.key.digits()[..12]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: &str) -> LayerDigest {
        let digits = format!("{first:0<64}");
        format!("sha256:{digits}").parse().unwrap()
    }

    #[test]
    fn a_key_is_found_by_digits_that_no_other_begins_with() {
        let keys = [key("ab1"), key("ab2"), key("c"), key("c")];
        let find = |digits: &str| only(keys.clone(), digits);
        assert_eq!(find("ab1").unwrap(), Some(key("ab1")));
        assert_eq!(find("sha256:c").unwrap(), Some(key("c")), "one key, twice");
        assert_eq!(find("d").unwrap(), None);
        for digits in ["ab", "", "sha256:"] {
            assert!(find(digits).is_err(), "{digits:?}");
        }
    }
}
