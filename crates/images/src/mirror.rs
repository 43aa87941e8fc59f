//! Mirrors: what was fetched of a repository, so that the next fetch brings only what is new.
//!
//! ```text
//! STORE/repositories/DIGITS/tree/repository/   the bare repository, which only git in a sandbox reads and writes
//!                           work/              empty
//!                           known.json         what each ref was when it was last asked for
//!                           log                of the last fetch
//!                    DIGITS.lock               locked by who fetches (exclusively) and who checks out (shared); changed when last used
//! ```
//!
//! DIGITS is the digest of organization, repository, and as whom that is fetched: organizations never share, and who may fetch with a credential does
//! not share with who may without. So a commit that is asked for by its hash is only there for those who could fetch it. What a mirror holds is not
//! believed: a commit is taken out of it by its hash.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bailiwick_model::limits::REPOSITORY_LOCK_WAIT;
use bailiwick_model::{GitRef, Repository};
use serde::{Deserialize, Serialize};

use crate::sha256;
use crate::store::lock::{self, Kind};
use crate::store::{
    Store, StoreError, absent_is_none, entries, io_error, make_private, remove_tree,
};

/// Where a mirror stands in the sandboxes that use it.
pub(crate) const INSIDE: &str = "/repository";
/// How often a lock that somebody has is tried.
const POLL: Duration = Duration::from_millis(100);
/// Behind the digits of a lock's name.
const LOCK: &str = ".lock";

/// What a ref of a repository is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The commit's hash.
    pub commit: String,
    /// The branch as a full ref, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// The mirror of one repository of one organization, as somebody may fetch it.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    directory: PathBuf,
}

impl Head {
    /// Reads what a fetch reported. It handled what a stranger sent, so that it is checked again.
    pub(crate) fn parse(report: &str) -> Option<Self> {
        let (commit, branch) = report.trim_end_matches('\n').split_once('\t')?;
        let is_hash = matches!(commit.len(), 40 | 64)
            && commit
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let branch = match branch {
            "" => None,
            name => {
                let name: GitRef = name.parse().ok()?;
                // A branch with a name that git would refuse to check out.
                let short = name.as_str().strip_prefix("refs/heads/")?;
                if short.starts_with('-') {
                    return None;
                }
                Some(name.as_str().to_owned())
            }
        };
        is_hash.then(|| Self {
            commit: commit.to_owned(),
            branch,
        })
    }
}

impl Mirror {
    pub(crate) fn of(
        store: &Store,
        (organization, fetches_as): (&str, &str),
        repository: &Repository,
    ) -> Self {
        let mut bytes = Vec::new();
        for text in [organization, repository.as_str(), fetches_as] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        Self {
            directory: store.repositories_directory().join(sha256::of(&bytes)),
        }
    }

    /// What a draft is made of: the mirror itself is its `besides` at [`INSIDE`].
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The bare repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.directory
            .join("tree")
            .join(INSIDE.trim_start_matches('/'))
    }

    /// Waits for the lock, and makes what is missing of the directories.
    pub(crate) async fn lock(&self, kind: Kind) -> Result<File, StoreError> {
        let path = self.lock_path();
        let begun = Instant::now();
        let file = loop {
            match lock::take(&path, kind)? {
                Some(file) => break file,
                None if begun.elapsed() > REPOSITORY_LOCK_WAIT => {
                    return Err(io_error("lock", &path)(io::Error::from(
                        io::ErrorKind::WouldBlock,
                    )));
                }
                None => tokio::time::sleep(POLL).await,
            }
        };
        lock::touch(&file, &path)?;
        for part in ["tree", "work"] {
            make_private(&self.directory.join(part))?;
        }
        Ok(file)
    }

    /// Throws it away; the caller has its lock exclusively.
    pub(crate) fn discard(&self) -> Result<(), StoreError> {
        remove_tree(&self.directory).map_err(io_error("remove", &self.directory))?;
        for part in ["tree", "work"] {
            make_private(&self.directory.join(part))?;
        }
        Ok(())
    }

    /// The log of a fetch, from its start.
    pub(crate) fn log(&self) -> Result<File, StoreError> {
        let path = self.directory.join("log");
        File::create(&path).map_err(io_error("open", &path))
    }

    /// What a ref was when it was last asked for.
    pub(crate) fn known(&self, git_ref: Option<&GitRef>) -> Option<Head> {
        self.all_known().remove(name(git_ref))
    }

    /// Remembers what a ref is; the caller has the lock exclusively.
    pub(crate) fn remember(&self, git_ref: Option<&GitRef>, head: &Head) -> Result<(), StoreError> {
        let mut known = self.all_known();
        known.insert(name(git_ref).to_owned(), head.clone());
        let path = self.directory.join("known.json");
        let draft = self.directory.join("known.json.new");
        let text = serde_json::to_vec(&known).map_err(io_error("write", &path))?;
        fs::write(&draft, text).map_err(io_error("write", &draft))?;
        fs::rename(&draft, &path).map_err(io_error("write", &path))
    }

    fn all_known(&self) -> BTreeMap<String, Head> {
        let text = fs::read(self.directory.join("known.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn lock_path(&self) -> PathBuf {
        let mut path = self.directory.clone().into_os_string();
        path.push(LOCK);
        path.into()
    }
}

/// By what a ref is remembered. No ref is empty.
fn name(git_ref: Option<&GitRef>) -> &str {
    git_ref.map_or("", GitRef::as_str)
}

/// Removes mirrors that nobody used since `oldest`, in seconds since 1970. What cannot be removed is in `failed`.
pub(crate) fn sweep(
    store: &Store,
    oldest: i64,
    failed: &mut Vec<StoreError>,
) -> Result<(), StoreError> {
    for (file, path) in entries(&store.repositories_directory())? {
        if let Some(digits) = file.strip_suffix(LOCK) {
            let directory = path.with_file_name(digits);
            failed.extend(sweep_one(&Mirror { directory }, &path, oldest).err());
        }
    }
    Ok(())
}

fn sweep_one(mirror: &Mirror, lock: &Path, oldest: i64) -> Result<(), StoreError> {
    let stat = absent_is_none(rustix::fs::lstat(lock)).map_err(io_error("read", lock))?;
    // What is gone was removed by another clean-up.
    if stat.is_none_or(|stat| stat.st_mtime > oldest) {
        return Ok(());
    }
    let Some(_lock) = lock::take(lock, Kind::Exclusive)? else {
        return Ok(());
    };
    remove_tree(&mirror.directory).map_err(io_error("remove", &mirror.directory))?;
    crate::store::unlink(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fetch_reports_is_a_commit_and_a_branch_or_nothing() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let parse = |branch: &str| Head::parse(&format!("{commit}\t{branch}\n"));
        let head = parse("refs/heads/main").unwrap();
        assert_eq!(head.commit, commit);
        assert_eq!(head.branch.as_deref(), Some("refs/heads/main"));
        assert_eq!(parse("").unwrap().branch, None);
        for bad in ["refs/heads/-x", "refs/tags/v1", "refs/heads/a b", "main"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for bad in ["", "x", "\t", "0123\trefs/heads/main", "../../etc\t"] {
            assert_eq!(Head::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn organizations_repositories_and_those_who_fetch_have_mirrors_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let of = |organization, fetches_as, repository: &str| {
            let repository = repository.parse().unwrap();
            Mirror::of(&store, (organization, fetches_as), &repository).directory
        };
        let one = of("acme", "reader", "https://example.com/app");
        assert_eq!(one, of("acme", "reader", "https://example.com/app"));
        for other in [
            of("acme2", "reader", "https://example.com/app"),
            of("acme", "reader", "https://example.com/app2"),
            of("acme", "reader2", "https://example.com/app"),
            of("acme", "", "https://example.com/app"),
            of("acme", "", "https://example.com/appreader"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_mirror_goes_when_nobody_used_it_for_long_and_stays_while_somebody_does() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let repository = "https://example.com/app".parse().unwrap();
        let mirror = Mirror::of(&store, ("acme", ""), &repository);
        let is_left = |oldest| {
            let mut failed = Vec::new();
            sweep(&store, oldest, &mut failed).unwrap();
            assert!(failed.is_empty(), "{failed:?}");
            mirror.directory().exists()
        };
        let lock = mirror.lock(Kind::Shared).await.unwrap();
        let head = Head {
            commit: "a1".repeat(20),
            branch: None,
        };
        mirror.remember(None, &head).unwrap();
        assert_eq!(mirror.known(None), Some(head));
        assert!(is_left(0), "used just now");
        assert!(is_left(i64::MAX), "in use");
        drop(lock);
        assert!(!is_left(i64::MAX));
        // Another clean-up was faster.
        sweep_one(&mirror, &mirror.lock_path(), i64::MAX).unwrap();
        assert!(!mirror.lock_path().exists());
        assert_eq!(mirror.known(None), None);
    }
}
