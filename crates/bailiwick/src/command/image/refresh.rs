//! `bailiwick image refresh`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_images::{BaseSource, Registry, StoreError};

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::{Images, ProgressForm, Telling, image_spec};
use crate::output;

/// Build an environment's image anew, so that what is not pinned is resolved again.
///
/// Sandboxes that run keep what they have: while one uses the image, nothing is refreshed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image refresh -f environment.yaml")]
pub(crate) struct Arguments {
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
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
    let mut images = Images::open(&arguments.base, &arguments.registries, host)?;
    arguments.limits.change(images.limits());
    images.look_up_base()?;
    // The topmost first: the others are stood on.
    for key in images.keys(&spec)?.iter().rev() {
        match images.store().remove(key) {
            Err(StoreError::Missing { .. }) => {}
            other => other?,
        }
    }
    let telling = Telling::of(arguments.progress, arguments.quiet);
    let image = images.build(&spec, telling)?;
    let keys: Vec<_> = image.keys.iter().map(ToString::to_string).collect();
    output::print(&(keys.join("\n") + "\n"))?;
    Ok(Exit::Done.into())
}
