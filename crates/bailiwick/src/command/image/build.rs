//! `bailiwick image build`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_images::Registry;

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::Images;
use crate::output::{self, Format};
use crate::project::{FetchNetworkArguments, ProjectArguments};

/// Build what is missing of an environment's image.
///
/// Each package manager runs in a sandbox of its own that reaches its registries and nothing else, and sees neither the work directory nor
/// any credential.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image build -f environment.yaml
  bailiwick image build -f environment.yaml --format json
  bailiwick image build --project https://git.example.com/team/app.git#main
      A project at the head of its ref, with its set-up.")]
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
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

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
    let image = images.build(&spec, arguments.quiet)?;
    let keys: Vec<_> = image.keys.iter().map(ToString::to_string).collect();
    match arguments.format {
        Format::Json => output::print_json(&serde_json::json!({ "layers": keys }))?,
        Format::Text if keys.is_empty() => {
            output::print(
                "the environment declares no packages and no project: its image is the base\n",
            )?;
        }
        Format::Text => output::print(&(keys.join("\n") + "\n"))?,
    }
    Ok(Exit::Done.into())
}
