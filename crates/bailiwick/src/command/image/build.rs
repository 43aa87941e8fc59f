//! `bailiwick image build`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::lock_source::{self, LockArguments};
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
  bailiwick image build -f environment.yaml --base debian:bookworm
  bailiwick image build -f environment.yaml --locked
      Exactly what environment.lock says, and nothing without one.
  bailiwick image build -f environment.yaml --progress json
      Events for a program, one JSON object a line on standard error: fetching, unreachable, begun, waiting, line, retrying, done, failed.
  bailiwick image build -f environment.yaml --timeout 2h --disk 50GiB
  bailiwick image build -f environment.yaml --registry apt=https://mirror.example.com/debian
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
    #[command(flatten)]
    build: super::BuildArguments,
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    limits: super::LimitArguments,
    #[command(flatten)]
    lock: LockArguments,
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
    let mut images = arguments.build.images(&environment, fetching, host)?;
    arguments.limits.change(images.limits());
    let telling = arguments.build.telling();
    let mut spec = images.spec(&environment, telling)?;
    let lock = lock_source::load(&arguments.lock, file, &spec.packages)?;
    spec.lock = lock.map(|file| file.lock);
    let image = images.build(&spec, telling)?;
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
