//! The conductor: which rows there are, and who is measured at each in turns.

mod control;
mod credentials;
mod cut;
mod decide;
mod events;
mod hosts;
mod image;
mod knowledge_search;
mod llm_proxy;
mod mcp_gateway;
mod memory;
mod network;
mod project;
mod sessions;
mod start;
mod turns;
mod wire;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::peers::Stage;
use crate::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these groups.
    names: Vec<String>,
    /// The program under test.
    #[arg(long, value_name = "FILE")]
    bailiwick: PathBuf,
    /// Few rounds: to see that everything runs.
    #[arg(long)]
    quick: bool,
    /// Where to write the JSON; may be given many times.
    #[arg(long, value_name = "FILE")]
    save: Vec<PathBuf>,
}

type Group = (&'static str, fn(&Stage, &mut Report) -> Result<()>);

const GROUPS: &[Group] = &[
    ("decide", decide::measure),
    ("start", start::measure),
    ("hosts", hosts::measure),
    ("image", image::measure),
    ("latency", network::latency),
    ("request", network::request),
    ("credentials", credentials::measure),
    ("throughput", network::throughput),
    ("connections", network::connections),
    ("cut", cut::measure),
    ("memory", memory::measure),
    ("control", control::measure),
    ("events", events::measure),
    ("sessions", sessions::measure),
    ("mcp-gateway", mcp_gateway::measure),
    ("llm-proxy", llm_proxy::measure),
    ("knowledge-search", knowledge_search::measure),
    ("control-size", control::size),
    ("control-start", control::start),
];

/// Measures, prints the table and saves it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let known: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = args
        .names
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        bail!("no group {unknown:?}; there are: {}", known.join(", "));
    }
    let wanted =
        |name: &str| args.names.is_empty() || args.names.iter().any(|wanted| wanted == name);
    let stage = Stage::set(&args.bailiwick, args.quick)?;
    let mut report = Report::new(args.quick);
    for (name, measure) in GROUPS.iter().filter(|(name, _)| wanted(name)) {
        eprintln!("measuring {name} ...");
        if let Err(error) = measure(&stage, &mut report) {
            report.absent(name, "everybody", &error);
        }
    }
    println!("\n{}", report.table());
    args.save.iter().try_for_each(|file| report.save(file))
}
