//! `bailiwick image sbom`.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_images::sbom::{Sbom, Subject};
use bailiwick_images::{Below, Content, Layer, Store};

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::Images;
use crate::lock_source::{self, LockArguments};
use crate::output;
use crate::project::{FetchNetworkArguments, ProjectArguments};

/// Print what an image holds as a bill of materials: CycloneDX 1.6, JSON.
///
/// It lists the packages of the base, as its package database has them, and those of every layer, with their hashes and sources. What is
/// missing of an environment's image is built first, its project too. The same image has the same text.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image sbom -f environment.yaml > sbom.json
  bailiwick image sbom 3f9a0c
      Of the image whose topmost layer has this key.")]
pub(crate) struct Arguments {
    /// The key of a layer, or its first digits: the image that it is the topmost layer of.
    #[arg(
        value_name = "KEY",
        required_unless_present_any = ["file", "project"],
        conflicts_with_all = ["file", "project"]
    )]
    key: Option<String>,
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    build: super::BuildArguments,
    #[command(flatten)]
    lock: LockArguments,
    #[command(flatten)]
    project: ProjectArguments,
    #[command(flatten)]
    network: FetchNetworkArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let file = arguments.file.as_deref();
    let mut environment = environment_source::load(file, host)?;
    arguments.project.apply(&mut environment);
    let (pins, ca) = arguments.network.read()?;
    let fetching = arguments.project.fetching(&environment, pins, ca, host)?;
    let images = arguments.build.images(&environment, fetching, host)?;
    let sbom = match &arguments.key {
        Some(key) => {
            let store = images.store();
            let layers = stack(store, super::layer(store, key)?)?;
            of_stack(&layers, &images)?
        }
        None => {
            let telling = arguments.build.telling();
            let mut spec = images.spec(&environment, telling)?;
            let lock = lock_source::load(&arguments.lock, file, &spec.packages)?;
            spec.lock = lock.map(|file| file.lock);
            let image = images.build(&spec, telling)?;
            let name = environment.name.map(|name| name.to_string());
            let outside = images.outside_base()?;
            let outside = outside.map(|(digest, root)| (digest, Some(root)));
            of_image(name.as_deref(), image.layers_held(), outside)?
        }
    };
    output::print_json(&sbom)?;
    Ok(Exit::Done.into())
}

/// A layer and all that it stands on, the lowest first.
fn stack(store: &Store, top: Layer) -> anyhow::Result<Vec<Layer>> {
    let mut layers = vec![top];
    while let Some(Below::Layer(below)) = layers.last().map(|layer| &layer.record.inputs.below) {
        let below = below.clone();
        let layer = store.find(&below)?;
        layers.push(layer.ok_or_else(|| anyhow::anyhow!("there is no layer {below} any more"))?);
    }
    layers.reverse();
    Ok(layers)
}

fn of_stack(layers: &[Layer], images: &Images) -> anyhow::Result<Sbom> {
    let stood_on = match layers.first().map(|layer| &layer.record.inputs.below) {
        Some(Below::Base(base)) => Some(base),
        Some(Below::Layer(_) | Below::Nothing) | None => None,
    };
    let is_there = |(digest, root)| (Some(&digest) == stood_on).then_some(root);
    let root = images.outside_base()?.and_then(is_there);
    if stood_on.is_some() && root.is_none() {
        output::print_to_stderr(
            "bailiwick: what the image stood on is not there any more, or --base names another; its packages are listed as far as layers tell\n",
        );
    }
    let name = layers.last().map(|layer| layer.key.to_string());
    let outside = stood_on.map(|digest| (digest.clone(), root));
    of_image(name.as_deref(), layers, outside)
}

/// `outside` is what the layers stand on, where that is no layer: what identifies it, and its root if that is there.
fn of_image(
    name: Option<&str>,
    layers: &[Layer],
    outside: Option<(String, Option<PathBuf>)>,
) -> anyhow::Result<Sbom> {
    let (base, base_root) = match layers.first().map(|layer| &layer.record.inputs.content) {
        Some(Content::Base { source, .. }) => (
            source.clone(),
            // A layer as the others are.
            None,
        ),
        Some(Content::Packages { .. } | Content::Project { .. }) | None => match outside {
            Some(outside) => outside,
            None => ("nothing".to_owned(), None),
        },
    };
    Ok(Sbom::of(&Subject {
        name: name.unwrap_or("image"),
        base: &base,
        base_root,
        layers,
    })?)
}
