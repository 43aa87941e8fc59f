//! Measures Bailiwick beside its peers on one machine; started by `cargo xtask bench`.
//!
//! The program plays every part itself, each in a process of its own: `run` is the conductor, `server` the destination,
//! `relay` the least that a relay can be, `client` the one load generator for every route (for Bailiwick it runs inside
//! a sandbox), `http-load` that of everything that answers HTTP requests, `rows` the least that answers with rows of a database,
//! `spawner` starts and times commands; `launcher`, `port`, `held` and `alone` use Bailiwick as a library. So all rows share one client and one server, and differ only in what
//! stands between them.
//!
//! It must never be linked into the product.

mod at_once;
mod client;
mod corpus;
mod fill;
mod histogram;
mod http_load;
mod ledger;
mod machine;
mod measure;
mod memory;
mod model;
mod os;
mod peers;
mod protocol;
mod relay;
mod report;
mod rows;
mod sandboxes;
mod searches;
mod server;
mod spawner;
mod statistics;
mod tools;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sandboxes::{alone, flow, held, launcher, port};

#[derive(Debug, Parser)]
#[command(name = "bailiwick-bench", about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Measures and prints the table.
    Run(measure::Args),
    /// The load generator; takes orders on standard input.
    #[command(hide = true)]
    Client(client::Args),
    /// The destination; ends with its standard input.
    #[command(hide = true)]
    Server(server::Args),
    /// The bare relay; ends with its standard input.
    #[command(hide = true)]
    Relay(relay::Args),
    /// Bailiwick's relay without sandboxes; ends with its standard input.
    #[command(hide = true)]
    Alone(alone::Args),
    /// Launches sandboxes; takes orders on standard input.
    #[command(hide = true)]
    Launcher(launcher::Args),
    /// Has sandboxes through the runtime port; takes orders on standard input.
    #[command(hide = true)]
    Port(port::Args),
    /// Holds many sandboxes; takes orders on standard input.
    #[command(hide = true)]
    Held(held::Args),
    /// Keeps one connection open, inside a sandbox.
    #[command(hide = true)]
    Flow(flow::Args),
    /// The load generator for HTTP; takes orders on standard input.
    #[command(hide = true)]
    HttpLoad,
    /// The least that answers with rows of a database; ends with its standard input.
    #[command(hide = true)]
    Rows(rows::Args),
    /// A model that answers at once; ends with its standard input.
    #[command(hide = true)]
    Model,
    /// An MCP server that answers at once; ends with its standard input.
    #[command(hide = true)]
    Tools(tools::Args),
    /// Reserves and settles; takes orders on standard input.
    #[command(hide = true)]
    Ledger(ledger::Args),
    /// Searches texts; takes orders on standard input.
    #[command(hide = true)]
    Searches(searches::Args),
    /// Starts and times commands; takes orders on standard input.
    #[command(hide = true)]
    Spawner,
}

fn main() -> ExitCode {
    if let Some(code) = bailiwick_local::serve_if_host(|| 0) {
        return code;
    }
    let result = match Cli::parse().role {
        Role::Run(args) => measure::run(&args),
        Role::Client(args) => client::run(&args),
        Role::Server(args) => server::run(&args),
        Role::Relay(args) => relay::run(&args),
        Role::Alone(args) => alone::run(&args),
        Role::Launcher(args) => launcher::run(&args),
        Role::Port(args) => port::run(&args),
        Role::Held(args) => held::run(&args),
        Role::Flow(args) => flow::run(&args),
        Role::HttpLoad => http_load::run(),
        Role::Rows(args) => rows::run(&args),
        Role::Model => at_once::run(model::Model::new()),
        Role::Tools(args) => tools::run(&args),
        Role::Ledger(args) => ledger::run(&args),
        Role::Searches(args) => searches::run(&args),
        Role::Spawner => spawner::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
