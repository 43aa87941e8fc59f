//! The commands, one file each.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod audit_log;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod environment;
pub(crate) mod exec;
pub(crate) mod image;
pub(crate) mod inside;
pub(crate) mod key;
pub(crate) mod kill;
pub(crate) mod member;
pub(crate) mod policy;
pub(crate) mod ps;
pub(crate) mod restore;
pub(crate) mod run;
mod sibling;
pub(crate) mod up;
pub(crate) mod vault;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::host_environment::HostEnvironment;

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
    after_help = "Exit codes: 0 done, 1 something to do (apply --dry-run), 2 bad input, 3 denied (policy check),\n124 timed out, 125 Bailiwick failed, 126 cannot execute, 127 not found, 128+n ended by signal n; otherwise the command's own."
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Arguments>),
    Up(up::Arguments),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    Ps(ps::Arguments),
    Exec(exec::Arguments),
    Kill(kill::Arguments),
    Doctor(doctor::Arguments),
    #[command(subcommand)]
    Policy(policy::Command),
    Apply(apply::Arguments),
    #[command(subcommand)]
    Environment(environment::Command),
    #[command(subcommand)]
    Agent(agent::Command),
    #[command(subcommand)]
    Vault(vault::Command),
    #[command(subcommand)]
    Member(member::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    AuditLog(audit_log::Command),
    #[command(subcommand)]
    Image(image::Command),
    Completions(completions::Arguments),
    #[command(subcommand)]
    Inside(inside::Command),
}

impl CommandLine {
    /// Does what was asked.
    pub(crate) fn execute(self, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(arguments) => run::execute(*arguments, host),
            // What touches a server's database is in a program of its own.
            Command::Up(_) | Command::Backup(_) | Command::Restore(_) => sibling::become_server(),
            Command::Ps(arguments) => ps::execute(&arguments, host),
            Command::Exec(arguments) => exec::execute(arguments, host),
            Command::Kill(arguments) => kill::execute(arguments, host),
            Command::Doctor(arguments) => doctor::execute(&arguments, host),
            Command::Policy(command) => policy::execute(command, host),
            Command::Environment(command) => environment::execute(command, host),
            Command::Apply(arguments) => apply::execute(&arguments, host),
            Command::Agent(command) => agent::execute(command, host),
            Command::Vault(command) => vault::execute(command, host),
            Command::Member(command) => member::execute(command, host),
            Command::Key(command) => key::execute(command, host),
            Command::AuditLog(command) => audit_log::execute(command, host),
            Command::Image(command) => image::execute(command, host),
            Command::Inside(command) => inside::execute(command, host),
            Command::Completions(arguments) => completions::execute(&arguments),
        }
    }
}
