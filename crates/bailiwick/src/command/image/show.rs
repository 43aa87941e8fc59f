//! `bailiwick image show`.

use std::process::ExitCode;

use bailiwick_images::{Below, Layer, ResolvedPackage};

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Format, bytes, printable};
use crate::{images, state};

/// Show a layer: what it was made of, and every package that was resolved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image show 3f9a0c
  bailiwick image show 3f9a0c --format json")]
pub(crate) struct Arguments {
    /// The key of the layer, or its first digits.
    #[arg(value_name = "KEY")]
    key: String,
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let store = images::store(&state::open(host)?)?;
    let layer = super::layer(&store, &arguments.key)?;
    match arguments.format {
        Format::Json => output::print_json(&layer.record)?,
        Format::Text => output::print(&text(&layer))?,
    }
    Ok(Exit::Done.into())
}

fn text(layer: &Layer) -> String {
    let record = &layer.record;
    let below = match &record.inputs.below {
        Below::Base(base) => base.clone(),
        Below::Layer(key) => key.to_string(),
        Below::Nothing => "nothing".to_owned(),
    };
    let mut text = format!(
        "layer     {}\nkind      {}\ndeclared  {}\non        {}\nsize      {} in {} files\n\n",
        layer.key,
        record.inputs.content.kind(),
        record.inputs.content.declared(),
        below,
        bytes(record.bytes),
        record.files,
    );
    text += &table(&record.resolved);
    text.lines()
        .map(|line| format!("{}\n", printable(line)))
        .collect()
}

/// A package a line: name, version, hash and source, in columns.
fn table(packages: &[ResolvedPackage]) -> String {
    let rows: Vec<[&str; 4]> = packages
        .iter()
        .map(|package| {
            let hash = package.hash.as_deref().unwrap_or("-");
            let source = package.source.as_deref().unwrap_or("");
            [&package.name, &package.version, hash, source]
        })
        .collect();
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let (name, version, hash) = (width(0), width(1), width(2));
    let line = |row: &[&str; 4]| {
        let [a, b, c, d] = row;
        let line = format!("{a:name$}  {b:version$}  {c:hash$}  {d}");
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
