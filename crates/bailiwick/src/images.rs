//! The images of this machine: where they are kept, and how what is missing of one is built.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bailiwick_dial::{DialOptions, Dialer, ProxySettings};
use bailiwick_egress::Egress;
use bailiwick_images::{
    BaseImage, Builder, Held, HostBase, ImageSpec, Layer, Progress, Refreshed, Registry, Store,
    host_base,
};
use bailiwick_local::{
    Layers, LocalOptions, LocalRuntime, StateDirectory, Surroundings, host_facts, privileged,
    snapshot,
};
use bailiwick_model::{PackageManager, PackageSpec, Packages, SandboxId};
use bailiwick_runtime::{Base, LayerDigest};
use tokio::sync::watch;

use crate::bad_input::BadInput;
use crate::environment_source::Environment;
use crate::host_environment::HostEnvironment;
use crate::output::{self, printable};
use crate::{clock, state};

/// Whose layers those of a machine without a server are.
const ORGANIZATION: &str = "local";

/// The images of this machine.
pub(crate) struct Images {
    builder: Builder,
    base: HostBase,
}

/// An image that stays as long as this lives.
pub(crate) struct Image {
    pub(crate) keys: Vec<LayerDigest>,
    layers: Layers,
    held: Held,
}

impl Image {
    /// What a sandbox gets of it.
    pub(crate) fn layers(&self) -> Layers {
        self.layers.clone()
    }

    /// Its layers, the lowest first.
    pub(crate) fn layers_held(&self) -> &[Layer] {
        self.held.layers()
    }
}

/// The image that an environment declares.
pub(crate) fn image_spec(environment: &Environment) -> ImageSpec {
    ImageSpec {
        packages: environment.packages.clone(),
        lock: None,
    }
}

/// Opens the store of images below the state directory.
pub(crate) fn store(state: &StateDirectory) -> anyhow::Result<Store> {
    Ok(Store::open(state.path().join("images"))?)
}

impl Images {
    pub(crate) fn open(registries: &[Registry], host: &HostEnvironment) -> anyhow::Result<Self> {
        let state = state::open(host)?;
        let store = store(&state)?;
        let base = host_base(&store.path().join("bases"), snapshot)
            .context("cannot take what images need of this host's settings")?;
        let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
        let proxy = ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?;
        let dialer = Dialer::new(DialOptions {
            proxy,
            ..DialOptions::new(facts)
        });
        let runtime = LocalRuntime::new(LocalOptions {
            state,
            egress: Arc::new(Egress::new(Arc::new(dialer))),
            layers: store.path().join("layers"),
            snapshot: Some(base.snapshot.clone()),
            surroundings: Surroundings {
                home: host.home.clone(),
                ca_file: host.ca_file.clone(),
                terminal: Vec::new(),
            },
            certificates: None,
            now: clock::now_seconds,
        })?;
        let builder = Builder {
            runtime: Arc::new(runtime),
            store,
            organization: ORGANIZATION.to_owned(),
            registries: registries.to_vec(),
            base: BaseImage::Outside {
                base: Base::Host,
                digest: base.digest.clone(),
            },
            architecture: std::env::consts::ARCH.to_owned(),
            now: clock::now_seconds,
            sandbox_id: fresh_id,
        };
        Ok(Self { builder, base })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.builder.store
    }

    /// What identifies the base.
    pub(crate) fn base_digest(&self) -> &str {
        let BaseImage::Outside { digest, .. } = &self.builder.base;
        digest
    }

    /// The root of the base, if it is a directory of this machine.
    pub(crate) fn base_root(&self) -> Option<&Path> {
        let BaseImage::Outside { base, .. } = &self.builder.base;
        match base {
            Base::Host => Some(Path::new("/")),
            Base::Directory(path) => Some(path),
            Base::Layer(_) => None,
        }
    }

    /// The image, if all of it is there.
    pub(crate) fn find(&self, spec: &ImageSpec) -> anyhow::Result<Option<Image>> {
        let found = self.builder.find(spec)?;
        Ok(found.map(|(keys, held)| self.image(keys, held)))
    }

    /// The image; what is missing of it is built, which is told on standard error unless `quiet`.
    pub(crate) fn build(&self, spec: &ImageSpec, quiet: bool) -> anyhow::Result<Image> {
        refuse_debian_packages(&spec.packages)?;
        let (keys, held) = told(quiet, async |tell| {
            Ok(self.builder.build(spec, tell).await?)
        })?;
        Ok(self.image(keys, held))
    }

    /// The same, where the lock may be one of some managers only: the others are resolved now.
    pub(crate) fn resolve(&self, spec: &ImageSpec, quiet: bool) -> anyhow::Result<Image> {
        refuse_debian_packages(&spec.packages)?;
        let (keys, held) = told(quiet, async |tell| {
            Ok(self.builder.resolve(spec, tell).await?)
        })?;
        Ok(self.image(keys, held))
    }

    /// The image, resolved anew.
    pub(crate) fn refresh(&self, spec: &ImageSpec, quiet: bool) -> anyhow::Result<Refreshed> {
        refuse_debian_packages(&spec.packages)?;
        told(quiet, async |tell| {
            Ok(self.builder.refresh(spec, tell).await?)
        })
    }

    fn image(&self, keys: Vec<LayerDigest>, held: Held) -> Image {
        let layers = self.builder.store.path().join("layers");
        let tree = |key: &LayerDigest| layers.join(key.digits()).join("tree");
        let trees: Vec<PathBuf> = keys.iter().map(tree).collect();
        Image {
            layers: Layers {
                snapshot: Some(self.base.snapshot.clone()),
                trees,
                mounted: Vec::new(),
                draft: None,
            },
            keys,
            held,
        }
    }
}

fn refuse_debian_packages(packages: &Packages) -> anyhow::Result<()> {
    if !privileged() && !packages.of(PackageManager::Apt).is_empty() {
        bail!(
            "Debian packages can be installed over this host's programs by root only, to whom these belong: run this as root, or install {} on this host and declare the rest",
            names(packages, PackageManager::Apt)
        );
    }
    Ok(())
}

/// Runs a build, and tells how it goes.
fn told<T>(
    quiet: bool,
    build: impl AsyncFnOnce(&mut dyn FnMut(Progress<'_>)) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // One thread, also afterwards: a launch needs that.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let mut teller = Teller::new(quiet);
    let built = runtime.block_on(build(&mut |progress| teller.tell(progress)));
    teller.clear();
    built
}

fn names(packages: &Packages, manager: PackageManager) -> String {
    let names: Vec<_> = packages
        .of(manager)
        .iter()
        .map(PackageSpec::as_str)
        .collect();
    names.join(", ")
}

fn fresh_id() -> SandboxId {
    let mut bits = [0; 8];
    // Blocks only before the kernel's generator is ready, at boot (getrandom(2)).
    let _ = rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty());
    SandboxId::from_random(u64::from_ne_bytes(bits))
}

/// Tells a person how a build goes: a line that changes on a terminal, else a line per layer.
struct Teller {
    quiet: bool,
    terminal: bool,
    current: String,
}

impl Teller {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: io::stderr().is_terminal(),
            current: String::new(),
        }
    }

    fn tell(&mut self, progress: Progress<'_>) {
        if self.quiet {
            return;
        }
        match progress {
            Progress::Begun(content) => {
                self.current = format!("{}: installing {}", content.kind(), content.declared());
                self.say(&self.current.clone(), true);
            }
            Progress::Waiting(content) => {
                let kind = content.kind();
                self.say(
                    &format!("{kind}: waiting for another build of the same layer"),
                    true,
                );
            }
            Progress::Line(line) if self.terminal => {
                self.say(&format!("{} | {}", self.current, line.trim()), true);
            }
            Progress::Line(_) => {}
            Progress::Retrying(pause) => {
                let seconds = pause.as_secs();
                self.say(
                    &format!("the network failed; trying again in {seconds} s"),
                    false,
                );
            }
            Progress::Done(layer) => self.done(layer),
        }
    }

    fn done(&mut self, layer: &Layer) {
        if !std::mem::take(&mut self.current).is_empty() {
            let record = &layer.record;
            self.say(
                &format!(
                    "{}: {} packages, {} MiB, {} s",
                    record.inputs.content.kind(),
                    record.resolved.len(),
                    record.bytes >> 20,
                    record.seconds
                ),
                false,
            );
        }
    }

    /// A line that passes is overwritten by the next one where that is possible.
    fn say(&self, text: &str, passes: bool) {
        let text = printable(text);
        if self.terminal {
            let short: String = text.chars().take(self.columns()).collect();
            let end = if passes { "" } else { "\n" };
            output::print_to_stderr(&format!("\r\x1b[K{short}{end}"));
        } else {
            output::print_to_stderr(&format!("bailiwick: {text}\n"));
        }
    }

    fn columns(&self) -> usize {
        rustix::termios::tcgetwinsize(io::stderr())
            .map_or(80, |size| usize::from(size.ws_col).max(20))
            - 1
    }

    fn clear(&self) {
        if self.terminal && !self.quiet {
            output::print_to_stderr("\r\x1b[K");
        }
    }
}
