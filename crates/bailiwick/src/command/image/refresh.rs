//! `bailiwick image refresh`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_images::key::Content;
use bailiwick_images::lock::changes;
use bailiwick_images::{BaseSource, Layer, Registry};
use bailiwick_model::PackageManager;

use super::lock::{of_layers, write};
use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::{Images, ProgressForm, Telling, image_spec};
use crate::{lock_source, output};

/// Resolve an environment's packages anew, and print what changed.
///
/// What is not pinned comes in its newest version, and the lock file, where there is one, is written anew. Sandboxes that run keep
/// what they have; the next ones get the new image. If it cannot be built, everything stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image refresh -f environment.yaml")]
pub(crate) struct Arguments {
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// The lock file to write anew [default: the one beside the environment file, if there is one].
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Ask another registry than the public one (MANAGER: apt, cargo, gem, go, npm or pip); may be given many times.
    #[arg(long = "registry", value_name = "MANAGER=URL")]
    registries: Vec<Registry>,
    /// What the image stands on: host, dir:PATH, tar:PATH, debian:SUITE or oci:REFERENCE.
    #[arg(long, value_name = "BASE", default_value_t)]
    base: BaseSource,
    /// Tell nothing while it goes on.
    #[arg(short, long)]
    quiet: bool,
    /// How to tell of what goes on.
    #[arg(long, value_enum, value_name = "FORM", default_value_t = ProgressForm::Text)]
    progress: ProgressForm,
    #[command(flatten)]
    limits: super::LimitArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let environment = environment_source::load(Some(&arguments.file), host)?;
    let spec = image_spec(&environment);
    let beside = || lock_source::beside(&arguments.file);
    let path = arguments.lock.clone().unwrap_or_else(beside);
    let has_lock = arguments.lock.is_some() || path.symlink_metadata().is_ok();
    // One that is damaged is written anew, too.
    let before = lock_source::read(&path).ok().flatten();
    let mut images = Images::open(&arguments.base, &arguments.registries, host)?;
    arguments.limits.change(images.limits());
    let telling = Telling::of(arguments.progress, arguments.quiet);
    let refreshed = images.refresh(&spec, telling)?;
    let after = of_layers(refreshed.held.layers());
    let mut text = String::new();
    for manager in PackageManager::ALL {
        let old = match &before {
            Some(file) => file.lock.of(*manager).map(|part| &part.packages),
            None => of(&refreshed.before, *manager).map(|layer| &layer.record.resolved),
        };
        let new = of(refreshed.held.layers(), *manager).map(|layer| &layer.record.resolved);
        let slice = |of: Option<&Vec<_>>| of.cloned().unwrap_or_default();
        for change in changes(&slice(old), &slice(new)) {
            text += &format!(
                "{:6} {}\n",
                manager.name(),
                output::printable(&change.to_string())
            );
        }
    }
    if text.is_empty() {
        text += "nothing changed\n";
    }
    if has_lock {
        write(&path, &after?)?;
    }
    output::print(&text)?;
    Ok(Exit::Done.into())
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
