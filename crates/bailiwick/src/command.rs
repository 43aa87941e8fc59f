//! The commands, one file each.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod audit_log;
pub(crate) mod backup;
pub(crate) mod beside;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod environment;
pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod flow;
pub(crate) mod grant;
pub(crate) mod image;
mod impact;
pub(crate) mod inside;
pub(crate) mod key;
pub(crate) mod kill;
pub(crate) mod knowledge;
pub(crate) mod knowledge_connector;
pub(crate) mod limit;
pub(crate) mod llm_proxy;
pub(crate) mod mcp_catalog;
pub(crate) mod mcp_gateway;
pub(crate) mod member;
pub(crate) mod model_upstream;
pub(crate) mod oauth_grant;
pub(crate) mod organization;
pub(crate) mod policy;
pub(crate) mod ps;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod role;
pub(crate) mod run;
pub(crate) mod service_account;
pub(crate) mod session;
pub(crate) mod skill;
pub(crate) mod team;
pub(crate) mod up;
pub(crate) mod usage;
pub(crate) mod vault;
pub(crate) mod whoami;
pub(crate) mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::host_environment::HostEnvironment;
use crate::sibling;

/// Run programs inside environments whose network boundary is enforced.
///
/// An environment says which destinations a program may reach. The program runs in a sandbox without a route out: every
/// connection is decided by the environment's policy before it is made.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 something to do (--dry-run), 2 bad input, 3 denied (policy check),\n124 timed out, 125 Bailiwick failed, 126 cannot execute, 127 not found, 128+n ended by signal n; otherwise the command's own."
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Arguments>),
    Ps(ps::Arguments),
    Exec(exec::Arguments),
    Kill(kill::Arguments),
    Doctor(doctor::Arguments),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Image(image::Command),
    #[command(subcommand)]
    Environment(environment::Command),
    #[command(flatten)]
    Beside(Box<beside::Command>),
    Completions(completions::Arguments),
}

/// `bailiwick run` and nothing else. To describe all commands takes longer than to read a command line, or to make a namespace.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version, max_term_width = 100)]
struct RunLine {
    #[command(subcommand)]
    command: RunCommand,
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    Run(Box<run::Arguments>),
}

impl CommandLine {
    /// What was typed. Ends this process, as clap does, if that was wrong or was a question.
    pub(crate) fn read() -> Self {
        if std::env::args_os().nth(1).is_some_and(|word| word == "run") {
            let RunCommand::Run(arguments) = RunLine::parse().command;
            return Self {
                command: Command::Run(arguments),
            };
        }
        Self::parse()
    }

    /// Does what was asked.
    pub(crate) fn execute(self, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(arguments) => run::execute(*arguments, host),
            Command::Ps(arguments) => ps::execute(&arguments, host),
            Command::Exec(arguments) => exec::execute(arguments, host),
            Command::Kill(arguments) => kill::execute(arguments, host),
            Command::Doctor(arguments) => doctor::execute(&arguments, host),
            Command::Policy(command) => policy::execute(command, host),
            Command::Image(command) => image::execute(command, host),
            Command::Environment(command) => environment::execute(command, host),
            Command::Beside(_) => sibling::become_it(),
            Command::Completions(arguments) => completions::execute(&arguments),
        }
    }
}
