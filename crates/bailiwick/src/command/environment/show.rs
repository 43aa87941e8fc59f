//! `bailiwick environment show`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Format};

/// Show an environment file as it is understood: names normalised, defaults filled in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment show -f environment.yaml
  bailiwick environment show -f environment.yaml --format json")]
pub(crate) struct Arguments {
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// In which form to answer; text is YAML.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let file = environment_source::load_file(&arguments.file, host)?;
    match arguments.format {
        Format::Text if file.policy.is_none() => {
            output::print(&format!(
                "# names no policy: the built-in one (unrestricted) holds\n{}",
                file.to_yaml()?
            ))?;
        }
        Format::Text => output::print(&file.to_yaml()?)?,
        Format::Json => output::print_json(&file.canonical())?,
    }
    Ok(Exit::Done.into())
}
