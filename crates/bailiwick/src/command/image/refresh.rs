//! `bailiwick image refresh`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_images::key::Content;
use bailiwick_images::lock::changes;
use bailiwick_images::{Layer, Refreshed};
use bailiwick_model::PackageManager;

use super::lock::{of_layers, write};
use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::lock_source::{self, LockFile};
use crate::output;
use crate::project::{FetchNetworkArguments, ProjectArguments};

/// Resolve an environment's packages anew, and print what changed.
///
/// What is not pinned comes in its newest version, and the lock file, where there is one, is written anew. Sandboxes that run keep
/// what they have; the next ones get the new image. If it cannot be built, everything stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image refresh -f environment.yaml")]
pub(crate) struct Arguments {
    /// The environment file; may be left out with --project.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        required_unless_present = "project"
    )]
    file: Option<PathBuf>,
    /// The lock file to write anew [default: the one beside the environment file, if there is one].
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    #[command(flatten)]
    build: super::BuildArguments,
    #[command(flatten)]
    limits: super::LimitArguments,
    #[command(flatten)]
    project: ProjectArguments,
    #[command(flatten)]
    network: FetchNetworkArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let file = arguments.file.as_deref();
    let mut environment = environment_source::load(file, host)?;
    arguments.project.apply(&mut environment);
    let (pins, ca) = arguments.network.read()?;
    let fetching = arguments.project.fetching(&environment, pins, ca, host)?;
    // The lock to be written anew: the one that was named, or one that is there.
    let beside = || {
        file.map(lock_source::beside)
            .filter(|path| path.symlink_metadata().is_ok())
    };
    let lock = arguments.lock.clone().or_else(beside);
    let before = lock
        .as_deref()
        .map(lock_source::read_to_replace)
        .transpose()?
        .flatten();
    let mut images = arguments.build.images(&environment, fetching, host)?;
    arguments.limits.change(images.limits());
    let telling = arguments.build.telling();
    let spec = images.spec(&environment, telling)?;
    let refreshed = images.refresh(&spec, telling)?;
    if let Some(path) = &lock {
        write(path, &of_layers(refreshed.held.layers())?)?;
    }
    output::print(&told(before.as_ref(), &refreshed))?;
    Ok(Exit::Done.into())
}

/// What the image stands on and which project it has, and what changed, a package a line: since the lock, or since the layers that were in force.
fn told(lock: Option<&LockFile>, refreshed: &Refreshed) -> String {
    let mut text = String::new();
    for manager in PackageManager::ALL {
        let resolved = |layers| of(layers, *manager).map(|layer| layer.record.resolved.as_slice());
        let before = match lock {
            Some(file) => file.lock.of(*manager).map(|part| part.packages.as_slice()),
            None => resolved(&refreshed.before),
        };
        let after = resolved(refreshed.held.layers());
        for change in changes(before.unwrap_or_default(), after.unwrap_or_default()) {
            let change = change.to_string();
            text += &format!("{:6} {}\n", manager.name(), output::printable(&change));
        }
    }
    for layer in refreshed.held.layers() {
        match &layer.record.inputs.content {
            content @ (Content::Base { .. } | Content::Project { .. }) => {
                let line = format!("{} {}", content.kind(), content.declared());
                text += &format!("{}\n", output::printable(&line));
            }
            Content::Packages { .. } => {}
        }
    }
    if text.is_empty() {
        text += "nothing changed\n";
    }
    text
}

/// The layer of a manager's packages.
fn of(layers: &[Layer], wanted: PackageManager) -> Option<&Layer> {
    layers
        .iter()
        .find(|layer| match &layer.record.inputs.content {
            Content::Packages { manager, .. } => *manager == wanted,
            Content::Base { .. } | Content::Project { .. } => false,
        })
}
