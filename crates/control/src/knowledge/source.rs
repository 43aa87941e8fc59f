//! A connector as the crate `knowledge` takes it, for one sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_knowledge::{
    Access, ConfluenceAccess, ConfluenceConnector, ConfluenceSource, Connector, DirectoryConnector,
    Forge, Gather, GitConnector, GitHubConnector, GitHubSource, PullRequests, Spaces, WebConnector,
    WebSource,
};
use bailiwick_model::limits::{KNOWLEDGE_CRAWL_PAGES, KNOWLEDGE_DOCUMENTS};
use bailiwick_model::{OrganizationId, SecretText};
use bailiwick_outbound::{Account, Outbound};
use bailiwick_policy::Policy;
use tokio::sync::watch;
use url::Url;

use super::config::{KnowledgeGather, KnowledgeSource, api_of, depth_of, globs};
use super::config::{ref_of, repository_of, url};
use super::syncing::{KnowledgeReaders, WantedCheckout};
use crate::clock;
use crate::error::ControlError;
use crate::host_paths::HostPaths;

/// Why a connector cannot read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoConnector {
    /// What it is told cannot be used, or not any more.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The server connects to nothing.
    #[error("this server connects to nothing")]
    NoWayOut,
    /// The server runs no sandboxes, and git runs in one.
    #[error("this server runs no sandboxes, and git runs in one")]
    NoSandboxes,
    /// The directory is not there.
    #[error("{} cannot be opened: {why}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A link leads to another directory than the one that the operator named.
    #[error("{0} leads out of the directories that the operator named")]
    LeadsOut(String),
    /// A credential would cross the network where everybody can read it.
    #[error(transparent)]
    Insecure(#[from] bailiwick_knowledge::InsecureBase),
}

/// What a connector reads with.
pub(super) struct Means<'a> {
    pub(super) organization: &'a OrganizationId,
    pub(super) readers: &'a KnowledgeReaders,
    pub(super) roots: &'a HostPaths,
    pub(super) outbound: Option<Outbound>,
    pub(super) account: Arc<Account>,
    pub(super) policy: watch::Receiver<Arc<Policy>>,
    pub(super) secret: Option<SecretText>,
    /// As whom the source is read: see [`WantedCheckout::fetches_as`].
    pub(super) reads_as: String,
}

impl Means<'_> {
    fn access(&self) -> Result<Access, NoConnector> {
        Ok(Access {
            outbound: self.outbound.clone().ok_or(NoConnector::NoWayOut)?,
            policy: self.policy.clone(),
            now: clock::now,
        })
    }

    pub(super) fn connector(
        &self,
        source: &KnowledgeSource,
    ) -> Result<Box<dyn Connector>, NoConnector> {
        Ok(match source {
            KnowledgeSource::Directory {
                path,
                link,
                include,
                exclude,
            } => {
                let root = self.directory(path)?;
                let link: Option<Url> = link.as_deref().and_then(|link| link.parse().ok());
                let connector = DirectoryConnector::new(&root, globs(include, exclude)?, link);
                Box::new(connector.map_err(|error| NoConnector::Directory {
                    path: root,
                    why: error.to_string(),
                })?)
            }
            KnowledgeSource::Git {
                repository,
                git_ref,
                include,
                exclude,
            } => {
                let checkouts = &self.readers.checkouts;
                let checkouts = checkouts.as_ref().ok_or(NoConnector::NoSandboxes)?;
                let checkout = checkouts.checkout(WantedCheckout {
                    organization: self.organization.clone(),
                    repository: repository_of(repository)?,
                    git_ref: git_ref.as_deref().map(ref_of).transpose()?,
                    secret: self.secret.clone(),
                    fetches_as: self.reads_as.clone(),
                    policy: self.policy.clone(),
                    account: Arc::clone(&self.account),
                });
                let forge = Forge::of(repository);
                Box::new(GitConnector::new(checkout, globs(include, exclude)?, forge))
            }
            KnowledgeSource::Web {
                url: start,
                gather,
                sitemap,
                depth,
                max_pages,
            } => {
                let sitemap = sitemap.as_deref().map(|at| url("source.sitemap", at));
                let (gather, most) = match gather {
                    KnowledgeGather::Sitemap => {
                        (Gather::Sitemap(sitemap.transpose()?), KNOWLEDGE_DOCUMENTS)
                    }
                    KnowledgeGather::Crawl => {
                        let depth = depth_of(*depth);
                        (Gather::Crawl { depth }, KNOWLEDGE_CRAWL_PAGES)
                    }
                };
                let source = WebSource {
                    start: url("source.url", start)?,
                    gather,
                    most_pages: max_pages.unwrap_or(most),
                };
                Box::new(WebConnector::new(self.access()?, source))
            }
            KnowledgeSource::Github { .. } => Box::new(self.github(source)?),
            KnowledgeSource::Confluence { .. } => Box::new(self.confluence(source)?),
        })
    }

    /// What is opened is what was allowed: a link to another directory is none.
    fn directory(&self, path: &str) -> Result<PathBuf, NoConnector> {
        let real = std::fs::canonicalize(path).map_err(|error| NoConnector::Directory {
            path: path.into(),
            why: error.to_string(),
        })?;
        match self.roots.allow(&real) && self.roots.allow(Path::new(path)) {
            true => Ok(real),
            false => Err(NoConnector::LeadsOut(path.to_owned())),
        }
    }

    fn github(&self, source: &KnowledgeSource) -> Result<GitHubConnector, NoConnector> {
        let KnowledgeSource::Github {
            api,
            owner,
            repository,
            pull_requests,
        } = source
        else {
            unreachable!("the source is GitHub's")
        };
        let source = GitHubSource {
            api: url("source.api", api_of(api.as_deref()))?,
            owner: owner.clone(),
            repository: repository.clone(),
            token: self.secret.clone(),
            pull_requests: match pull_requests {
                true => PullRequests::Read,
                false => PullRequests::LeftOut,
            },
        };
        Ok(GitHubConnector::new(self.access()?, source)?)
    }

    fn confluence(&self, source: &KnowledgeSource) -> Result<ConfluenceConnector, NoConnector> {
        let KnowledgeSource::Confluence {
            site,
            email,
            spaces,
        } = source
        else {
            unreachable!("the source is Confluence's")
        };
        let access = match (email, &self.secret) {
            (Some(email), Some(token)) => ConfluenceAccess::Token {
                email: email.clone(),
                token: token.clone(),
            },
            (None, Some(token)) => ConfluenceAccess::Bearer(token.clone()),
            (_, None) => ConfluenceAccess::Anonymous,
        };
        let source = ConfluenceSource {
            site: url("source.site", site)?,
            access,
            spaces: match spaces.as_slice() {
                [] => Spaces::All,
                some => Spaces::Only(some.to_vec()),
            },
        };
        Ok(ConfluenceConnector::new(self.access()?, source)?)
    }
}
