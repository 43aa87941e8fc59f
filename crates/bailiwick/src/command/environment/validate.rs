//! `bailiwick environment validate`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_model::limits::ENVIRONMENT_FILE_BYTES;
use bailiwick_wire::{
    EnvironmentFile, EnvironmentFileWarnings, Position, Problem, parse_environment,
};
use serde::Serialize;

use crate::bad_input::read_text;
use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Format, printable};

/// Check an environment file: every problem at once, each with its place and its fix.
///
/// Ends with 0 if the file can be used, 2 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment validate -f environment.yaml
  bailiwick environment validate -f environment.yaml --format json")]
pub(crate) struct Arguments {
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The answer, as JSON has it.
#[derive(Serialize)]
struct Answer {
    valid: bool,
    problems: Vec<ShownProblem>,
}

#[derive(Serialize)]
struct ShownProblem {
    severity: &'static str,
    line: usize,
    column: usize,
    code: &'static str,
    message: String,
    help: String,
}

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match arguments.format {
        Format::Text => {
            let file = environment_source::load_file(&arguments.file, host)?;
            output::print(&summary(&arguments.file.display().to_string(), &file))?;
            Ok(Exit::Done.into())
        }
        Format::Json => json(arguments),
    }
}

fn summary(path: &str, file: &EnvironmentFile) -> String {
    let policy = file.policy.as_ref().map_or_else(
        || "no policy of its own".to_owned(),
        |policy| format!("policy {}", policy.mode),
    );
    format!(
        "{} is valid: environment {}, {policy}\n",
        printable(path),
        printable(file.name.as_str())
    )
}

fn json(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = read_text(&arguments.file, ENVIRONMENT_FILE_BYTES)?;
    let source_name = arguments.file.display().to_string();
    let (valid, problems): (bool, Vec<ShownProblem>) = match parse_environment(&source_name, &text)
    {
        Ok(file) => {
            let warnings = file.warnings(&source_name, &text);
            (
                true,
                warnings
                    .iter()
                    .flat_map(EnvironmentFileWarnings::problems)
                    .map(ShownProblem::from)
                    .collect(),
            )
        }
        Err(errors) => (false, errors.problems().map(ShownProblem::from).collect()),
    };
    output::print_json(&Answer { valid, problems })?;
    Ok(if valid { Exit::Done } else { Exit::BadInput }.into())
}

impl From<(Position, &Problem)> for ShownProblem {
    fn from((position, problem): (Position, &Problem)) -> Self {
        let Position { line, column } = position;
        Self {
            severity: if problem.is_warning() {
                "warning"
            } else {
                "error"
            },
            line,
            column,
            code: problem.cause().code(),
            message: problem.to_string(),
            help: problem.cause().help(),
        }
    }
}
