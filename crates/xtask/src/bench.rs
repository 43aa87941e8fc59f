//! Measuring, through the crate `bench`.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell::Program;
use crate::test::machine;
use crate::workspace;

/// Measures Bailiwick and its peers in turns (A B C A B C ...), so that drift of the machine hits all alike.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the groups with these names: start, image, request, credentials, throughput, latency, connections, decide, cut, memory, control,
    /// events, sessions, llm-proxy, control-size, control-start.
    names: Vec<String>,
    /// Few rounds: to see that everything runs, not to quote.
    #[arg(long)]
    quick: bool,
    /// Also writes the JSON here (it always goes to `bench/latest.json` in the target directory).
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Do not install anything; peers that are missing are left out of the table, which says so.
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.no_install {
        machine::install(machine::Use::Bench)?;
    }
    let build = [
        "build",
        "--release",
        "--locked",
        "--package",
        "bailiwick",
        "--package",
        "bailiwick-bench",
    ];
    Program::new("cargo").args(build).run()?;
    let target = workspace::metadata()?.target_directory;
    let mut program = Program::new(target.join("release/bailiwick-bench"))
        .args(["run", "--bailiwick"])
        .args([target.join("release/bailiwick")])
        .args(["--save"])
        .args([target.join("bench/latest.json")]);
    if args.quick {
        program = program.args(["--quick"]);
    }
    if let Some(file) = &args.save {
        // The bench runs in the workspace's root; a path given by the caller is relative to the caller's directory.
        program = program.args(["--save"]).args([std::path::absolute(file)?]);
    }
    program.args(&args.names).run()
}
