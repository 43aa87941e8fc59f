//! Projects: a mirror is fetched, a commit checked out of it, and the set-up run, each in a sandbox of its own.
//!
//! The first reaches the repository alone and sees credentials; the second reaches nothing; the third reaches registries and sees neither the
//! mirror nor a credential. So what runs code of the repository has nothing to steal, and what has something runs none.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bailiwick_model::{PackageManager, Project, Reason, Repository, Transport, limits};
use bailiwick_policy::{CidrRule, EgressPolicy, HOST_SERVICE, Ports};
use bailiwick_runtime::ExitStatus;

use super::job::{self, read_only};
use super::{BuildError, Builder, Job, Keeps, Outcome, Progress, Step, Watched};
use crate::key::Content;
use crate::mirror::{self, Head, Mirror};
use crate::recipe;
use crate::registry::Registry;
use crate::store::Draft;
use crate::store::lock::Kind;

/// What a script ends with where the repository does not have what was asked for.
const NOT_THERE: u8 = 91;
/// What a script ends with where the mirror is damaged.
const DAMAGED: u8 = 92;
/// Where a repository of this machine stands while it is fetched.
const SOURCE: &str = "/source";

/// A project at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectAt {
    /// The project.
    pub project: Project,
    /// What its ref is.
    pub head: Head,
}

/// What a fetch may use besides the network; each file is seen by git alone, in the sandbox of the fetch.
#[derive(Debug, Clone, Default)]
pub struct FetchAccess {
    /// A private key without a passphrase.
    pub ssh_key: Option<PathBuf>,
    /// The keys of hosts, as ssh keeps them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"); without it no ssh host is trusted.
    pub ssh_known_hosts: Option<PathBuf>,
    /// Names and passwords for https, in the format of git-credential-store(1).
    pub git_credentials: Option<PathBuf>,
    /// Where the repository's name may lead besides public addresses; of these rules its port alone.
    pub allowed_cidrs: Vec<CidrRule>,
    /// Who waits for it, where it is done for them alone.
    pub watched: Option<Watched>,
}

impl ProjectAt {
    /// Where it is in a sandbox.
    pub fn directory(&self) -> PathBuf {
        directory(self.project.name.as_str())
    }

    pub(super) fn content(&self, builder: &Builder) -> Content {
        let setup: Vec<_> = self.project.setup.iter().map(ToString::to_string).collect();
        let managers = PackageManager::ALL.iter().copied();
        Content::Project {
            name: self.project.name.to_string(),
            repository: self.project.repository.to_string(),
            commit: self.head.commit.clone(),
            branch: self.head.branch.clone(),
            registries: builder.asked(managers.filter(|_| !setup.is_empty())),
            setup,
        }
    }
}

impl Builder {
    /// Fetches the project's ref and tells what it is.
    ///
    /// # Errors
    ///
    /// [`BuildError::Fetch`], [`BuildError::Unreachable`]; after the latter, [`Builder::last_head`] may know what it was.
    pub async fn fetch(
        &self,
        project: &Project,
        access: &FetchAccess,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Head, BuildError> {
        let mirror = self.mirror(&project.repository);
        let _lock = mirror.lock(Kind::Exclusive).await?;
        told(Progress::Fetching(&project.repository));
        let head = match self.fetch_once(&mirror, project, access, told).await? {
            Some(head) => head,
            // A damaged one is no loss: everything in it can be fetched again.
            None => {
                mirror.discard()?;
                let again = self.fetch_once(&mirror, project, access, told).await?;
                let damaged = || fetch_error(&project.repository, "what it sent is damaged");
                again.ok_or_else(damaged)?
            }
        };
        mirror.remember(project.git_ref.as_ref(), &head)?;
        Ok(head)
    }

    /// What the project's ref was when it was last fetched.
    pub fn last_head(&self, project: &Project) -> Option<Head> {
        self.mirror(&project.repository)
            .known(project.git_ref.as_ref())
    }

    /// What was fetched of a repository as who fetches now.
    pub(super) fn mirror(&self, repository: &Repository) -> Mirror {
        Mirror::of(
            &self.store,
            (&self.organization, &self.fetches_as),
            repository,
        )
    }

    /// `None` if the mirror is damaged.
    async fn fetch_once(
        &self,
        mirror: &Mirror,
        project: &Project,
        access: &FetchAccess,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Head>, BuildError> {
        let repository = &project.repository;
        if *repository.transport() == Transport::File {
            self.refuse_own_state(repository)?;
        }
        let job = fetch_job(project, access)?;
        let mut log = mirror.log()?;
        writeln!(log, "bailiwick: {repository}").map_err(BuildError::Log)?;
        let outcome = self
            .run(job, Some(mirror.directory()), Some(log), told)
            .await?;
        match outcome {
            Outcome::Done(report) => match Head::parse(&report) {
                Some(head) => Ok(Some(head)),
                None => Err(fetch_error(repository, "git told no commit and no branch")),
            },
            Outcome::Failed(ExitStatus::Exited(DAMAGED), _) => Ok(None),
            Outcome::Failed(status, tail) => Err(of_failed_fetch(repository, status, &tail)),
            Outcome::Over(limit) => Err(fetch_error(repository, &format!("it ran into {limit}"))),
        }
    }

    /// A mirror, which may be another organization's, is no repository to clone.
    fn refuse_own_state(&self, repository: &Repository) -> Result<(), BuildError> {
        let failed = |error: io::Error| fetch_error(repository, &error.to_string());
        let path = fs::canonicalize(repository.path()).map_err(failed)?;
        // Whoever owns a link on the way would choose what is read with the rights of whoever runs this.
        if path != Path::new(repository.path()) {
            let reason = format!("symbolic links lead to it; name {} itself", path.display());
            return Err(fetch_error(repository, &reason));
        }
        let own = fs::canonicalize(self.store.path()).map_err(failed)?;
        if path.starts_with(&own) || own.starts_with(&path) {
            return Err(fetch_error(
                repository,
                "it is or holds Bailiwick's own state",
            ));
        }
        Ok(())
    }

    /// Fills the draft of a project's layer.
    pub(super) async fn run_project(
        &self,
        draft: &Draft,
        step: &Step,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Outcome, BuildError> {
        let Content::Project {
            name,
            repository,
            commit,
            branch,
            setup,
            ..
        } = &step.inputs.content
        else {
            unreachable!("the step is a project's")
        };
        let source: Repository = repository.parse().map_err(|_| {
            let reason = "it is no repository that can be fetched";
            fetch_error_of(repository, reason)
        })?;
        let mirror = self.mirror(&source);
        let lock = mirror.lock(Kind::Shared).await?;
        let job = checkout_job(&mirror, [repository, commit], branch.as_deref(), name);
        let directory = draft.directory();
        let checkout = self
            .run(job, Some(directory), Some(draft.log()?), told)
            .await?;
        drop(lock);
        match checkout {
            Outcome::Done(_) => {}
            Outcome::Failed(ExitStatus::Exited(DAMAGED), _) => {
                let _lock = mirror.lock(Kind::Exclusive).await?;
                mirror.discard()?;
                let reason = "what was kept of it was damaged and has been thrown away; try again";
                return Err(fetch_error(&source, reason));
            }
            other @ (Outcome::Failed(..) | Outcome::Over(_)) => return Ok(other),
        }
        let job = self.setup_job(step, name, setup);
        let installed = self
            .run(job, Some(directory), Some(draft.log()?), told)
            .await?;
        Ok(match installed {
            Outcome::Done(_) => Outcome::Done(format!("{name}\t{commit}\t{repository}\n")),
            other @ (Outcome::Failed(..) | Outcome::Over(_)) => other,
        })
    }

    /// The set-up, and whose the files are in the end.
    fn setup_job(&self, step: &Step, name: &str, setup: &[String]) -> Job {
        let script = recipe::script_of(&[
            include_str!("../../data/recipes/setup.sh"),
            include_str!("../../data/recipes/own.sh"),
        ]);
        let managers = PackageManager::ALL.iter().copied();
        let own = managers.clone().filter_map(|m| self.registry(m));
        Job {
            argv: shell(&script, setup.iter().map(OsString::from)),
            policy: self.policy_of(managers.filter(|_| !setup.is_empty())),
            image: self.image(&step.below),
            input: Vec::new(),
            mounts: Vec::new(),
            env: own.flat_map(Registry::variables).collect(),
            directory: directory(name),
            keeps: Keeps {
                image: true,
                besides: Some(directory(name)),
            },
            watched: None,
        }
    }
}

/// Where a project is in a sandbox.
fn directory(name: &str) -> PathBuf {
    Path::new("/workspace").join(name)
}

fn shell(script: &str, arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    // sh -c SCRIPT NAME ARGUMENTS (sh(1)): what an environment says is never read as a script.
    let fixed = ["sh", "-c", script, "project"].map(OsString::from);
    fixed.into_iter().chain(arguments).collect()
}

fn fetch_job(project: &Project, access: &FetchAccess) -> Result<Job, BuildError> {
    let repository = &project.repository;
    let mut mounts = Vec::new();
    let (word, url) = match repository.transport() {
        Transport::Https { .. } => {
            let file = access.git_credentials.iter();
            mounts.extend(file.map(|file| read_only(file, "/bailiwick/git-credentials")));
            ("https", repository.as_str())
        }
        Transport::Ssh { .. } => {
            let key = access.ssh_key.iter();
            mounts.extend(key.map(|file| read_only(file, "/bailiwick/ssh-key")));
            let known = access.ssh_known_hosts.iter();
            mounts.extend(known.map(|file| read_only(file, "/bailiwick/known-hosts")));
            ("ssh", repository.as_str())
        }
        Transport::File => {
            mounts.push(read_only(&git_directory(repository.path()), SOURCE));
            ("file", "file:///source")
        }
    };
    let git_ref = project.git_ref.as_ref().map_or("", |r| r.as_str());
    let most = limits::REPOSITORY_FETCH_BYTES.to_string();
    let script = recipe::script_of(&[
        include_str!("../../data/recipes/git.sh"),
        include_str!("../../data/recipes/fetch.sh"),
    ]);
    Ok(Job {
        argv: shell(&script, [word, url, git_ref, &most].map(OsString::from)),
        policy: fetch_policy(repository, &access.allowed_cidrs)?,
        image: job::host(),
        input: Vec::new(),
        mounts,
        env: Default::default(),
        directory: "/".into(),
        keeps: Keeps {
            image: false,
            besides: Some(mirror::INSIDE.into()),
        },
        watched: access.watched.clone(),
    })
}

/// Of a work tree, what git needs: its other files have nothing to do with it.
fn git_directory(path: &str) -> PathBuf {
    let own = Path::new(path).join(".git");
    match fs::symlink_metadata(&own) {
        Ok(metadata) if metadata.is_dir() => own,
        Ok(_) | Err(_) => path.into(),
    }
}

/// Exactly the repository's host and port; nothing for one of this machine. The name may lead to these addresses too.
fn fetch_policy(
    repository: &Repository,
    allowed_cidrs: &[CidrRule],
) -> Result<EgressPolicy, BuildError> {
    let mut policy = EgressPolicy::limited();
    match repository.transport() {
        Transport::File => {}
        Transport::Https { host, port } | Transport::Ssh { host, port } => {
            let refused = |error: String| fetch_error(repository, &error);
            if &**host == HOST_SERVICE {
                policy.host_ports.push(*port);
            } else if let Ok(address) = host.parse::<IpAddr>() {
                let block = match address {
                    IpAddr::V4(address) => format!("{address}/32:{port}"),
                    IpAddr::V6(address) => format!("[{address}/128]:{port}"),
                };
                let rule = block.parse().map_err(|e| refused(format!("{e}")));
                policy.allowed_cidrs.push(rule?);
            } else {
                let rule = format!("{host}:{port}").parse();
                let rule =
                    rule.map_err(|e: bailiwick_policy::HostPatternError| refused(e.to_string()));
                policy.allowed_hosts.push(rule?);
                let own = |rule: &&CidrRule| rule.ports().contains(*port);
                let own = allowed_cidrs.iter().filter(own);
                let port = Ports::one(*port);
                let own = own.filter_map(|rule| Some(CidrRule::new(rule.net(), port?)));
                policy.allowed_cidrs.extend(own);
            }
        }
    }
    Ok(policy)
}

pub(super) fn checkout_job(
    mirror: &Mirror,
    [repository, commit]: [&str; 2],
    branch: Option<&str>,
    name: &str,
) -> Job {
    let files = limits::PROJECT_FILES.to_string();
    let bytes = limits::PROJECT_BYTES.to_string();
    let script = recipe::script_of(&[
        include_str!("../../data/recipes/git.sh"),
        include_str!("../../data/recipes/checkout.sh"),
    ]);
    let arguments = [
        "file",
        repository,
        commit,
        branch.unwrap_or_default(),
        &files,
        &bytes,
    ];
    Job {
        argv: shell(&script, arguments.map(OsString::from)),
        policy: EgressPolicy::limited(),
        image: job::host(),
        input: Vec::new(),
        mounts: vec![read_only(&mirror.repository(), mirror::INSIDE)],
        env: Default::default(),
        directory: directory(name),
        keeps: Keeps {
            image: false,
            besides: Some(directory(name)),
        },
        watched: None,
    }
}

pub(super) fn fetch_error(repository: &Repository, reason: &str) -> BuildError {
    fetch_error_of(repository.as_str(), reason)
}

fn fetch_error_of(repository: &str, reason: &str) -> BuildError {
    BuildError::Fetch {
        repository: repository.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Whether nobody was reached, or somebody who refused.
fn of_failed_fetch(repository: &Repository, status: ExitStatus, tail: &str) -> BuildError {
    const UNREACHED: &[&str] = &[
        "Failed to connect",
        "Couldn't connect",
        "Could not connect",
        "Connection refused",
        "Connection closed",
        "Connection was reset",
        "Empty reply from server",
        "No route to host",
        "Network is unreachable",
        "The requested URL returned error: 50",
        "kex_exchange_identification",
        // The relay ends connections that it cannot make after it took them.
        "was non-properly terminated",
        "unexpected eof",
        "SSL_ERROR_SYSCALL",
        "SSL_connect",
    ];
    // What ssh says stands above what git makes of it.
    const TELLING: &[&str] = &[
        "bailiwick: denied",
        "Host key verification failed",
        "IDENTIFICATION HAS CHANGED",
        "Permission denied",
        "invalid format",
    ];
    // Nobody was there, be it that nobody has the name.
    let absent = [Reason::Unreachable, Reason::NameNotFound];
    let is_absent = |line: &str| {
        let said = |reason: &Reason| line.ends_with(&format!(": {}", reason.code()));
        line.starts_with("bailiwick: denied") && absent.iter().any(said)
    };
    let telling = |line: &&str| TELLING.iter().any(|sign| line.contains(sign)) && !is_absent(line);
    let refusal = tail.lines().find(telling).map(str::trim);
    let mut reason = refusal.map_or_else(|| super::error::reason(tail), str::to_owned);
    if reason.contains("resolved_to_private") {
        reason += " (name its address with --resolve, or write it in the URL)";
    }
    if reason.contains("could not read Username") {
        reason += " (a private repository needs --git-credentials FILE)";
    }
    let repository = repository.as_str().to_owned();
    let is_answer = refusal.is_some() || matches!(status, ExitStatus::Exited(NOT_THERE));
    let unreached = tail.lines().any(is_absent)
        || recipe::is_transient(tail)
        || UNREACHED.iter().any(|sign| tail.contains(sign));
    if unreached && !is_answer {
        BuildError::Unreachable { repository, reason }
    } else {
        BuildError::Fetch { repository, reason }
    }
}
