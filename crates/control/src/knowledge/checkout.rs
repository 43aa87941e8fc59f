//! Repositories, brought here by git in sandboxes: the fetch reaches the repository's host alone and has the credential, the checkout reaches
//! nothing.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_images::{
    BuildError, Builder, FetchAccess, Head, Progress, Tree, Watched, remove_tree,
};
use bailiwick_knowledge::{BoxFuture, CheckedOut, Checkout, CheckoutError};
use bailiwick_model::{Flow, Project, Transport, Verdict};
use bailiwick_outbound::HttpUrl;
use bailiwick_policy::{HostFacts, OrganizationFloor, Policy};
use tokio::sync::watch;

use super::syncing::{Checkouts, WantedCheckout};
use crate::fresh;

/// Brings repositories to a directory of this machine.
#[derive(Clone)]
pub struct GitCheckouts {
    builder: Builder,
    directory: PathBuf,
}

/// One that is wanted.
struct Wanted {
    of: GitCheckouts,
    wanted: WantedCheckout,
}

/// What one sync has of the directory. It goes when this does.
struct Own {
    directory: PathBuf,
    access: FetchAccess,
}

impl Drop for Own {
    fn drop(&mut self) {
        // What stays is emptied by the next start.
        let _ = remove_tree(&self.directory);
    }
}

impl GitCheckouts {
    /// With what builds images, into a directory that is this process's alone. What an earlier one left there goes.
    ///
    /// # Errors
    ///
    /// The directory cannot be emptied or made.
    pub fn new(builder: Builder, directory: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        private(&directory)?;
        Ok(Self { builder, directory })
    }
}

impl Checkouts for GitCheckouts {
    fn checkout(&self, wanted: WantedCheckout) -> Arc<dyn Checkout> {
        let of = self.clone();
        Arc::new(Wanted { of, wanted })
    }
}

impl Checkout for Wanted {
    fn check_out(&self) -> BoxFuture<'_, Result<CheckedOut, CheckoutError>> {
        Box::pin(self.brought())
    }
}

impl Wanted {
    async fn brought(&self) -> Result<CheckedOut, CheckoutError> {
        let wanted = &self.wanted;
        let policy = Arc::clone(&wanted.policy.borrow());
        judged(&policy, wanted.repository.transport())?;
        let project = Project::new(wanted.repository.clone(), wanted.git_ref.clone());
        let project = project.map_err(|error| CheckoutError::Git(error.to_string()))?;
        let builder = Builder {
            organization: wanted.organization.to_string(),
            fetches_as: wanted.fetches_as.clone(),
            floor: denied(&policy),
            ..self.of.builder.clone()
        };
        // Dropped with this future, it has the fetch given up.
        let (_waiting, waits) = watch::channel(());
        let own = self
            .own(&policy, waits)
            .map_err(|error| CheckoutError::Directory(error.to_string()))?;
        let runtime = tokio::runtime::Handle::current();
        // Progress is told by a function that stays on its thread.
        let bringing = tokio::task::spawn_blocking(move || {
            let brought = runtime.block_on(bring(&builder, &project, &own));
            // The secret is not needed any more; the files are the tree's.
            if let Some(file) = &own.access.git_credentials {
                let _ = fs::remove_file(file);
            }
            brought.map(|(head, tree)| (head, tree, own))
        });
        let brought = bringing
            .await
            .map_err(|error| CheckoutError::Git(error.to_string()))?;
        let (head, tree, own) = brought.map_err(|error| told(&error))?;
        Ok(CheckedOut {
            commit: head.commit,
            committed_at: None,
            directory: tree.files().to_owned(),
            blobs: None,
            held: Box::new((tree, own)),
        })
    }

    /// A directory of its own, and what the fetch may use and tells.
    fn own(&self, policy: &Policy, waits: watch::Receiver<()>) -> io::Result<Own> {
        let name = format!("{:032x}", u128::from_ne_bytes(fresh::random()));
        let directory = self.of.directory.join(name);
        private(&directory)?;
        let account = Arc::clone(&self.wanted.account);
        let flow = move |flow: &Flow| {
            (account.record)(Flow {
                environment: account.environment.clone(),
                ..flow.clone()
            });
        };
        let mut own = Own {
            access: FetchAccess {
                allowed_cidrs: policy.uncompiled().effective.policy.allowed_cidrs.clone(),
                watched: Some(Watched {
                    waits,
                    flow: Arc::new(flow),
                }),
                ..FetchAccess::default()
            },
            directory,
        };
        own.access.git_credentials = self.git_credentials(&own.directory)?;
        Ok(own)
    }

    /// What git shows to the repository's server, in a file that its sandbox alone sees.
    fn git_credentials(&self, own: &Path) -> io::Result<Option<PathBuf>> {
        let (Some(secret), Transport::Https { host, port }) =
            (&self.wanted.secret, self.wanted.repository.transport())
        else {
            return Ok(None);
        };
        let escaped: String =
            url::form_urlencoded::byte_serialize(secret.reveal().as_bytes()).collect();
        // A space is never `+` there (git-credential-store(1)).
        let escaped = escaped.replace('+', "%20");
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_string(),
        };
        let place = match port {
            443 => host,
            port => format!("{host}:{port}"),
        };
        let path = own.join("git-credentials");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "https://x-access-token:{escaped}@{place}")?;
        Ok(Some(path))
    }
}

/// The commit of a project, and its files.
async fn bring(
    builder: &Builder,
    project: &Project,
    own: &Own,
) -> Result<(Head, Tree), BuildError> {
    let mut quiet = |_: Progress<'_>| {};
    let head = builder.fetch(project, &own.access, &mut quiet).await?;
    let into = own.directory.join("checkout");
    let tree = builder.check_out(project, &head, &into, &mut quiet);
    Ok((head.clone(), tree.await?))
}

fn private(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// What the environment denies is denied to the sandbox of the fetch, which otherwise reaches the repository's host.
fn denied(policy: &Policy) -> OrganizationFloor {
    let rules = policy.uncompiled();
    let mut floor = rules.organization.clone();
    floor
        .denied_hosts
        .extend(rules.effective.policy.denied_hosts.iter().cloned());
    floor
        .denied_cidrs
        .extend(rules.effective.policy.denied_cidrs.iter().copied());
    floor
}

fn judged(policy: &Policy, transport: &Transport) -> Result<(), CheckoutError> {
    let (Transport::Https { host, port } | Transport::Ssh { host, port }) = transport else {
        return Ok(());
    };
    let place = match host.contains(':') {
        true => format!("https://[{host}]:{port}/"),
        false => format!("https://{host}:{port}/"),
    };
    let url: HttpUrl = place
        .parse()
        .map_err(|error: bailiwick_outbound::NotHttpUrl| CheckoutError::Git(error.to_string()))?;
    let decision = policy.explain(url.destination(), &HostFacts::unknown());
    match decision.verdict {
        Verdict::Allow => Ok(()),
        Verdict::Deny => Err(CheckoutError::Denied {
            host: host.to_string(),
            reason: decision.reason,
        }),
    }
}

fn told(error: &BuildError) -> CheckoutError {
    if let BuildError::Fetch { reason, .. } = error {
        return CheckoutError::Refused(reason.clone());
    }
    CheckoutError::Git(error.to_string())
}
