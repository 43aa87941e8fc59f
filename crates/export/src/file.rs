//! Lines of JSON in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{ExportError, Record};

/// A file that lines are appended to. If something else is at its path, since it was rotated away, that is written from then on.
pub(crate) struct Lines {
    path: PathBuf,
    file: Option<File>,
}

impl Lines {
    pub(crate) fn open(path: PathBuf) -> Result<Self, ExportError> {
        match open(&path) {
            Ok(file) => Ok(Self {
                path,
                file: Some(file),
            }),
            Err(source) => Err(ExportError::File { path, source }),
        }
    }

    /// Returns once the disk has them.
    pub(crate) async fn write(&mut self, records: &[Record]) -> Result<(), ExportError> {
        let mut text = String::new();
        for record in records {
            text.push_str(&record.json);
            text.push('\n');
        }
        let (path, file) = (self.path.clone(), self.file.take());
        let writing = tokio::task::spawn_blocking(move || append(&path, file, text.as_bytes()));
        match writing.await.expect("writing does not panic") {
            Ok(file) => {
                self.file = Some(file);
                Ok(())
            }
            Err(source) => Err(ExportError::File {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

fn append(path: &Path, file: Option<File>, text: &[u8]) -> io::Result<File> {
    let mut file = match file {
        Some(file) if is_at(&file, path)? => file,
        Some(_) | None => open(path)?,
    };
    let before = file.metadata()?.len();
    let written = file.write_all(text).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // What is there of it would be there twice.
        let _ = file.set_len(before);
        return Err(error);
    }
    Ok(file)
}

/// Whether it was neither renamed nor removed.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match path.symlink_metadata() {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens it for appending, private when it is made. A line that a crash has cut is taken away: its record is written again.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc_nofollow())
        .open(path)?;
    let whole = whole_lines(&mut file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    Ok(file)
}

/// A link at the path of a log leads to a file that somebody else chose.
fn libc_nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

/// Bytes up to the end of the last line, read from behind.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let length = usize::try_from(end - start).unwrap_or(block.len());
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..length])?;
        if let Some(at) = block[..length].iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
