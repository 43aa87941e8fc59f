//! `bailiwick limit create`.

use std::process::ExitCode;

use reqwest::Method;

use super::COLUMNS;
use super::values::LimitValues;
use crate::client::{AnswerForm, Client, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Set a limit of what may be spent on models.
///
/// What was spent in its window before counts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick limit create --environment payments-dev --max-cost 30 --window 24h
  bailiwick limit create --each-user --in production --max-cost 5 --window day
  bailiwick limit create --organization --model 'claude-opus-*' --max-tokens 10000000 --window month
  bailiwick limit create --organization --max-cost 99 --window day --enforcement soft --threshold 80")]
pub(crate) struct Arguments {
    #[command(flatten)]
    values: LimitValues,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let body = arguments.values.body(&client)?;
    let made = client.send(Method::POST, &["api", "limits"], Some(&body), None)?;
    print_one(arguments.output, &made, COLUMNS)?;
    Ok(Exit::Done.into())
}
