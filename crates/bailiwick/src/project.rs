//! The project of a command: from the environment file or `--project`, and how its repository is reached.

use std::path::PathBuf;

use bailiwick_dial::ProxySettings;
use bailiwick_images::FetchAccess;
use bailiwick_model::limits::CA_FILE_BYTES;
use bailiwick_model::{Project, Transport};
use bailiwick_policy::{Pin, Pins};

use crate::bad_input::{BadInput, read_text};
use crate::environment_source::Environment;
use crate::host_environment::HostEnvironment;

/// Which project, and how its repository is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct ProjectArguments {
    /// Work on the head of this repository, at /workspace/NAME, private to the sandbox: https, ssh or file, and behind # a branch, a tag or a
    /// commit. Over the environment's `project`, whose set-up stays if the repository is the same.
    #[arg(long, value_name = "URL[#REF]")]
    pub(crate) project: Option<Project>,
    /// Do not ask the repository what is new: use what was fetched last.
    #[arg(long)]
    pub(crate) offline: bool,
    /// The private key for a repository over ssh; only git sees it, while it fetches.
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,
    /// The keys of hosts that ssh trusts [default: ~/.ssh/known_hosts].
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_known_hosts: Option<PathBuf>,
    /// Names and passwords for repositories over https, as `git credential-store` keeps them; only git sees them, while it fetches.
    #[arg(long, value_name = "FILE")]
    pub(crate) git_credentials: Option<PathBuf>,
}

/// How a repository is reached, for commands that have no network of their own.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct FetchNetworkArguments {
    /// Let the name of a repository's host lead to an address (and port) of your choice; may be given many times.
    #[arg(long, value_name = "NAME=ADDR[:PORT]")]
    resolve: Vec<Pin>,
    /// Trust the CA certificates of this PEM file for the repository, in addition to those that this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// How a repository is fetched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetching {
    /// Files that git may use.
    pub(crate) access: FetchAccess,
    /// Only what was fetched before.
    pub(crate) offline: bool,
    /// Names that lead to addresses of the operator's choice.
    pub(crate) pins: Pins,
    /// Certificates to be trusted besides the host's, PEM.
    pub(crate) ca: Option<String>,
    /// The proxy for builds too, instead of the one that the host's variables name.
    pub(crate) proxy: Option<ProxySettings>,
}

impl ProjectArguments {
    /// Puts `--project` over the environment's.
    pub(crate) fn apply(&self, environment: &mut Environment) {
        let Some(mut project) = self.project.clone() else {
            return;
        };
        if let Some(own) = environment.project.take()
            && own.repository == project.repository
        {
            project.name = own.name;
            project.setup = own.setup;
        }
        environment.project = Some(project);
    }

    /// How the environment's project is fetched.
    pub(crate) fn fetching(
        &self,
        environment: &Environment,
        pins: Pins,
        ca: Option<String>,
        host: &HostEnvironment,
    ) -> Result<Fetching, BadInput> {
        let mut access = FetchAccess {
            ssh_key: file(self.ssh_key.as_ref())?,
            ssh_known_hosts: file(self.ssh_known_hosts.as_ref())?,
            git_credentials: file(self.git_credentials.as_ref())?,
            ..FetchAccess::default()
        };
        let transport = environment
            .project
            .as_ref()
            .map(|p| p.repository.transport());
        let is_ssh = matches!(transport, Some(Transport::Ssh { .. }));
        if is_ssh && !self.offline {
            if access.ssh_key.is_none() {
                return Err(BadInput::NoSshKey);
            }
            if access.ssh_known_hosts.is_none() {
                let own = host.home.as_ref().map(|home| home.join(".ssh/known_hosts"));
                let own = own.and_then(|path| path.canonicalize().ok());
                access.ssh_known_hosts = Some(own.ok_or(BadInput::NoKnownHosts)?);
            }
        }
        Ok(Fetching {
            access,
            offline: self.offline,
            pins,
            ca,
            proxy: None,
        })
    }
}

impl FetchNetworkArguments {
    /// What they say.
    pub(crate) fn read(&self) -> Result<(Pins, Option<String>), BadInput> {
        let ca = self.ca.as_ref().map(|path| certificates(path.clone()));
        Ok((self.resolve.iter().cloned().collect(), ca.transpose()?))
    }
}

/// The certificates of a PEM file.
pub(crate) fn certificates(path: PathBuf) -> Result<String, BadInput> {
    let text = read_text(&path, CA_FILE_BYTES)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(BadInput::NoCertificate(path))
    }
}

fn file(path: Option<&PathBuf>) -> Result<Option<PathBuf>, BadInput> {
    let resolve = |path: &PathBuf| match path.canonicalize() {
        Ok(real) if real.is_file() => Ok(real),
        Ok(_) => Err(BadInput::NotAFile(path.clone())),
        Err(source) => Err(BadInput::Unreadable {
            path: path.clone(),
            source,
        }),
    };
    path.map(resolve).transpose()
}
