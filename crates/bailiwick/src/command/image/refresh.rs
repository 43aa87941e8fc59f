//! `bailiwick image refresh`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_images::{Registry, StoreError};

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::Images;
use crate::output;
use crate::project::{FetchNetworkArguments, ProjectArguments};

/// Build an environment's image anew, so that what is not pinned is resolved again.
///
/// Sandboxes that run keep what they have: while one uses the image, nothing is refreshed.
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
    /// Ask another registry than the public one: gem, go, npm or pip; may be given many times.
    #[arg(long = "registry", value_name = "MANAGER=URL")]
    registries: Vec<Registry>,
    /// Tell nothing while it goes on.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    project: ProjectArguments,
    #[command(flatten)]
    network: FetchNetworkArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let mut environment = environment_source::load(arguments.file.as_deref(), host)?;
    arguments.project.apply(&mut environment);
    let (pins, ca) = arguments.network.read()?;
    let fetching = arguments.project.fetching(&environment, pins, ca, host)?;
    let images = Images::open(&arguments.registries, fetching, host)?;
    let spec = images.spec(&environment, arguments.quiet)?;
    // The topmost first: the others are stood on.
    for key in images.keys(&spec).iter().rev() {
        match images.store().remove(key) {
            Err(StoreError::Missing { .. }) => {}
            other => other?,
        }
    }
    let image = images.build(&spec, arguments.quiet)?;
    let keys: Vec<_> = image.keys.iter().map(ToString::to_string).collect();
    output::print(&(keys.join("\n") + "\n"))?;
    Ok(Exit::Done.into())
}
