//! `cargo xtask`: the chores of this repository, the same for a person and for CI.
//!
//! One module per command. Every program that a chore starts goes through [`shell`]. Nothing here is shipped.

mod bench;
mod check;
mod fuzz;
mod generate;
mod prices;
mod shell;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The gate: format, tidy, clippy, tests that need nothing, documentation, licences.
    Check(check::Args),
    /// Prepares the machine and runs every test, those that need root and real peers included.
    Test(test::Args),
    /// Writes what is made of the code and checked in, such as `docs/openapi.json`.
    Generate(generate::Args),
    /// Writes the price table of models from the table of the Python package `litellm`.
    Prices(prices::Args),
    /// The rules that no compiler knows: arrows between crates, sizes, words, licences, documented commands.
    Tidy(tidy::Args),
    /// Runs a fuzz target of `fuzz/` for a while.
    Fuzz(fuzz::Args),
    /// Measures Bailiwick beside its peers on this machine and prints one table.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Prices(args) => prices::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
