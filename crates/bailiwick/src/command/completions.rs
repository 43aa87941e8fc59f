//! `bailiwick completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::command::CommandLine;
use crate::exit::Exit;
use crate::output;

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick completions bash > ~/.local/share/bash-completion/completions/bailiwick
  bailiwick completions zsh > ~/.zfunc/_bailiwick
  bailiwick completions fish > ~/.config/fish/completions/bailiwick.fish")]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn execute(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut CommandLine::command(),
        "bailiwick",
        &mut script,
    );
    output::print(&String::from_utf8(script)?)?;
    Ok(Exit::Done.into())
}
