//! What an image adds to the start of a sandbox, and what its build takes.

mod builds;

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bailiwick_images::{Begin, Below, Content, LayerInputs, ResolvedPackage, Store};
use bailiwick_model::PackageManager;
use bailiwick_runtime::LayerDigest;

use super::turns::{Contestant, line_up, take};
use crate::peers::{Stage, sandboxed};
use crate::protocol::Launch;
use crate::report::{Better, Report, Row};

/// As many as there are package managers.
const LAYERS: u32 = 6;
/// Packages that the record of a layer names.
const PACKAGES: u32 = 50;

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    start(stage, report);
    find(stage, report)?;
    builds::measure(stage, report)?;
    super::project::measure(stage, report)
}

fn start(stage: &Stage, report: &mut Report) {
    let name = "start of /bin/true on an image";
    let all = vec![
        ("no layers", sandboxed::launcher(stage, 0)),
        ("six layers", sandboxed::launcher(stage, LAYERS)),
    ];
    let mut launchers = line_up(name, all, report);
    let row = Row::new("image", name, "ms", Better::Lower).aim("six layers: less than 1 ms more");
    take(row, &mut launchers, stage.pick(100, 10), report, |worker| {
        worker.measure(&Launch::Whole)
    });
}

/// An image that is there: how long until its layers are held.
fn find(stage: &Stage, report: &mut Report) -> Result<()> {
    let store = Store::open(stage.path("images"))?;
    let keys = fill(&store)?;
    let row = Row::new(
        "image",
        "image that is there, found and held",
        "us",
        Better::Lower,
    )
    .aim("under 5000 us");
    let mut contestants = [Contestant {
        name: "six layers",
        with: (),
    }];
    take(row, &mut contestants, stage.pick(500, 20), report, |()| {
        let begun = Instant::now();
        let held = store.hold(&keys)?;
        let took = begun.elapsed();
        drop(held);
        Ok(vec![took.as_secs_f64() * 1e6])
    });
    Ok(())
}

fn fill(store: &Store) -> Result<Vec<LayerDigest>> {
    let mut below = Below::Base("bench".to_owned());
    let mut keys = Vec::new();
    for number in 0..LAYERS {
        let inputs = LayerInputs {
            organization: "bench".to_owned(),
            below,
            architecture: std::env::consts::ARCH.to_owned(),
            recipe: 1,
            content: Content::Packages {
                manager: PackageManager::Pip,
                specs: vec![format!("package{number}")],
                registries: Vec::new(),
                lock: None,
            },
            generation: 0,
        };
        let Begin::Build(draft) = store.begin(inputs)? else {
            bail!("the layer is there already");
        };
        fs::write(draft.tree().join("file"), "content").context("cannot write a layer")?;
        let package = |n| ResolvedPackage {
            name: format!("package{n}"),
            version: "1.2.3".to_owned(),
            source: Some(format!("https://registry.example/package{n}-1.2.3.whl")),
            hash: Some(format!("sha256:{n:064x}")),
            detail: None,
        };
        let layer = draft.commit((0..PACKAGES).map(package).collect(), 0, 1)?;
        below = Below::Layer(layer.key.clone());
        keys.push(layer.key);
    }
    Ok(keys)
}
