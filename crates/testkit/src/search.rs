//! Looking for a text where it should not be: in the memory of processes, and in files.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Whether these bytes have the wanted ones, which must not be empty.
pub fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    // Horspool's search, since a test is not optimised and memories are large.
    let last = wanted.len() - 1;
    let mut skip = [wanted.len(); 256];
    for (index, byte) in wanted[..last].iter().enumerate() {
        skip[usize::from(*byte)] = last - index;
    }
    let mut at = last;
    while let Some(byte) = bytes.get(at) {
        if *byte == wanted[last] && bytes[at - last..=at] == *wanted {
            return true;
        }
        at += skip[usize::from(*byte)];
    }
    false
}

/// Every process below this one.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    for task in tasks {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
        {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

/// Whether a process's memory has these bytes, as far as it can be read.
///
/// # Panics
///
/// If the memory of that process is not the test's to read, or there is no such process.
pub fn memory_has(pid: u32, wanted: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the maps");
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).expect("the memory");
    maps.lines().filter(|line| line.contains(" r")).any(|line| {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let Some((start, end)) = range.and_then(|(a, b)| Some((number(a)?, number(b)?))) else {
            return false;
        };
        // Devices and pages that were never there cannot be read.
        if memory.seek(SeekFrom::Start(start)).is_err() {
            return false;
        }
        let mut bytes = Vec::new();
        let _ = memory.by_ref().take(end - start).read_to_end(&mut bytes);
        has(&bytes, wanted)
    })
}

/// The first file below a directory that has these bytes. No link is followed.
pub fn file_with(directory: &Path, wanted: &[u8]) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().find_map(|entry| {
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            return file_with(&entry.path(), wanted);
        }
        let content = fs::read(entry.path()).ok().filter(|_| kind.is_file())?;
        has(&content, wanted).then(|| entry.path())
    })
}
