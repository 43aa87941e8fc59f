//! What a sandbox is to be: a plain value, checked once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bailiwick_model::{EnvironmentName, SandboxId};
use serde::{Deserialize, Serialize};

use crate::{Error, SpecProblem, bytes};

/// What a sandbox is to be. It holds no default for the policy: whoever makes one says which.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSpec<P> {
    /// Its id; one that runs cannot be used again.
    pub id: SandboxId,
    /// The environment that it is made for, where that has a name.
    pub environment: Option<EnvironmentName>,
    /// Its file system.
    pub image: Image,
    /// Where what root inside writes is kept; without one it vanishes.
    pub draft: Option<Draft>,
    /// What is mounted besides, in order; a later one may lie inside an earlier one.
    pub mounts: Vec<Mount>,
    /// Where commands start, as a path inside.
    #[serde(with = "bytes::os_string")]
    pub directory: PathBuf,
    /// Who its programs are.
    pub identity: Identity,
    /// What they may ask of the kernel.
    pub profile: Profile,
    /// Variables of every command, besides the fixed ones.
    #[serde(with = "bytes::variables")]
    pub env: BTreeMap<OsString, OsString>,
    /// What it may use.
    pub limits: Limits,
    /// What it may reach.
    pub network: Network<P>,
}

/// The network of a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Network<P> {
    /// The compiled egress policy, opaque here.
    pub policy: P,
    /// TCP ports inside that are offered outside: on the host's loopback, or as the backend says.
    pub published_ports: Vec<u16>,
}

/// A layer in the making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// A directory of the machine with two empty directories, `tree` and `work`. What is kept lies in `tree` at its path inside.
    #[serde(with = "bytes::os_string")]
    pub directory: PathBuf,
    /// Whether what is written to the image is kept.
    pub image: bool,
    /// A directory inside that is empty at first and is kept: the root of another system, or a project's.
    #[serde(with = "bytes::optional_path")]
    pub besides: Option<PathBuf>,
}

/// A file system: layers on a base.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Image {
    /// The lowest.
    pub base: Base,
    /// What lies above it, the lowest first; all are read-only.
    pub layers: Vec<LayerDigest>,
}

/// What an image stands on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Base {
    /// The userland of the machine itself, curated.
    Host,
    /// The root of another system in a directory of the machine.
    Directory(#[serde(with = "bytes::os_string")] PathBuf),
    /// A layer that was made by an image build, or taken from an archive or a registry.
    Layer(LayerDigest),
}

/// The name of a layer by its contents: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct LayerDigest(Box<str>);

/// A text that is not the digest of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a layer is named by `sha256:` and 64 digits of 0-9 and a-f")]
pub struct InvalidLayerDigest;

impl std::str::FromStr for LayerDigest {
    type Err = InvalidLayerDigest;

    fn from_str(text: &str) -> Result<Self, InvalidLayerDigest> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidLayerDigest)?;
        let good = digits.len() == 64
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if good {
            Ok(Self(text.into()))
        } else {
            Err(InvalidLayerDigest)
        }
    }
}

impl TryFrom<Box<str>> for LayerDigest {
    type Error = InvalidLayerDigest;

    fn try_from(text: Box<str>) -> Result<Self, InvalidLayerDigest> {
        text.parse()
    }
}

impl From<LayerDigest> for Box<str> {
    fn from(digest: LayerDigest) -> Self {
        digest.0
    }
}

impl LayerDigest {
    /// The 64 digits, without the algorithm: safe as the name of a file.
    pub fn digits(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }
}

impl fmt::Display for LayerDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where, as a path inside.
    #[serde(with = "bytes::os_string")]
    pub target: PathBuf,
    /// Whether it can be written to.
    pub access: Access,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A directory or file of the machine.
    Host(#[serde(with = "bytes::os_string")] PathBuf),
    /// A layer; with [`Access::ReadWrite`] what is written is private to the sandbox (a project at its commit).
    Layer(LayerDigest),
    /// An empty directory that is private to the sandbox and can be written to.
    Private,
}

/// Whether something can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// No.
    ReadOnly,
    /// Yes.
    ReadWrite,
}

/// Who the programs of a sandbox are, inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Identity {
    /// uid 1000, `agent`.
    Agent,
    /// uid 0, which is nobody outside.
    Root,
}

/// What the programs of a sandbox may ask of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// No capability.
    Run,
    /// What package managers need, in a user namespace of the sandbox's own.
    Build,
}

/// What a sandbox may use; `None` is the backend's own bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, with the files that are held in it.
    pub memory_bytes: Option<u64>,
    /// Processor time, in thousandths of one processor.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub processes: Option<u32>,
    /// Private files.
    pub disk_bytes: Option<u64>,
    /// How long it runs at most.
    pub lifetime: Option<Duration>,
}

/// A sandbox that runs, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSummary {
    /// Its id.
    pub id: SandboxId,
    /// The environment that it was made for.
    pub environment: Option<EnvironmentName>,
}

/// The name of what a checkpoint kept. It is used up by the restore.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint(pub Box<str>);

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<P> SandboxSpec<P> {
    /// A sandbox on the host's userland with a private /workspace: identity `agent`, profile `run`, no limits of its own.
    pub fn new(id: SandboxId, policy: P) -> Self {
        Self {
            id,
            environment: None,
            image: Image {
                base: Base::Host,
                layers: Vec::new(),
            },
            draft: None,
            mounts: Vec::new(),
            directory: PathBuf::from("/workspace"),
            identity: Identity::Agent,
            profile: Profile::Run,
            env: BTreeMap::new(),
            limits: Limits::default(),
            network: Network {
                policy,
                published_ports: Vec::new(),
            },
        }
    }

    /// The same with its policy in another form.
    ///
    /// # Errors
    ///
    /// What `with` says.
    pub fn with_policy<Q, E>(
        self,
        with: impl FnOnce(P) -> Result<Q, E>,
    ) -> Result<SandboxSpec<Q>, E> {
        Ok(SandboxSpec {
            id: self.id,
            environment: self.environment,
            image: self.image,
            draft: self.draft,
            mounts: self.mounts,
            directory: self.directory,
            identity: self.identity,
            profile: self.profile,
            env: self.env,
            limits: self.limits,
            network: Network {
                policy: with(self.network.policy)?,
                published_ports: self.network.published_ports,
            },
        })
    }

    /// Checks what is wrong on every backend. Backends call this first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSpec`] with the first field that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        check_path("directory", &self.directory)?;
        let mut targets = BTreeSet::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            let field = format!("mounts[{index}].target");
            check_path(&field, &mount.target)?;
            if !targets.insert(&mount.target) {
                return Err(invalid(&field, SpecProblem::Duplicate));
            }
        }
        check_environment(&self.env)?;
        self.limits.validate()?;
        let mut ports = BTreeSet::new();
        if let Some(besides) = self.draft.as_ref().and_then(|draft| draft.besides.as_ref()) {
            check_path("draft.besides", besides)?;
        }
        for (index, port) in self.network.published_ports.iter().enumerate() {
            let field = format!("network.published_ports[{index}]");
            if *port == 0 {
                return Err(invalid(&field, SpecProblem::Zero));
            }
            if !ports.insert(port) {
                return Err(invalid(&field, SpecProblem::Duplicate));
            }
        }
        Ok(())
    }
}

impl Limits {
    fn validate(&self) -> Result<(), Error> {
        let zeroes = [
            ("limits.memory_bytes", self.memory_bytes == Some(0)),
            ("limits.cpu_millis", self.cpu_millis == Some(0)),
            ("limits.processes", self.processes == Some(0)),
            ("limits.disk_bytes", self.disk_bytes == Some(0)),
            ("limits.lifetime", self.lifetime == Some(Duration::ZERO)),
        ];
        match zeroes.into_iter().find(|(_, zero)| *zero) {
            Some((field, _)) => Err(invalid(field, SpecProblem::Zero)),
            None => Ok(()),
        }
    }
}

impl crate::Command {
    /// Checks what is wrong on every backend. Backends call this first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSpec`] with the first field that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        match self.argv.first() {
            Some(program) if !program.is_empty() => {}
            Some(_) | None => return Err(invalid("argv", SpecProblem::Empty)),
        }
        if self.argv.iter().any(|argument| has_nul(argument)) {
            return Err(invalid("argv", SpecProblem::Byte));
        }
        if let Some(directory) = &self.directory {
            check_path("directory", directory)?;
        }
        check_environment(&self.env)
    }
}

fn check_path(field: &str, path: &Path) -> Result<(), Error> {
    if has_nul(path.as_os_str()) {
        return Err(invalid(field, SpecProblem::Byte));
    }
    if !path.is_absolute()
        || path
            .components()
            .any(|component| component == Component::ParentDir)
    {
        return Err(invalid(field, SpecProblem::NotAbsolute));
    }
    Ok(())
}

fn check_environment(env: &BTreeMap<OsString, OsString>) -> Result<(), Error> {
    for (name, value) in env {
        if name.is_empty() {
            return Err(invalid("env", SpecProblem::Empty));
        }
        if name.as_bytes().contains(&b'=') || has_nul(name) || has_nul(value) {
            return Err(invalid("env", SpecProblem::Byte));
        }
    }
    Ok(())
}

fn has_nul(text: &OsStr) -> bool {
    text.as_bytes().contains(&0)
}

fn invalid(field: &str, problem: SpecProblem) -> Error {
    Error::InvalidSpec {
        field: field.into(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    fn spec() -> SandboxSpec<()> {
        SandboxSpec::new("one".parse().unwrap(), ())
    }

    fn refused(spec: &SandboxSpec<()>) -> String {
        spec.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_spec_says_which_field_is_wrong() {
        assert!(spec().validate().is_ok());
        let mount = |target: &str| Mount {
            source: MountSource::Host("/srv".into()),
            target: target.into(),
            access: Access::ReadOnly,
        };
        let mut twice = spec();
        twice.mounts = vec![mount("/a"), mount("/a")];
        assert_eq!(refused(&twice), "mounts[1].target: is given twice");
        let mut out = spec();
        out.mounts = vec![mount("/a/../../etc")];
        assert_eq!(
            refused(&out),
            "mounts[0].target: is not an absolute path without `..`"
        );
        let mut none = spec();
        none.limits.memory_bytes = Some(0);
        assert_eq!(refused(&none), "limits.memory_bytes: is zero");
        let mut variable = spec();
        variable.env.insert("A=B".into(), "c".into());
        assert_eq!(
            refused(&variable),
            "env: holds a byte that is not allowed there"
        );
        let mut ports = spec();
        ports.network.published_ports = vec![80, 80];
        assert_eq!(
            refused(&ports),
            "network.published_ports[1]: is given twice"
        );
    }

    #[test]
    fn a_command_needs_a_program() {
        assert!(Command::new(["true"]).validate().is_ok());
        assert!(Command::new([""; 0]).validate().is_err());
        assert!(Command::new([""]).validate().is_err());
        assert!(Command::new(["a\0b"]).validate().is_err());
    }

    #[test]
    fn a_layer_is_named_by_its_digest_alone() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(digest.parse::<LayerDigest>().unwrap().to_string(), digest);
        for bad in [
            "",
            "sha256:",
            "sha256:../../etc",
            &digest[1..],
            &digest.to_uppercase(),
        ] {
            assert!(bad.parse::<LayerDigest>().is_err(), "{bad}");
        }
    }
}
