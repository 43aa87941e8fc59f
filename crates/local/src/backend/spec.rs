//! From the port's spec to a plan of this machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_policy::InForce;
use bailiwick_runtime::{
    Access, Base, Error, Identity, Image, LayerDigest, Mount, MountSource, PathProblem, Profile,
    SandboxSpec,
};
use bailiwick_sandbox::plan::{self, MountStep, Ownership};

use super::{LocalOptions, error};
use crate::identity::{self, RunAs};
use crate::layers::{Layers, MountedLayer};
use crate::prepare::{self, Limits, Prepared, Request};
use crate::workspace::{self, Workspace};

/// Where in its tree a layer has the root of another system.
const LAYER_BASE: &str = "base";

pub(super) fn prepare(
    spec: &SandboxSpec<InForce>,
    options: &LocalOptions,
) -> Result<Prepared, Error> {
    // A message to the init carries it as text.
    if spec.directory.to_str().is_none() {
        return Err(Error::InvalidSpec {
            field: "directory".into(),
            problem: bailiwick_runtime::SpecProblem::Byte,
        });
    }
    let mounts = Mounts::sort(&spec.mounts)?;
    let request = Request {
        id: spec.id.clone(),
        environment: spec.environment.clone(),
        workspace: mounts.workspace,
        base: base(&spec.image, options)?,
        layers: layers(spec, options)?,
        toolchains: Vec::new(),
        run_as: run_as(spec.identity, spec.profile)?,
        variables: variables(spec),
        certificates: options.certificates.clone(),
        credentials: spec.network.policy.projections.may_have_credentials(),
        limits: Limits {
            memory_bytes: spec.limits.memory_bytes,
            cpu_millis: spec.limits.cpu_millis,
            pids: spec.limits.processes,
            disk_bytes: spec.limits.disk_bytes,
        },
        surroundings: options.surroundings.clone(),
    };
    let mut prepared = prepare::prepare(&request, &options.state).map_err(error::prepare)?;
    for mount in mounts.read_only {
        let step = read_only(mount, options)?;
        prepared.plan.mounts.push(step);
    }
    let private = mounts.private.into_iter();
    prepared
        .plan
        .mounts
        .extend(private.flat_map(workspace::private_at));
    prepared.plan.profile = match spec.profile {
        Profile::Run => plan::Profile::Run,
        Profile::Build => plan::Profile::Build,
    };
    prepared.directory.clone_from(&spec.directory);
    Ok(prepared)
}

/// What can be mounted here: one directory at /workspace that can be written to, and others that cannot.
struct Mounts<'a> {
    workspace: Option<Workspace>,
    read_only: Vec<(&'a Path, &'a Path)>,
    private: Vec<&'a Path>,
}

impl<'a> Mounts<'a> {
    fn sort(mounts: &'a [Mount]) -> Result<Self, Error> {
        let mut sorted = Self {
            workspace: None,
            read_only: Vec::new(),
            private: Vec::new(),
        };
        for mount in mounts {
            let source = match &mount.source {
                MountSource::Host(source) => source,
                MountSource::Private => {
                    sorted.private.push(&mount.target);
                    continue;
                }
                MountSource::Layer(_) => continue,
            };
            match mount.access {
                Access::ReadOnly => sorted.read_only.push((source, &mount.target)),
                // Targets differ, so there is one at most.
                Access::ReadWrite if mount.target == Path::new(workspace::INSIDE) => {
                    sorted.workspace = Some(Workspace {
                        path: source.clone(),
                        writable_meta: false,
                        allow_sockets: false,
                        read_only: Vec::new(),
                    });
                }
                Access::ReadWrite => {
                    return Err(error::refused(
                        "a way to protect what the host trusts in a second writable directory",
                        format!("mount it read-only, or at {}", workspace::INSIDE),
                    ));
                }
            }
        }
        Ok(sorted)
    }
}

/// A tree of the host, checked as a work directory is: a socket can be connected to through a read-only mount too.
fn read_only((source, target): (&Path, &Path), options: &LocalOptions) -> Result<MountStep, Error> {
    let unusable = |_| error::path(source, PathProblem::NotFound);
    let canonical = fs::canonicalize(source).map_err(unusable)?;
    let metadata = fs::metadata(&canonical).map_err(unusable)?;
    let mirrors = fs::canonicalize(&options.repositories);
    let is_mirror = mirrors.is_ok_and(|mirrors| canonical.starts_with(mirrors));
    if is_mirror || options.state.is_upload(&canonical) {
        // Nobody but builds wrote to the one, and none of them lives on to listen; to the other, nobody but this program.
    } else if metadata.is_dir() {
        let workspace = Workspace {
            path: canonical.clone(),
            writable_meta: true,
            allow_sockets: false,
            read_only: Vec::new(),
        };
        let homes = workspace::home_directories(options.surroundings.home.as_deref());
        let checked = workspace.check(&homes, options.state.path(), false);
        checked.map_err(|e| error::refused("another directory", e.to_string()))?;
    } else if !metadata.is_file()
        || canonical.starts_with(options.state.path())
            && !options.state.is_git_credentials(&canonical)
    {
        return Err(error::path(source, PathProblem::NotAFile));
    }
    Ok(MountStep::Bind {
        source: canonical,
        path: target.to_owned(),
        access: plan::Access::ReadOnly,
        ownership: if identity::privileged() {
            Ownership::Base
        } else {
            Ownership::AsMapped
        },
    })
}

fn tree(layer: &LayerDigest, options: &LocalOptions) -> Result<PathBuf, Error> {
    let tree = options.layers.join(layer.digits()).join("tree");
    if tree.is_dir() {
        Ok(tree)
    } else {
        Err(error::refused("a layer", format!("build {layer} first")))
    }
}

fn layers(spec: &SandboxSpec<InForce>, options: &LocalOptions) -> Result<Layers, Error> {
    let Image { base, layers } = &spec.image;
    let mounted = spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Layer(layer) => Some(tree(layer, options).map(|tree| MountedLayer {
            tree,
            target: mount.target.clone(),
            writable: mount.access == Access::ReadWrite,
        })),
        MountSource::Host(_) | MountSource::Private => None,
    });
    Ok(Layers {
        snapshot: match base {
            Base::Host => options.snapshot.clone(),
            Base::Directory(_) | Base::Layer(_) => None,
        },
        trees: layers
            .iter()
            .map(|layer| tree(layer, options))
            .collect::<Result<_, _>>()?,
        mounted: mounted.collect::<Result<_, _>>()?,
        draft: spec.draft.clone(),
    })
}

fn base(image: &Image, options: &LocalOptions) -> Result<crate::Base, Error> {
    Ok(match &image.base {
        Base::Host => crate::Base::Host,
        Base::Directory(path) => crate::Base::Directory(path.clone()),
        Base::Layer(layer) => crate::Base::Layer(tree(layer, options)?.join(LAYER_BASE)),
    })
}

/// The capabilities of a build are root's: another user would lose them on the way.
fn run_as(identity: Identity, profile: Profile) -> Result<RunAs, Error> {
    match (identity, profile) {
        (Identity::Agent, Profile::Run) => Ok(RunAs::Agent),
        (Identity::Root, Profile::Run | Profile::Build) => Ok(RunAs::Root),
        (Identity::Agent, Profile::Build) => Err(error::refused(
            "the identity root for the profile build",
            "ask for both",
        )),
    }
}

fn variables(spec: &SandboxSpec<InForce>) -> Vec<(OsString, OsString)> {
    let pairs = spec.env.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
