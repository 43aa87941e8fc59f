//! The files of a directory.

mod globs;
mod rooted;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use url::Url;

pub use globs::{GlobError, Globs};
pub use rooted::MissingRoot;
pub(crate) use rooted::{Entry, FileFacts, Opened, Rooted};

use crate::connector::{Body, Extent, Finder, Found, Known, Listing, Now, Raw, Reading};
use crate::extract::Material;
use crate::{
    BoxFuture, Connector, DocumentError, DocumentKey, ReadError, Revision, Skip, SyncError,
};

/// Reads the files below a directory. A key is a path within it. No link is followed, whatever is put into it meanwhile.
#[derive(Debug)]
pub struct DirectoryConnector {
    root: Arc<Rooted>,
    globs: Globs,
    link: Option<Url>,
}

impl DirectoryConnector {
    /// The files of this directory that the patterns take. People find them below `link`, if there is one.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened.
    pub fn new(root: &Path, globs: Globs, link: Option<Url>) -> Result<Self, MissingRoot> {
        Ok(Self {
            root: Arc::new(Rooted::open(root)?),
            globs,
            link,
        })
    }
}

impl Connector for DirectoryConnector {
    fn list<'a>(
        &'a self,
        _known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(async move {
            walk(&self.root, &self.globs, finder, |entry| match entry {
                Entry::File(facts) => Now::Has(revision(&facts)),
                Entry::Link => Now::Read(Ok(Reading::Skipped(Skip::Link))),
            })
            .await?;
            Ok(Listing {
                extent: Extent::Everything,
                cursor: None,
            })
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a DocumentKey,
        known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(async move {
            let opened = match open(&self.root, key).await? {
                Ok(opened) => opened,
                Err(reading) => return Ok(reading),
            };
            let revision = revision(&opened.facts);
            if known == Some(&revision) {
                return Ok(Reading::Unchanged);
            }
            let updated_at = modified(&opened.facts);
            Ok(Reading::Changed(Box::new(Raw {
                title: None,
                link: self.link.as_ref().and_then(|link| below(link, key)),
                revision,
                updated_at,
                body: Body::Material(read(opened, key).await?),
            })))
        })
    }
}

/// Tells of the files that are taken, each with what is known of it.
pub(crate) async fn walk(
    root: &Arc<Rooted>,
    globs: &Globs,
    finder: &Finder,
    now: impl Fn(Entry) -> Now,
) -> Result<(), SyncError> {
    let (sender, mut entries) = mpsc::channel(64);
    let (root, globs) = (Arc::clone(root), globs.clone());
    let walking = tokio::task::spawn_blocking(move || root.walk(&globs, &sender));
    while let Some((path, entry)) = entries.recv().await {
        // A name that is no key cannot be asked for again.
        let Ok(key) = DocumentKey::try_from(path) else {
            continue;
        };
        let now = now(entry);
        finder.found(Found { key, now }).await?;
    }
    walking.await.unwrap_or(Err(SyncError::Cancelled))
}

/// A file, opened for reading, or what is to be said instead.
pub(crate) async fn open(
    root: &Arc<Rooted>,
    key: &DocumentKey,
) -> Result<Result<Opened, Reading>, DocumentError> {
    let (root, path) = (Arc::clone(root), key.as_str().to_owned());
    let opening = tokio::task::spawn_blocking(move || root.open_file(&path));
    Ok(match interrupted(opening.await)?? {
        Some(opened) if opened.facts.is_file => Ok(opened),
        Some(_) => Err(Reading::Skipped(Skip::NotAFile)),
        None => Err(Reading::Gone),
    })
}

/// All of a file.
pub(crate) async fn read(opened: Opened, key: &DocumentKey) -> Result<Material, DocumentError> {
    let reading = tokio::task::spawn_blocking(move || opened.read());
    Ok(Material {
        bytes: interrupted(reading.await)??,
        media_type: None,
        name: key.last_part().to_owned(),
    })
}

fn interrupted<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, DocumentError> {
    joined.map_err(|error| DocumentError::Io(std::io::Error::other(error)))
}

/// Whatever is written changes the time of the last change, which no program can set.
fn revision(facts: &FileFacts) -> Revision {
    let FileFacts {
        bytes,
        inode,
        modified,
        changed,
        ..
    } = facts;
    let text = format!(
        "{bytes} {inode} {}.{} {}.{}",
        modified.0, modified.1, changed.0, changed.1
    );
    text.try_into().expect("numbers are a revision")
}

fn modified(facts: &FileFacts) -> Option<Timestamp> {
    let (seconds, nanoseconds) = facts.modified;
    Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
}

/// The address of a path below another.
pub(crate) fn below(base: &Url, key: &DocumentKey) -> Option<Url> {
    let mut url = base.clone();
    {
        let mut parts = url.path_segments_mut().ok()?;
        parts.pop_if_empty();
        parts.extend(key.as_str().split('/'));
    }
    Some(url)
}
