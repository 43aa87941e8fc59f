//! The images of this machine: where they are kept, and how what is missing of one is built.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bailiwick_dial::{DialOptions, Dialer, ProxySettings};
use bailiwick_egress::Egress;
use bailiwick_images::{
    BaseImage, BuildError, Builder, Content, Head, Held, HostBase, ImageSpec, Layer, Progress,
    ProjectAt, Registry, Store, host_base,
};
use bailiwick_local::{
    Layers, LocalOptions, LocalRuntime, MountedLayer, StateDirectory, Surroundings, host_facts,
    privileged, snapshot,
};
use bailiwick_model::{GitRef, PackageManager, PackageSpec, Packages, Project, SandboxId};
use bailiwick_policy::Pins;
use bailiwick_runtime::{Base, LayerDigest};
use tokio::sync::watch;

use crate::bad_input::BadInput;
use crate::environment_source::Environment;
use crate::host_environment::HostEnvironment;
use crate::output::{self, printable};
use crate::project::Fetching;
use crate::{clock, state};

/// Whose layers those of a machine without a server are.
const ORGANIZATION: &str = "local";

/// The images of this machine.
pub(crate) struct Images {
    builder: Builder,
    /// The sandboxes of fetches: with names and certificates of the operator's choice.
    for_fetches: LocalOptions,
    fetching: Fetching,
    base: HostBase,
}

/// An image that stays as long as this lives.
pub(crate) struct Image {
    pub(crate) keys: Vec<LayerDigest>,
    layers: Layers,
    directory: Option<PathBuf>,
    _held: Held,
}

impl Image {
    /// What a sandbox gets of it.
    pub(crate) fn layers(&self) -> Layers {
        self.layers.clone()
    }

    /// Where programs start, as a path inside, if it has a project.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

/// Opens the store of images below the state directory.
pub(crate) fn store(state: &StateDirectory) -> anyhow::Result<Store> {
    Ok(Store::open(state.path().join("images"))?)
}

impl Images {
    pub(crate) fn open(
        registries: &[Registry],
        fetching: Fetching,
        host: &HostEnvironment,
    ) -> anyhow::Result<Self> {
        let state = state::open(host)?;
        let store = store(&state)?;
        let base = host_base(&store.path().join("bases"), snapshot)
            .context("cannot take what images need of this host's settings")?;
        let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
        let proxy = ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?;
        let egress = |pins| {
            let dialer = Dialer::new(DialOptions {
                pins,
                proxy: proxy.clone(),
                ..DialOptions::new(facts.clone())
            });
            Arc::new(Egress::new(Arc::new(dialer)))
        };
        let options = LocalOptions {
            state,
            egress: egress(Pins::default()),
            layers: store.path().join("layers"),
            repositories: store.path().join("repositories"),
            snapshot: Some(base.snapshot.clone()),
            surroundings: Surroundings {
                home: host.home.clone(),
                ca_file: host.ca_file.clone(),
                terminal: Vec::new(),
            },
            certificates: None,
            now: clock::now_seconds,
        };
        let for_fetches = LocalOptions {
            egress: egress(fetching.pins.clone()),
            certificates: fetching.ca.clone(),
            ..options.clone()
        };
        let builder = Builder {
            runtime: Arc::new(LocalRuntime::new(options)?),
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
        Ok(Self {
            builder,
            for_fetches,
            fetching,
            base,
        })
    }

    /// The image that an environment declares, with what its project's ref is now.
    ///
    /// Where the repository does not answer, with what it was when it was fetched last, which is told.
    pub(crate) fn spec(&self, environment: &Environment, quiet: bool) -> anyhow::Result<ImageSpec> {
        let project = environment.project.as_ref();
        Ok(ImageSpec {
            packages: environment.packages.clone(),
            project: project
                .map(|project| self.project(project, quiet))
                .transpose()?,
        })
    }

    /// The image that an environment declares, with what its project's ref was when it was fetched last; `None` if it never was.
    pub(crate) fn last_spec(&self, environment: &Environment) -> Option<ImageSpec> {
        let at = |project: &Project| {
            Some(ProjectAt {
                head: self.builder.last_head(project)?,
                project: project.clone(),
            })
        };
        let project = match &environment.project {
            Some(project) => Some(at(project)?),
            None => None,
        };
        Some(ImageSpec {
            packages: environment.packages.clone(),
            project,
        })
    }

    fn project(&self, project: &Project, quiet: bool) -> anyhow::Result<ProjectAt> {
        let last = self.builder.last_head(project);
        let is_pinned = project.git_ref.as_ref().is_some_and(GitRef::is_commit);
        let head = match last {
            Some(last) if self.fetching.offline || is_pinned => last,
            None if self.fetching.offline => bail!(
                "{} was never fetched here; leave out --offline",
                project.repository
            ),
            last => match self.fetch(project, quiet)? {
                Err(error @ BuildError::Unreachable { .. }) => {
                    let Some(last) = last else {
                        return Err(error.into());
                    };
                    let text = printable(&format!(
                        "bailiwick: {error}; the project is what it was last, {}",
                        last.commit
                    ))
                    .into_owned();
                    output::print_to_stderr(&(text + "\n"));
                    last
                }
                other => other?,
            },
        };
        Ok(ProjectAt {
            project: project.clone(),
            head,
        })
    }

    fn fetch(&self, project: &Project, quiet: bool) -> anyhow::Result<Result<Head, BuildError>> {
        let fetcher = Builder {
            runtime: Arc::new(LocalRuntime::new(self.for_fetches.clone())?),
            ..self.builder.clone()
        };
        let mut teller = Teller::new(quiet);
        let runtime = one_thread()?;
        let mut told = |progress: Progress<'_>| teller.tell(progress);
        let access = &self.fetching.access;
        let fetched = runtime.block_on(fetcher.fetch(project, access, &mut told));
        teller.clear();
        Ok(fetched)
    }

    /// The layers of an image by their keys, whether they are there or not.
    pub(crate) fn keys(&self, spec: &ImageSpec) -> Vec<LayerDigest> {
        self.builder.keys(spec)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.builder.store
    }

    /// The image, if all of it is there.
    pub(crate) fn find(&self, spec: &ImageSpec) -> anyhow::Result<Option<Image>> {
        let found = self.builder.find(spec)?;
        Ok(found.map(|(keys, held)| self.image(spec, keys, held)))
    }

    /// The image; what is missing of it is built, which is told on standard error unless `quiet`.
    pub(crate) fn build(&self, spec: &ImageSpec, quiet: bool) -> anyhow::Result<Image> {
        let packages = &spec.packages;
        if !privileged() && !packages.of(PackageManager::Apt).is_empty() {
            bail!(
                "Debian packages can be installed over this host's programs by root only, to whom these belong: run this as root, or install {} on this host and declare the rest",
                names(packages, PackageManager::Apt)
            );
        }
        let runtime = one_thread()?;
        let mut teller = Teller::new(quiet);
        let built = runtime.block_on(
            self.builder
                .build(spec, &mut |progress| teller.tell(progress)),
        );
        teller.clear();
        let (keys, held) = built?;
        Ok(self.image(spec, keys, held))
    }

    fn image(&self, spec: &ImageSpec, keys: Vec<LayerDigest>, held: Held) -> Image {
        let layers = self.builder.store.path().join("layers");
        let tree = |key: &LayerDigest| layers.join(key.digits()).join("tree");
        let trees: Vec<PathBuf> = keys.iter().map(tree).collect();
        let directory = spec.project.as_ref().map(ProjectAt::directory);
        // The project's layer is the topmost.
        let mounted = trees.last().zip(directory.clone());
        Image {
            directory,
            layers: Layers {
                snapshot: Some(self.base.snapshot.clone()),
                mounted: mounted
                    .map(|(tree, target)| MountedLayer {
                        tree: tree.clone(),
                        target,
                        writable: true,
                    })
                    .into_iter()
                    .collect(),
                trees: trees.clone(),
                draft: None,
            },
            keys,
            _held: held,
        }
    }
}

/// One thread, also afterwards: a launch needs that.
fn one_thread() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
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
            Progress::Fetching(repository) => {
                self.current = format!("project: fetching {repository}");
                // Mostly there is nothing new, and then nobody wants to read of it.
                if self.terminal {
                    self.say(&self.current.clone(), true);
                }
            }
            Progress::Begun(content) => {
                let what = match content {
                    Content::Packages { .. } | Content::Base { .. } => "installing",
                    Content::Project { .. } => "setting up",
                };
                self.current = format!("{}: {what} {}", content.kind(), content.declared());
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
