//! Which files a search leaves out: `.gitignore` and `.ignore`, as ripgrep reads them.

use std::path::Path;
use std::sync::Arc;

use bailiwick_runtime::{Error, FileEntry, FileKind};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::Trouble;
use crate::inside::Inside;

/// The names of such files; a later one wins.
const FILES: [&str; 2] = [".gitignore", ".ignore"];
/// Bytes of one of them; a longer one is not heeded.
const FILE_BYTES: u64 = 256 * 1024;

/// The rules that are in force in a directory: its own, then those of the directories above it that were walked through.
#[derive(Default)]
pub(super) struct Rules {
    /// The later one wins.
    own: Vec<Gitignore>,
    above: Option<Arc<Rules>>,
}

impl Rules {
    /// The rules of a directory with these entries.
    pub(super) async fn of(
        inside: &dyn Inside,
        directory: &Path,
        entries: &[FileEntry],
        above: Arc<Self>,
    ) -> Result<Arc<Self>, Trouble> {
        let mut own = Vec::new();
        for name in FILES {
            let exists = entries
                .iter()
                .any(|entry| entry.name == name && entry.kind == FileKind::File);
            if !exists {
                continue;
            }
            match inside.read(&directory.join(name), FILE_BYTES).await {
                Ok(text) => own.extend(parse(directory, &String::from_utf8_lossy(&text))),
                // Unreadable, too long or gone: no rules.
                Err(Error::Path { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if own.is_empty() {
            return Ok(above);
        }
        let above = Some(above);
        Ok(Arc::new(Self { own, above }))
    }

    pub(super) fn leave_out(&self, path: &Path, is_directory: bool) -> bool {
        let mut rules = Some(self);
        while let Some(level) = rules {
            for own in level.own.iter().rev() {
                match own.matched(path, is_directory) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            rules = level.above.as_deref();
        }
        false
    }
}

/// Lines that are no pattern are not heeded, as git has it.
fn parse(directory: &Path, text: &str) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new(directory);
    for line in text.lines() {
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rule_decides() {
        let above = Rules {
            own: parse(Path::new("/w"), "*.log\ntarget/\n/only-here\n[broken\n")
                .into_iter()
                .collect(),
            above: None,
        };
        let rules = Rules {
            own: parse(Path::new("/w/a"), "!keep.log\n*.tmp")
                .into_iter()
                .collect(),
            above: Some(Arc::new(above)),
        };
        for (path, is_directory, left_out) in [
            ("/w/a/x.log", false, true),
            ("/w/a/keep.log", false, false),
            ("/w/a/x.tmp", false, true),
            ("/w/a/target", true, true),
            ("/w/a/target", false, false),
            ("/w/a/only-here", false, false),
            ("/w/only-here", false, true),
            ("/w/a/x.rs", false, false),
        ] {
            assert_eq!(
                rules.leave_out(Path::new(path), is_directory),
                left_out,
                "{path}"
            );
        }
    }
}
