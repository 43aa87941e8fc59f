//! The form of the data files: one entry a line, a comment after `#`, blank lines and comment lines between.

use crate::HostPattern;

/// An entry of a preset or registry list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The host rule.
    pub pattern: HostPattern,
    /// What it is for.
    pub comment: &'static str,
}

/// The entries of a data file and their comments.
pub(crate) fn lines(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    file.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (entry, comment) = line.split_once('#').unwrap_or((line, ""));
            (entry.trim(), comment.trim())
        })
}

/// The entries of a list of host rules.
///
/// # Panics
///
/// On an entry that is not a host rule. The files are part of the crate, and a test reads every one.
pub(crate) fn host_rules(file: &'static str) -> Vec<ListEntry> {
    let parse = |(entry, comment): (&'static str, &'static str)| match entry.parse() {
        Ok(pattern) => ListEntry { pattern, comment },
        Err(error) => panic!("data file entry {entry:?}: {error}"),
    };
    lines(file).map(parse).collect()
}
