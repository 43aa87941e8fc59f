//! The files of a git repository.

mod forge;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;

pub use forge::Forge;

use crate::connector::{Body, Extent, Finder, Found, Known, Listing, Now, Raw, Reading};
use crate::directory::{Entry, Globs, Rooted, open, read, walk};
use crate::{
    BoxFuture, Connector, Cursor, DocumentError, DocumentKey, ReadError, Revision, Skip, SyncError,
};

/// Who brings a repository here, under the egress policy of the connector's environment and with its credential. Whoever uses the crate implements it.
pub trait Checkout: Send + Sync {
    /// The newest commit of what is to be read, as a directory.
    ///
    /// # Errors
    ///
    /// See [`CheckoutError`].
    fn check_out(&self) -> BoxFuture<'_, Result<CheckedOut, CheckoutError>>;
}

/// A repository at a commit.
pub struct CheckedOut {
    /// The commit, in hexadecimal digits.
    pub commit: String,
    /// When it was made.
    pub committed_at: Option<Timestamp>,
    /// Where its files are. Nobody changes them before `held` is dropped.
    pub directory: PathBuf,
    /// The id of each file's contents, by its path, if that is known without reading them (`git ls-tree -r`).
    pub blobs: Option<BTreeMap<String, String>>,
    /// What keeps the directory.
    pub held: Box<dyn Any + Send + Sync>,
}

/// Why there is no checkout, in words for whoever keeps the connector.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The egress policy denies the host of the repository, or one of its addresses.
    #[error("the repository cannot be fetched: {host} is denied ({reason})")]
    Denied {
        /// The host.
        host: String,
        /// The reason's code.
        reason: bailiwick_model::Reason,
    },
    /// The repository is not there, or the credential is not taken.
    #[error("the repository is not there, or not to be read with this credential: {0}")]
    Refused(String),
    /// The branch or tag does not exist.
    #[error("the repository has no {0:?}")]
    NoRef(String),
    /// Anything else that git said.
    #[error("the repository cannot be fetched: {0}")]
    Git(String),
    /// What was checked out cannot be opened here.
    #[error("what was checked out cannot be read: {0}")]
    Directory(String),
}

/// Reads the files of a repository at its newest commit. A key is a path in it; a file is read where its contents have changed.
pub struct GitConnector {
    checkout: Arc<dyn Checkout>,
    globs: Globs,
    forge: Option<Forge>,
    at: OnceLock<At>,
}

/// What was checked out.
struct At {
    root: Arc<Rooted>,
    tree: CheckedOut,
}

impl GitConnector {
    /// The files that the patterns take. Links are made for the forge, if there is one.
    pub fn new(checkout: Arc<dyn Checkout>, globs: Globs, forge: Option<Forge>) -> Self {
        Self {
            checkout,
            globs,
            forge,
            at: OnceLock::new(),
        }
    }

    /// A commit that was read with the same patterns: there is nothing to read of it again.
    fn cursor(&self, commit: &str) -> Option<Cursor> {
        let patterns = hex(self.globs.written().as_bytes());
        format!("{commit} {patterns}").try_into().ok()
    }

    fn at(&self) -> Result<&At, ReadError> {
        self.at.get().ok_or(ReadError::Sync(SyncError::Used))
    }
}

impl Connector for GitConnector {
    fn list<'a>(
        &'a self,
        known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(async move {
            let tree = self.checkout.check_out().await?;
            let cursor = self.cursor(&tree.commit);
            if cursor.is_some() && cursor == known.cursor {
                let extent = Extent::Changes;
                return Ok(Listing { extent, cursor });
            }
            let root = Rooted::open(&tree.directory);
            let root = root.map_err(|error| CheckoutError::Directory(error.to_string()))?;
            let root = Arc::new(root);
            let at = At {
                root: Arc::clone(&root),
                tree,
            };
            self.at.set(at).map_err(|_| SyncError::Used)?;
            let blobs = self.at.get().and_then(|at| at.tree.blobs.as_ref());
            match blobs {
                Some(blobs) => list(blobs, &self.globs, finder).await?,
                None => {
                    walk(&root, &self.globs, finder, |entry| match entry {
                        Entry::File(_) => Now::Unclear,
                        Entry::Link => Now::Read(Ok(Reading::Skipped(Skip::Link))),
                    })
                    .await?;
                }
            }
            let extent = Extent::Everything;
            Ok(Listing { extent, cursor })
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a DocumentKey,
        known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(async move {
            let At { root, tree } = self.at()?;
            let opened = match open(root, key).await? {
                Ok(opened) => opened,
                // It is in the list of blobs: a link, or a module of its own.
                Err(Reading::Gone) if tree.blobs.is_some() => {
                    return Ok(Reading::Skipped(Skip::Link));
                }
                Err(reading) => return Ok(reading),
            };
            let material = read(opened, key).await?;
            let blob = tree
                .blobs
                .as_ref()
                .and_then(|blobs| blobs.get(key.as_str()));
            let revision = match blob {
                Some(blob) => blob.parse().map_err(|_| not_a_blob(blob))?,
                None => contents(&material.bytes),
            };
            if known == Some(&revision) {
                return Ok(Reading::Unchanged);
            }
            let link = self.forge.as_ref();
            Ok(Reading::Changed(Box::new(Raw {
                title: None,
                link: link.and_then(|forge| forge.link(&tree.commit, key)),
                revision,
                // When a file last changed is in its history, which is not read.
                updated_at: None,
                body: Body::Material(material),
            })))
        })
    }
}

/// Tells of the files of a commit.
async fn list(
    blobs: &BTreeMap<String, String>,
    globs: &Globs,
    finder: &Finder,
) -> Result<(), SyncError> {
    let taken = || blobs.iter().filter(|(path, _)| globs.take(path));
    finder.total(u64::try_from(taken().count()).unwrap_or(u64::MAX));
    for (path, blob) in taken() {
        let Ok(key) = path.parse() else { continue };
        let now = match blob.parse() {
            Ok(revision) => Now::Has(revision),
            Err(_) => Now::Read(Err(not_a_blob(blob))),
        };
        finder.found(Found { key, now }).await?;
    }
    Ok(())
}

fn not_a_blob(blob: &str) -> DocumentError {
    let shown: String = blob.chars().take(80).collect();
    DocumentError::Io(std::io::Error::other(format!(
        "{shown:?} is no id of contents"
    )))
}

/// By the contents alone.
fn contents(bytes: &[u8]) -> Revision {
    let digits = format!("sha256 {}", hex(bytes));
    digits.parse().expect("digits are a revision")
}

/// SHA-256, in digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

impl fmt::Debug for CheckedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CheckedOut");
        shown.field("commit", &self.commit).finish_non_exhaustive()
    }
}

impl fmt::Debug for GitConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitConnector").finish_non_exhaustive()
    }
}
