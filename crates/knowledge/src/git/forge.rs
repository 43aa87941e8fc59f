//! Where people find a file of a repository.

use url::Url;

use crate::DocumentKey;

/// A place that shows the files of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forge {
    /// GitHub, and GitHub Enterprise Server.
    GitHub(Url),
    /// GitLab.
    GitLab(Url),
    /// Gitea and Forgejo, such as Codeberg.
    Gitea(Url),
    /// Bitbucket Cloud.
    Bitbucket(Url),
}

impl Forge {
    /// The one that a repository is known to be on, by the host in the address that git is given.
    pub fn of(repository: &str) -> Option<Self> {
        let url = page(repository)?;
        let host = url.host_str()?.to_owned();
        match host.as_str() {
            "github.com" => Some(Self::GitHub(url)),
            "gitlab.com" => Some(Self::GitLab(url)),
            "codeberg.org" | "gitea.com" => Some(Self::Gitea(url)),
            "bitbucket.org" => Some(Self::Bitbucket(url)),
            other if other.starts_with("github.") => Some(Self::GitHub(url)),
            other if other.starts_with("gitlab.") => Some(Self::GitLab(url)),
            other if other.starts_with("gitea.") || other.starts_with("forgejo.") => {
                Some(Self::Gitea(url))
            }
            _ => None,
        }
    }

    /// The page of a file at a commit.
    pub(crate) fn link(&self, commit: &str, path: &DocumentKey) -> Option<Url> {
        let (repository, between): (_, &[&str]) = match self {
            Self::GitHub(url) => (url, &["blob"]),
            Self::GitLab(url) => (url, &["-", "blob"]),
            Self::Gitea(url) => (url, &["src", "commit"]),
            Self::Bitbucket(url) => (url, &["src"]),
        };
        let mut url = repository.clone();
        {
            let mut parts = url.path_segments_mut().ok()?;
            parts.pop_if_empty().extend(between).push(commit);
            parts.extend(path.as_str().split('/'));
        }
        Some(url)
    }
}

/// The page of a repository, of what git is given: `https://HOST/PATH.git`, `ssh://git@HOST/PATH.git`, `git@HOST:PATH.git`. Whoever's name or
/// password is in it does not get into the page.
fn page(repository: &str) -> Option<Url> {
    let (host, path) = match repository.split_once("://") {
        Some(("https" | "http" | "ssh", _)) => {
            let url: Url = repository.parse().ok()?;
            (url.host_str()?.to_owned(), url.path().to_owned())
        }
        Some(_) => return None,
        None => {
            let (host, path) = repository.split_once(':')?;
            let host = host.rsplit('@').next()?;
            (host.to_owned(), path.to_owned())
        }
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut url: Url = format!("https://{host}/").parse().ok()?;
    url.set_path(path);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_known_forges_have_links() {
        let key: DocumentKey = "docs/a b#.md".parse().unwrap();
        for (repository, expected) in [
            (
                "https://github.com/o/r.git",
                "https://github.com/o/r/blob/c0/docs/a%20b%23.md",
            ),
            (
                "git@github.com:o/r.git",
                "https://github.com/o/r/blob/c0/docs/a%20b%23.md",
            ),
            (
                "https://u:p@gitlab.com/g/s/r",
                "https://gitlab.com/g/s/r/-/blob/c0/docs/a%20b%23.md",
            ),
            (
                "ssh://git@codeberg.org/o/r",
                "https://codeberg.org/o/r/src/commit/c0/docs/a%20b%23.md",
            ),
            (
                "https://bitbucket.org/o/r/",
                "https://bitbucket.org/o/r/src/c0/docs/a%20b%23.md",
            ),
        ] {
            let link = Forge::of(repository).unwrap().link("c0", &key).unwrap();
            assert_eq!(link.as_str(), expected);
        }
        assert_eq!(Forge::of("https://example.com/o/r"), None);
        assert_eq!(Forge::of("file:///srv/r"), None);
        assert_eq!(Forge::of("nothing"), None);
    }
}
