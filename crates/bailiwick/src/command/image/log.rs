//! `bailiwick image log`.

use std::io::{self, Read};
use std::process::ExitCode;

use anyhow::Context;
use bailiwick_images::Store;
use bailiwick_runtime::LayerDigest;

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, printable};
use crate::{images, state};

/// Show the whole log of a layer's build, also of one that failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image log 3f9a0c")]
pub(crate) struct Arguments {
    /// The key of the layer, or its first digits.
    #[arg(value_name = "KEY")]
    key: String,
}

/// The keys of layers, and of builds that failed.
fn keys(store: &Store) -> anyhow::Result<Vec<LayerDigest>> {
    let failed = std::fs::read_dir(store.path().join("logs"))?
        .flatten()
        .filter_map(|entry| {
            format!("sha256:{}", entry.file_name().to_str()?)
                .parse()
                .ok()
        });
    let built = store.list()?.into_iter().map(|layer| layer.key);
    Ok(built.chain(failed).collect())
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let store = images::store(&state::open(host)?)?;
    let digits = &arguments.key;
    let key = super::only(keys(&store)?, digits)?;
    let log = key.map(|key| store.log(&key)).transpose()?.flatten();
    let mut log = log
        .with_context(|| format!("there is no log of a build whose key begins with {digits:?}"))?;
    let mut text = Vec::new();
    log.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines: String = text
        .lines()
        .map(|line| format!("{}\n", printable(line)))
        .collect();
    match output::print(&lines) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    Ok(Exit::Done.into())
}
