//! The repositories of a session: cloned inside, through the relay, which alone has the token.

use std::fmt;

use bailiwick_model::{OrganizationId, SecretText, SessionId, SessionResourceId};
use bailiwick_policy::{CredentialHost, HeaderProjection, HostPattern, PathPrefix};
use bailiwick_store::{SessionResource, SessionResourceKind};
use bailiwick_wire::{RetryStatus, SessionError, SessionErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use crate::control::Control;
use crate::error::ControlError;
use crate::sealing::Sealed;
use crate::session_resources::place;
use crate::sessions::corrupt;

mod clone;

/// A repository of a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Repository {
    pub(super) id: SessionResourceId,
    url: String,
    mount_path: String,
    checkout: Option<Checkout>,
    /// Where its token goes, if it has one.
    target: Option<Target>,
    updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
struct Target {
    host: HostPattern,
    path: PathPrefix,
}

/// As the wire writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Checkout {
    Branch { name: String },
    Commit { sha: String },
}

/// Why a repository is not there. The words of the variants are those of the wire's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloneProblem {
    /// The token is not taken, or there is none and one is needed.
    Authentication,
    /// The token may not.
    Forbidden,
    /// There is none, or the token does not see it.
    NotFound,
    /// There is no such branch or commit.
    Checkout,
    /// There is no git in the sandbox.
    NoGit,
    /// Something else is in its place.
    Taken,
    /// Anything else, such as a policy that denies it.
    Clone,
}

impl fmt::Display for CloneProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self {
            Self::Authentication => "repository_authentication_error",
            Self::Forbidden => "repository_forbidden_error",
            Self::NotFound => "repository_not_found_error",
            Self::Checkout => "repository_checkout_error",
            Self::NoGit | Self::Taken | Self::Clone => "repository_clone_error",
        };
        write!(f, "{code}: {}", self.words())
    }
}

impl CloneProblem {
    fn words(self) -> &'static str {
        match self {
            Self::Authentication => "its token is not accepted, or it needs one",
            Self::Forbidden => "its token may not read it",
            Self::NotFound => "it does not exist, or its token does not see it",
            Self::Checkout => "it has no such branch or commit",
            Self::NoGit => "there is no git in the sandbox: add the package to the environment",
            Self::Taken => "there is something else in its place",
            Self::Clone => "it cannot be cloned",
        }
    }

    /// From what git complained.
    fn of(complaint: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
        if has(&["error: 403", "HTTP 403"]) {
            Self::Forbidden
        } else if has(&[
            "Authentication failed",
            "could not read Username",
            "error: 401",
        ]) {
            Self::Authentication
        } else if has(&[
            "Remote branch",
            "did not match any",
            "unable to read tree",
            "not a tree",
        ]) {
            Self::Checkout
        } else if has(&["not found", "error: 404"]) {
            Self::NotFound
        } else {
            Self::Clone
        }
    }
}

impl Repository {
    fn of(resource: SessionResource, has_token: bool) -> Result<Option<Self>, ControlError> {
        let SessionResourceKind::Repository { url, checkout } = resource.kind else {
            return Ok(None);
        };
        let checkout = checkout.as_deref().map(serde_json::from_str);
        let target = if has_token {
            Some(Target::of(&url).ok_or_else(|| corrupt("repository_url"))?)
        } else {
            None
        };
        Ok(Some(Self {
            id: resource.id,
            url,
            mount_path: resource.mount_path,
            checkout: checkout
                .transpose()
                .map_err(|_| corrupt("repository_checkout"))?,
            target,
            updated_at: resource.updated_at,
        }))
    }

    /// The host that its token is for, which the environment may let it open.
    pub(super) fn credential_host(&self) -> Option<HostPattern> {
        self.target.as_ref().map(|target| target.host.clone())
    }

    /// What the session is told of one that is not there.
    pub(super) fn failure(&self, problem: CloneProblem) -> SessionError {
        let repository_url = Some(self.url.clone());
        let kind = match problem {
            CloneProblem::Authentication => {
                SessionErrorKind::RepositoryAuthentication { repository_url }
            }
            CloneProblem::Forbidden => SessionErrorKind::RepositoryForbidden { repository_url },
            CloneProblem::NotFound => SessionErrorKind::RepositoryNotFound { repository_url },
            CloneProblem::Checkout => SessionErrorKind::RepositoryCheckout { repository_url },
            CloneProblem::NoGit | CloneProblem::Taken | CloneProblem::Clone => {
                SessionErrorKind::RepositoryClone { repository_url }
            }
        };
        SessionError {
            kind,
            message: format!(
                "the repository is not at {}: {}",
                self.mount_path,
                problem.words()
            ),
            // The wire's are always.
            retry_status: RetryStatus::Retrying,
        }
    }

    /// What a model is told of one that is not there.
    pub(super) fn told(&self, problem: CloneProblem) -> String {
        format!(
            "[the repository {} is not at {}: {problem}; it is tried again with the next call]",
            self.url, self.mount_path
        )
    }
}

impl Target {
    fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let host = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        Some(Self {
            host: host.parse().ok()?,
            path: path.parse().ok()?,
        })
    }

    fn projection(&self, token: &SecretText) -> HeaderProjection {
        let pair = format!("x-access-token:{}", token.reveal());
        let value = format!("Basic {}", STANDARD.encode(pair));
        HeaderProjection {
            host: CredentialHost::Name(self.host.clone()),
            path: self.path.clone(),
            name: "authorization".parse().expect("the name of a field"),
            value: SecretText::new(value),
        }
    }
}

impl Control {
    /// The repositories of a session.
    pub(super) async fn repositories_of(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Vec<Repository>, ControlError> {
        let scope = self.store.scope(organization);
        let mut repositories = Vec::new();
        for resource in scope.session_resources(session).await? {
            let has_token = match &resource.kind {
                SessionResourceKind::Repository { .. } => {
                    scope.session_resource_secret(&resource.id).await?.is_some()
                }
                SessionResourceKind::File(_) => continue,
            };
            repositories.extend(Repository::of(resource, has_token)?);
        }
        Ok(repositories)
    }

    /// What the relay sends with requests for a repository; nothing, if it has no token.
    pub(super) async fn repository_projection(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        repository: &Repository,
    ) -> Result<Option<HeaderProjection>, ControlError> {
        let Some(target) = &repository.target else {
            return Ok(None);
        };
        let scope = self.store.scope(organization);
        let Some(sealed) = scope.session_resource_secret(&repository.id).await? else {
            return Ok(None);
        };
        let sealed = Sealed {
            key: sealed.key,
            bytes: sealed.sealed,
        };
        let place = place(organization, session, &repository.id);
        let token = self.sealing.unseal(&place, &sealed)?;
        let token = std::str::from_utf8(&token).map_err(|_| corrupt("secret"))?;
        Ok(Some(target.projection(&SecretText::new(token.to_owned()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_its_repository_alone() {
        let target = Target::of("https://github.com/owner/name").unwrap();
        let projection = target.projection(&SecretText::new("abc".to_owned()));
        assert_eq!(projection.value.reveal(), "Basic eC1hY2Nlc3MtdG9rZW46YWJj");
        assert!(projection.path.covers("/owner/name.git/info/refs"));
        assert!(!projection.path.covers("/owner/name2/info/refs"));
        assert_eq!(
            target,
            Target::of("https://github.com/owner/name.git").unwrap()
        );
    }

    #[test]
    fn what_git_complains_is_told_in_the_words_of_the_wire() {
        for (complaint, problem) in [
            (
                "fatal: Authentication failed for 'https://x'",
                CloneProblem::Authentication,
            ),
            (
                "fatal: could not read Username for 'https://x'",
                CloneProblem::Authentication,
            ),
            (
                "The requested URL returned error: 403",
                CloneProblem::Forbidden,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'x' not found",
                CloneProblem::NotFound,
            ),
            (
                "fatal: Remote branch x not found in upstream origin",
                CloneProblem::Checkout,
            ),
            (
                "fatal: unable to access 'x': Could not resolve host",
                CloneProblem::Clone,
            ),
        ] {
            assert_eq!(CloneProblem::of(complaint), problem, "{complaint}");
        }
    }
}
