//! The tool `glob`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use bailiwick_model::limits;
use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use super::walk::{Leave, Walk};
use crate::input::{Fields, InputProblem};
use crate::inside::Inside;
use crate::read::shown;
use crate::result::ToolResult;
use crate::{Trouble, absolute};

/// The answer of a search that found nothing.
pub(super) const NO_MATCHES: &str = "no matches";

/// What is asked of it.
pub(crate) struct Request {
    pattern: String,
    path: Option<String>,
}

impl Request {
    pub(crate) fn read(input: Value) -> Result<Self, InputProblem> {
        let mut fields = Fields::new(input)?;
        let pattern = fields.path("pattern")?;
        let path = fields.optional_path("path")?;
        fields.done()?;
        Ok(Self { pattern, path })
    }
}

pub(crate) async fn run(
    inside: &dyn Inside,
    directory: &Path,
    request: &Request,
) -> Result<ToolResult, Trouble> {
    let base = request
        .path
        .as_deref()
        .map_or_else(|| directory.to_owned(), |path| absolute(directory, path));
    // An absolute pattern takes the place of the base, as with a path.
    let (root, pattern) = split(&base, &request.pattern);
    let matcher = matcher(&pattern)?;
    let mut newest = Newest::default();
    let mut walk = Walk::new(inside, &root, Leave::Git);
    while let Some(files) = walk.next().await? {
        for file in files {
            let name = file.path.strip_prefix(&root).unwrap_or(&file.path);
            if matcher.is_match(name) {
                newest.add(file.entry.modified_ns, file.path);
            }
        }
    }
    let (total, paths) = newest.in_order();
    let mut lines: Vec<String> = paths.iter().map(|path| shown(path)).collect();
    if lines.is_empty() {
        lines.push(NO_MATCHES.to_owned());
    }
    let mut remarks = walk.remarks();
    if total > paths.len() {
        let count = paths.len();
        remarks.insert(0, format!("[the newest {count} of {total} files]"));
    }
    Ok(ToolResult::text(lines.join("\n")).and(remarks.join("\n")))
}

fn matcher(pattern: &str) -> Result<GlobMatcher, Trouble> {
    let glob = GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| Trouble::Told(format!("pattern: {error}")))?;
    Ok(glob.compile_matcher())
}

/// The directory that a pattern begins in, so that no other is walked through, and the rest of the pattern.
fn split(base: &Path, pattern: &str) -> (PathBuf, String) {
    let mut root = base.to_owned();
    let mut rest = pattern;
    if let Some(absolute) = rest.strip_prefix('/') {
        root = PathBuf::from("/");
        rest = absolute.trim_start_matches('/');
    }
    while let Some((first, others)) = rest.split_once('/') {
        if first.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            break;
        }
        match first {
            "" | "." => {}
            name => root.push(name),
        }
        rest = others;
    }
    (root, rest.to_owned())
}

/// The newest files, of those of the same time the first by name.
#[derive(Default)]
struct Newest {
    /// The one to go first is the greatest.
    kept: BinaryHeap<(Reverse<i64>, PathBuf)>,
    total: usize,
}

impl Newest {
    fn add(&mut self, modified_ns: i64, path: PathBuf) {
        self.total += 1;
        self.kept.push((Reverse(modified_ns), path));
        if self.kept.len() > limits::TOOL_GLOB_MATCHES {
            self.kept.pop();
        }
    }

    fn in_order(self) -> (usize, Vec<PathBuf>) {
        let sorted = self.kept.into_sorted_vec();
        (
            self.total,
            sorted.into_iter().map(|(_, path)| path).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_walked_from_where_it_begins() {
        let split = |pattern| {
            let (root, rest) = split(Path::new("/w"), pattern);
            (root.display().to_string(), rest)
        };
        let pair = |root: &str, rest: &str| (root.to_owned(), rest.to_owned());
        assert_eq!(split("**/*.rs"), pair("/w", "**/*.rs"));
        assert_eq!(split("src/a/*.rs"), pair("/w/src/a", "*.rs"));
        assert_eq!(split("./x.rs"), pair("/w", "x.rs"));
        assert_eq!(split("../up/*"), pair("/w/../up", "*"));
        assert_eq!(split("//etc/h*"), pair("/etc", "h*"));
        assert_eq!(split("{a,b}/c/*"), pair("/w", "{a,b}/c/*"));
    }

    #[test]
    fn a_star_stays_in_its_directory_and_two_do_not() {
        let matches = |pattern: &str, path: &str| {
            matcher(pattern).is_ok_and(|matcher| matcher.is_match(path))
        };
        assert!(matches("*.rs", "a.rs") && !matches("*.rs", "a/b.rs"));
        assert!(matches("**/*.rs", "a.rs") && matches("**/*.rs", "a/b/c.rs"));
        assert!(matches("a/**", "a/b/c") && matches("*.{js,ts}", "x.ts"));
        assert!(matches("**/.env", "a/.env") && matches("*", ".env"));
        assert!(matcher("[a").is_err());
    }

    #[test]
    fn the_newest_come_first_and_stay() {
        let mut newest = Newest::default();
        for number in 0..1000 {
            newest.add(number, PathBuf::from(format!("/{number:04}")));
        }
        newest.add(999, PathBuf::from("/0000"));
        let (total, paths) = newest.in_order();
        assert_eq!((total, paths.len()), (1001, limits::TOOL_GLOB_MATCHES));
        assert_eq!(paths[..3], ["/0000", "/0999", "/0998"].map(PathBuf::from));
    }
}
