//! `bailiwick image list`.

use std::process::ExitCode;

use bailiwick_images::Layer;
use serde_json::json;

use super::short;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Format, bytes, printable};
use crate::{clock, images, state};

/// List the layers of images.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image list
  bailiwick image list --format json")]
pub(crate) struct Arguments {
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let layers = images::store(&state::open(host)?)?.list()?;
    match arguments.format {
        Format::Json => {
            let layers: Vec<_> = layers
                .iter()
                .map(|layer| json!({"key": layer.key.to_string(), "layer": layer.record}))
                .collect();
            output::print_json(&layers)?;
        }
        Format::Text => output::print(&table(&layers, clock::now_seconds()))?,
    }
    Ok(Exit::Done.into())
}

fn table(layers: &[Layer], now: i64) -> String {
    let mut text = format!(
        "{:12}  {:7}  {:>9}  {:>6}  WHAT\n",
        "KEY", "KIND", "SIZE", "AGE"
    );
    for layer in layers {
        let record = &layer.record;
        let days = (now - record.built_at).max(0) / 86_400;
        let age = match days {
            0 => format!("{}h", (now - record.built_at).max(0) / 3600),
            days => format!("{days}d"),
        };
        text += &format!(
            "{}  {:7}  {:>9}  {:>6}  {}\n",
            short(layer),
            record.inputs.content.kind(),
            bytes(record.bytes),
            age,
            printable(&record.inputs.content.declared())
        );
    }
    text
}
