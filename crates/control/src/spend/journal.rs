//! What is being spent, in a file: a line before a request goes out, and one when it has ended.
//!
//! It is not waited for the disk: the file survives the process, and what a machine loses with its power is covered by what was leased. A journal
//! has parts; one whose requests are all in the database is deleted.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_model::limits::{SPEND_JOURNAL_BYTES, SPEND_JOURNAL_LINE_BYTES};
use bailiwick_model::{OrganizationId, UsageKind, UsageRecordId};
use bailiwick_store::{Spender, Spent, UsageRecord};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::Candidate;

/// Ends the name of a part.
const EXTENSION: &str = "journal";

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// A request goes out.
    Reserved(Box<Reserved>),
    /// It has ended.
    Settled(Settled),
}

/// The same, to be written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum LineRef<'l> {
    Reserved(&'l Reserved),
    Settled(&'l Settled),
}

/// A request that goes out, with all that its record needs if nothing more is heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) id: UsageRecordId,
    pub(crate) organization: OrganizationId,
    pub(crate) at: Timestamp,
    pub(crate) spender: Spender,
    /// Which model was asked for.
    pub(crate) model: String,
    /// Who may answer; the one that is most expensive first.
    pub(crate) candidate: Candidate,
    pub(crate) prices: String,
    pub(crate) is_estimated: bool,
    pub(crate) worst: Spent,
}

/// How a request has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    pub(crate) id: UsageRecordId,
    pub(crate) kind: UsageKind,
    pub(crate) candidate: Candidate,
    pub(crate) prices: String,
    pub(crate) is_estimated: bool,
    pub(crate) spent: Spent,
    pub(crate) status: Option<u16>,
}

/// The journal of this process.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    holder: String,
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    /// The part that requests begin in.
    current: u64,
    parts: BTreeMap<u64, Part>,
    /// Used again for each line.
    line: Vec<u8>,
}

#[derive(Debug)]
struct Part {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// Requests of it that the database has not heard of.
    open: usize,
}

/// What a process left that has ended.
#[derive(Debug)]
pub(crate) struct Abandoned {
    pub(crate) holder: String,
    /// What was in it, settled or not.
    pub(crate) requests: Vec<(OrganizationId, UsageRecord)>,
    files: Vec<(PathBuf, File)>,
}

impl Reserved {
    /// Its record, once it has ended.
    pub(crate) fn settled(self, settled: Settled) -> UsageRecord {
        UsageRecord {
            id: self.id,
            at: self.at,
            kind: settled.kind,
            spender: self.spender,
            upstream: settled.candidate.upstream,
            model: self.model,
            upstream_model: settled.candidate.model,
            spent: settled.spent,
            prices: settled.prices,
            is_estimated: settled.is_estimated,
            status: settled.status,
        }
    }

    /// How it ended if nobody knows: as its worst case.
    pub(crate) fn worst(&self, kind: UsageKind) -> Settled {
        Settled {
            id: self.id.clone(),
            kind,
            candidate: self.candidate.clone(),
            prices: self.prices.clone(),
            is_estimated: self.is_estimated,
            spent: self.worst,
            status: None,
        }
    }
}

impl Journal {
    /// Begins one, for the process that calls itself `holder`.
    pub(crate) fn open(directory: &Path, holder: &str) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut parts = Parts {
            current: 0,
            parts: BTreeMap::new(),
            line: Vec::new(),
        };
        parts.add(directory, holder)?;
        Ok(Self {
            directory: directory.to_owned(),
            holder: holder.to_owned(),
            parts: Mutex::new(parts),
        })
    }

    /// Writes that a request goes out. Which part that is in has to be said of whatever becomes of it.
    pub(crate) fn reserved(&self, reserved: &Reserved) -> io::Result<u64> {
        let mut parts = self.parts();
        if parts.is_long() {
            parts.add(&self.directory, &self.holder)?;
        }
        let current = parts.current;
        parts.write(current, &LineRef::Reserved(reserved))?;
        if let Some(part) = parts.parts.get_mut(&current) {
            part.open += 1;
        }
        Ok(current)
    }

    /// Writes how it ended.
    pub(crate) fn settled(&self, part: u64, settled: &Settled) -> io::Result<()> {
        self.parts().write(part, &LineRef::Settled(settled))
    }

    /// The database has heard of so many requests of a part.
    pub(crate) fn written(&self, part: u64, requests: usize) {
        let mut parts = self.parts();
        let is_current = part == parts.current;
        let Some(found) = parts.parts.get_mut(&part) else {
            return;
        };
        found.open = found.open.saturating_sub(requests);
        if found.open > 0 {
            return;
        }
        if is_current {
            // If it cannot be cut, the next start finds requests that the database knows.
            if found.file.set_len(0).is_ok() {
                found.bytes = 0;
            }
        } else if let Some(found) = parts.parts.remove(&part) {
            let _ = fs::remove_file(found.path);
        }
    }

    /// Removes it, if the database has heard of all that is in it.
    pub(crate) fn close(&self) {
        let mut parts = self.parts();
        let done = parts.parts.extract_if(.., |_, part| part.open == 0);
        for (_, part) in done {
            let _ = fs::remove_file(part.path);
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn is_long(&self) -> bool {
        self.parts
            .get(&self.current)
            .is_none_or(|part| part.bytes >= SPEND_JOURNAL_BYTES)
    }

    fn add(&mut self, directory: &Path, holder: &str) -> io::Result<()> {
        let number = self.current + 1;
        let path = directory.join(format!("{holder}-{number}.{EXTENSION}"));
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        // Held as long as the process lives.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let part = Part {
            file,
            path,
            bytes: 0,
            open: 0,
        };
        self.parts.insert(number, part);
        self.current = number;
        Ok(())
    }

    fn write(&mut self, part: u64, line: &LineRef<'_>) -> io::Result<()> {
        self.line.clear();
        // In front: a line that could not be written whole does not spoil the next.
        self.line.push(b'\n');
        serde_json::to_writer(&mut self.line, line)?;
        let Some(part) = self.parts.get_mut(&part) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        part.file.write_all(&self.line)?;
        part.bytes += self.line.len() as u64;
        Ok(())
    }
}

impl Abandoned {
    /// What processes left that are not there any more, each with all of its parts.
    pub(crate) fn all(directory: &Path) -> io::Result<Vec<Self>> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let Some((holder, file)) = left(&path)? else {
                continue;
            };
            let found = all.entry(holder.clone()).or_insert_with(|| Self {
                holder,
                requests: Vec::new(),
                files: Vec::new(),
            });
            read(&file, &mut found.requests)?;
            found.files.push((path, file));
        }
        Ok(all.into_values().collect())
    }

    /// Forgets it, once the database has heard of it all.
    pub(crate) fn remove(self) -> io::Result<()> {
        for (path, _file) in self.files {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// A part that nobody writes any more, with who did.
fn left(path: &Path) -> io::Result<Option<(String, File)>> {
    if path.extension().is_none_or(|found| found != EXTENSION) {
        return Ok(None);
    }
    let name = path.file_stem().and_then(|name| name.to_str());
    let Some((holder, _)) = name.and_then(|name| name.rsplit_once('-')) else {
        return Ok(None);
    };
    let file = File::open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some((holder.to_owned(), file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read(file: &File, requests: &mut Vec<(OrganizationId, UsageRecord)>) -> io::Result<()> {
    let mut open: HashMap<UsageRecordId, Reserved> = HashMap::new();
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = SPEND_JOURNAL_LINE_BYTES as u64;
        if lines.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // What was not written whole was not sent, or counts as its worst case.
        match serde_json::from_slice(&line) {
            Ok(Line::Reserved(reserved)) => {
                open.insert(reserved.id.clone(), *reserved);
            }
            Ok(Line::Settled(settled)) => {
                if let Some(reserved) = open.remove(&settled.id) {
                    requests.push((reserved.organization.clone(), reserved.settled(settled)));
                }
            }
            Err(_) => {}
        }
    }
    let expired = open.into_values().map(|reserved| {
        let settled = reserved.worst(UsageKind::Expired);
        (reserved.organization.clone(), reserved.settled(settled))
    });
    requests.extend(expired);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bailiwick_model::ResourceId as _;

    use super::*;

    fn reserved(number: u8) -> Reserved {
        Reserved {
            id: UsageRecordId::made(0, [number; 10]),
            organization: OrganizationId::made(0, [1; 10]),
            at: Timestamp::UNIX_EPOCH,
            spender: Spender {
                environment: bailiwick_model::EnvironmentId::made(0, [2; 10]),
                agent: None,
                user: None,
                teams: Vec::new(),
                key: None,
                llm_proxy: None,
                session: None,
            },
            model: "m".to_owned(),
            candidate: Candidate {
                upstream: None,
                model: "real-m".to_owned(),
            },
            prices: String::new(),
            is_estimated: false,
            worst: Spent {
                cost_nanos: 100,
                ..Spent::default()
            },
        }
    }

    fn settled(number: u8) -> Settled {
        Settled {
            spent: Spent {
                cost_nanos: 7,
                ..Spent::default()
            },
            ..reserved(number).worst(UsageKind::Told)
        }
    }

    fn found(directory: &Path) -> Vec<(UsageKind, i64)> {
        let all = Abandoned::all(directory).unwrap();
        let requests = all.iter().flat_map(|one| &one.requests);
        let mut found: Vec<_> = requests
            .map(|(_, record)| (record.kind, record.spent.cost_nanos))
            .collect();
        found.sort_by_key(|(_, cost)| *cost);
        found
    }

    #[test]
    fn what_had_ended_is_settled_and_what_had_not_is_told_at_its_worst() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), "one").unwrap();
        let part = journal.reserved(&reserved(1)).unwrap();
        journal.reserved(&reserved(2)).unwrap();
        journal.settled(part, &settled(1)).unwrap();
        // Whoever writes it is still there.
        assert_eq!(found(directory.path()), []);
        drop(journal);
        assert_eq!(
            found(directory.path()),
            [(UsageKind::Told, 7), (UsageKind::Expired, 100)]
        );
        for one in Abandoned::all(directory.path()).unwrap() {
            one.remove().unwrap();
        }
        assert_eq!(found(directory.path()), []);
    }

    #[test]
    fn a_line_that_was_not_written_whole_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), "one").unwrap();
        let part = journal.reserved(&reserved(1)).unwrap();
        let half = b"\n{\"settled\":{\"id\":";
        journal
            .parts()
            .parts
            .get_mut(&part)
            .unwrap()
            .file
            .write_all(half)
            .unwrap();
        journal.reserved(&reserved(2)).unwrap();
        journal.settled(part, &settled(2)).unwrap();
        drop(journal);
        assert_eq!(
            found(directory.path()),
            [(UsageKind::Told, 7), (UsageKind::Expired, 100)]
        );
    }

    #[test]
    fn a_part_is_forgotten_once_the_database_has_heard_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), "one").unwrap();
        let part = journal.reserved(&reserved(1)).unwrap();
        journal.settled(part, &settled(1)).unwrap();
        journal.written(part, 1);
        journal.reserved(&reserved(2)).unwrap();
        drop(journal);
        assert_eq!(found(directory.path()), [(UsageKind::Expired, 100)]);
    }
}
