//! What a worker remembers over its own death: which calls had begun, and where the files of a session are.
//!
//! One file for each session, replaced as a whole and synced before a call begins.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits::WORKER_RECORD_BYTES;
use bailiwick_runtime::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::error::JournalError;
use crate::id::WireId;

/// The lock that says that a worker writes here.
const LOCK: &str = "lock";

/// A directory that one worker writes in.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
    _lock: Arc<File>,
}

/// What is known of one session.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// Calls that began, and whose results nobody has.
    pub(crate) begun: BTreeSet<WireId>,
    /// Its sandbox.
    pub(crate) sandbox: Whereabouts,
}

/// Where the sandbox of a session is.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whereabouts {
    /// There was none yet.
    #[default]
    Nowhere,
    /// It runs; to whoever reads this at a start, it was lost.
    Running,
    /// Its files were kept.
    Kept {
        /// Under this name.
        checkpoint: Checkpoint,
        /// There is a shell to go on with.
        has_shell: bool,
        /// How much that takes.
        bytes: u64,
    },
}

/// What is left of a session that nobody may be serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Which.
    pub(crate) session: WireId,
    /// For how long nothing was written down of it.
    pub(crate) age: Duration,
    /// Its sandbox.
    pub(crate) sandbox: Whereabouts,
}

/// The file of one session.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    path: PathBuf,
    record: Record,
}

impl Journal {
    /// Opens a directory, and makes it if it is not there. Nobody else may read it.
    ///
    /// # Errors
    ///
    /// [`JournalError::Locked`] if another worker has it, [`JournalError::Unusable`].
    pub fn open(directory: PathBuf) -> Result<Self, JournalError> {
        let unusable = |source| JournalError::Unusable {
            path: directory.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(unusable)?;
        let lock = File::create(directory.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::Locked(directory)),
            Err(fs::TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let lock = Arc::new(lock);
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// What is known of a session.
    pub(crate) fn entry(&self, session: &WireId) -> Result<Entry, JournalError> {
        entry(&self.directory, session)
    }

    /// What is left of every session; what cannot be read is left out.
    pub(crate) async fn remembered(&self) -> io::Result<Vec<Remembered>> {
        // The lock stays here: whoever gives up waiting for this leaves the directory to the next worker.
        let directory = self.directory.clone();
        let reading = tokio::task::spawn_blocking(move || remembered(&directory));
        reading.await.map_err(io::Error::other)?
    }
}

fn entry(directory: &Path, session: &WireId) -> Result<Entry, JournalError> {
    let path = directory.join(format!("{session}.json"));
    let record = match read(&path) {
        Ok(None) => Record::default(),
        Ok(Some(text)) => {
            serde_json::from_slice(&text).map_err(|_| JournalError::Damaged(path.clone()))?
        }
        Err(source) => return Err(JournalError::Unusable { path, source }),
    };
    Ok(Entry { path, record })
}

fn remembered(directory: &Path) -> io::Result<Vec<Remembered>> {
    let mut all = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name();
        let session = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let session: Option<WireId> = session.and_then(|session| session.parse().ok());
        let Some(session) = session else {
            continue;
        };
        // It may be gone by now.
        let Ok(modified) = file.metadata().and_then(|found| found.modified()) else {
            continue;
        };
        if let Ok(entry) = entry(directory, &session) {
            all.push(Remembered {
                session,
                // A clock that was set back makes nothing old.
                age: modified.elapsed().unwrap_or_default(),
                sandbox: entry.record.sandbox,
            });
        }
    }
    Ok(all)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(found) if found.len() > WORKER_RECORD_BYTES => Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Entry {
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Writes down what has changed. When this returns, it is on the disk.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), JournalError> {
        let mut record = self.record.clone();
        change(&mut record);
        if record == self.record {
            return Ok(());
        }
        self.write(&record)
            .map_err(|source| JournalError::Unusable {
                path: self.path.clone(),
                source,
            })?;
        self.record = record;
        Ok(())
    }

    /// Nothing is left of it.
    pub(crate) fn remove(self) -> Result<(), JournalError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                let path = self.path;
                Err(JournalError::Unusable { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> WireId {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_written_down_is_there_for_the_next_worker() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker");
        {
            let journal = Journal::open(path.clone()).unwrap();
            let mut entry = journal.entry(&id("sesn_1")).unwrap();
            entry
                .change(|record| {
                    record.begun.insert(id("sevt_1"));
                    record.sandbox = Whereabouts::Running;
                })
                .unwrap();
            let second = Journal::open(path.clone());
            assert!(matches!(second, Err(JournalError::Locked(_))));
        }
        let journal = Journal::open(path.clone()).unwrap();
        let entry = journal.entry(&id("sesn_1")).unwrap();
        assert_eq!(entry.record().begun, BTreeSet::from([id("sevt_1")]));
        assert_eq!(entry.record().sandbox, Whereabouts::Running);
        assert_eq!(
            journal.entry(&id("sesn_2")).unwrap().record(),
            &Record::default()
        );
        entry.remove().unwrap();
        assert_eq!(
            journal.entry(&id("sesn_1")).unwrap().record(),
            &Record::default()
        );
    }

    #[test]
    fn what_is_damaged_is_not_read_as_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path().to_owned()).unwrap();
        fs::write(directory.path().join("sesn_1.json"), b"{\"begun\": [").unwrap();
        let entry = journal.entry(&id("sesn_1"));
        assert!(matches!(entry, Err(JournalError::Damaged(_))));
    }
}
