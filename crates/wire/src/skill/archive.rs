//! Zip archives, of which nothing is believed.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use bailiwick_model::limits::{SKILL_BYTES, SKILL_FILES};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::path::Collector;
use super::{Entry, Files, SkillProblem};

/// What a local file header begins with (APPNOTE 4.3.7).
const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
/// What every entry of the directory of a zip begins with (APPNOTE 4.3.12).
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
/// Archives inside of the archive have entries too; more than so many are not read, since each takes memory before it can be looked at.
const DIRECTORY_ENTRIES: usize = 20 * SKILL_FILES;
/// What the finder of macOS adds.
const RESOURCE_FORKS: &str = "__MACOSX/";
/// The type of a file in its mode, and those types that are taken (inode(7)); 0 is what systems without modes write.
const TYPE_BITS: u32 = 0o170_000;
const PLAIN: [u32; 3] = [0, 0o100_000, 0o040_000];
const EXECUTABLE_BITS: u32 = 0o111;

/// Whether it claims to be a zip.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL_HEADER)
}

/// The files in a zip. Sizes that it states are not believed; reading ends at the limit.
pub(super) fn read(bytes: &[u8]) -> Result<Files, SkillProblem> {
    let entries = bytes
        .windows(DIRECTORY_ENTRY.len())
        .filter(|window| *window == DIRECTORY_ENTRY);
    if entries.count() > DIRECTORY_ENTRIES {
        return Err(SkillProblem::TooManyFiles);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| unreadable(&error))?;
    let (mut collected, mut room) = (Collector::default(), SKILL_BYTES);
    for index in 0..archive.len() {
        let raw = archive
            .by_index_raw(index)
            .map_err(|error| unreadable(&error))?;
        let name = raw.name().map_err(|error| unreadable(&error))?.into_owned();
        let mode = raw.unix_mode().unwrap_or_default();
        if !PLAIN.contains(&(mode & TYPE_BITS)) {
            return Err(SkillProblem::Special(name));
        }
        if raw.encrypted() {
            return Err(SkillProblem::Encrypted(name));
        }
        if raw.is_dir() || name.starts_with(RESOURCE_FORKS) {
            continue;
        }
        drop(raw);
        let file = archive
            .by_index(index)
            .map_err(|error| unreadable(&error))?;
        let mut bytes = Vec::new();
        file.take(room + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| SkillProblem::Archive(error.to_string()))?;
        room = room
            .checked_sub(bytes.len() as u64)
            .ok_or(SkillProblem::TooLarge)?;
        let executable = mode & EXECUTABLE_BITS != 0;
        collected.add(&name, Entry { bytes, executable })?;
    }
    collected.finish()
}

/// A zip of these files below one directory. It says nothing of when or where it was made, so the same files make the same bytes.
pub(super) fn write(
    directory: &str,
    entries: BTreeMap<String, Entry>,
) -> Result<Vec<u8>, SkillProblem> {
    let failed = |error: std::io::Error| SkillProblem::Archive(error.to_string());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, entry) in entries {
        let mode = if entry.executable { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(mode);
        writer
            .start_file(format!("{directory}/{path}"), options)
            .map_err(|error| unreadable(&error))?;
        writer.write_all(&entry.bytes).map_err(failed)?;
    }
    let written = writer.finish().map_err(|error| unreadable(&error))?;
    Ok(written.into_inner())
}

fn unreadable(error: &ZipError) -> SkillProblem {
    SkillProblem::Archive(error.to_string())
}
