//! `bailiwick organization floor`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{PATH, change};
use crate::bad_input::BadInput;
use crate::client::{AnswerForm, Client, ServerArguments};
use crate::host_environment::HostEnvironment;

/// Change the floor: what no environment reaches, whatever its policy says.
///
/// `bailiwick organization get` shows it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["denied", "removed"]))]
#[command(after_help = "\
Exit codes: 0 done, or nothing would change; 1 something would (--dry-run).

Examples:
  bailiwick organization floor --deny '*.prod.example.com' --deny 10.0.0.0/16
  bailiwick organization floor --deny 10.20.0.0/16:5432 --dry-run
  bailiwick organization floor --remove '*.prod.example.com'")]
pub(crate) struct Arguments {
    /// A host pattern or CIDR that nobody shall reach; may be given several times.
    #[arg(long = "deny", value_name = "HOST|CIDR")]
    denied: Vec<String>,
    /// One that the floor shall have no longer; may be given several times.
    #[arg(long = "remove", value_name = "HOST|CIDR")]
    removed: Vec<String>,
    /// Only show in which environments it would open or close anything.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let now = client.get(PATH, &[])?;
    let mut floor = Floor {
        hosts: texts(&now["denied_hosts"]),
        cidrs: texts(&now["denied_cidrs"]),
    };
    for rule in &arguments.denied {
        let list = floor.list_of(rule);
        if !list.contains(rule) {
            list.push(rule.clone());
        }
    }
    for rule in &arguments.removed {
        let list = floor.list_of(rule);
        let place = list.iter().position(|one| one == rule);
        list.remove(place.ok_or_else(|| BadInput::NotInFloor(rule.clone()))?);
    }
    let Floor { hosts, cidrs } = floor;
    let body =
        json!({"denied_hosts": hosts, "denied_cidrs": cidrs, "version": now["version"].clone()});
    let exit = change(&client, &body, arguments.dry_run, arguments.output)?;
    Ok(exit.into())
}

/// What is denied everywhere.
struct Floor {
    hosts: Vec<String>,
    cidrs: Vec<String>,
}

impl Floor {
    /// Where a rule belongs. No host pattern has a slash.
    fn list_of(&mut self, rule: &str) -> &mut Vec<String> {
        if rule.contains('/') {
            &mut self.cidrs
        } else {
            &mut self.hosts
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |one: &Value| one.as_str().map(str::to_owned);
    list.iter().filter_map(text).collect()
}
