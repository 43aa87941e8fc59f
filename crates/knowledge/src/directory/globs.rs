//! Which files are taken.

use bailiwick_model::limits::{KNOWLEDGE_GLOB_BYTES, KNOWLEDGE_GLOBS};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Which files are taken: those that one pattern takes and none leaves out. Nothing in a `.git` is ever taken.
///
/// In a pattern `*` and `?` stand for anything within a name, `**` for any directories, `{a,b}` for either. It is about the whole path.
#[derive(Debug, Clone)]
pub struct Globs {
    taken: GlobSet,
    left_out: GlobSet,
    /// As they were written.
    written: String,
}

/// Why patterns are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// One is not well-formed.
    #[error("{pattern:?} is no pattern: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        why: String,
    },
    /// One is too long.
    #[error("a pattern has more than {KNOWLEDGE_GLOB_BYTES} bytes")]
    TooLong,
    /// There are too many.
    #[error("there are more than {KNOWLEDGE_GLOBS} patterns")]
    TooMany,
    /// Nothing would be taken. Everything is `**`.
    #[error("no pattern takes anything; everything is \"**\"")]
    Nothing,
}

impl Globs {
    /// Takes what one of the first matches and none of the others.
    ///
    /// # Errors
    ///
    /// See [`GlobError`].
    pub fn new<S: AsRef<str>>(taken: &[S], left_out: &[S]) -> Result<Self, GlobError> {
        if taken.is_empty() {
            return Err(GlobError::Nothing);
        }
        if taken.len() + left_out.len() > KNOWLEDGE_GLOBS {
            return Err(GlobError::TooMany);
        }
        let list = |patterns: &[S]| {
            let patterns: Vec<_> = patterns.iter().map(AsRef::as_ref).collect();
            format!("{patterns:?}")
        };
        Ok(Self {
            taken: set(taken)?,
            left_out: set(left_out)?,
            written: format!("{} {}", list(taken), list(left_out)),
        })
    }

    /// Takes everything.
    ///
    /// # Panics
    ///
    /// Never: the pattern is a constant.
    pub fn everything() -> Self {
        Self::new(&["**"], &[]).expect("it is a pattern")
    }

    /// Whether a file is taken.
    pub fn take(&self, path: &str) -> bool {
        !is_git(path) && self.taken.is_match(path) && !self.left_out.is_match(path)
    }

    /// By what other patterns are told from these.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }
}

fn is_git(path: &str) -> bool {
    path.split('/').any(|part| part == ".git")
}

fn set<S: AsRef<str>>(patterns: &[S]) -> Result<GlobSet, GlobError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.as_ref();
        if pattern.len() > KNOWLEDGE_GLOB_BYTES {
            return Err(GlobError::TooLong);
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| malformed(pattern, &error))?);
    }
    set.build().map_err(|error| malformed("", &error))
}

fn malformed(pattern: &str, error: &globset::Error) -> GlobError {
    GlobError::Pattern {
        pattern: error.glob().unwrap_or(pattern).to_owned(),
        why: error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_if_one_pattern_takes_it_and_none_leaves_it_out() {
        let globs = Globs::new(&["**/*.md", "docs/*.txt"], &["old/**"]).unwrap();
        for (path, expected) in [
            ("a.md", true),
            ("x/y/a.md", true),
            ("docs/a.txt", true),
            ("docs/x/a.txt", false),
            ("old/a.md", false),
            (".git/a.md", false),
            ("x/.git/a.md", false),
            ("a.rs", false),
        ] {
            assert_eq!(globs.take(path), expected, "{path}");
        }
        assert!(Globs::everything().take("a/b/.c"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(
            Globs::new::<&str>(&[], &[]).unwrap_err(),
            GlobError::Nothing
        );
        assert!(matches!(
            Globs::new(&["a[", "b"], &[]),
            Err(GlobError::Pattern { .. })
        ));
        let many = vec!["a"; KNOWLEDGE_GLOBS + 1];
        assert_eq!(Globs::new(&many, &[]).unwrap_err(), GlobError::TooMany);
        let long = "a".repeat(KNOWLEDGE_GLOB_BYTES + 1);
        assert_eq!(Globs::new(&[long], &[]).unwrap_err(), GlobError::TooLong);
    }
}
