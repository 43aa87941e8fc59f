//! The tool `grep`.

use std::path::{Path, PathBuf};

use bailiwick_model::limits;
use bailiwick_runtime::{Error, FileKind};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;
use tokio::task::yield_now;

use super::glob::NO_MATCHES;
use super::walk::{Found, Leave, Walk};
use crate::input::{Fields, InputProblem};
use crate::inside::Inside;
use crate::media::Kind;
use crate::read;
use crate::result::{ToolResult, printable};
use crate::{Trouble, absolute};

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
    let pattern = compile(&request.pattern)?;
    let root = absolute(directory, request.path.as_deref().unwrap_or("."));
    let mut matches = Matches::new(&pattern);
    let mut remarks = Vec::new();
    let entry = inside.look_at(&root).await?;
    match entry.kind {
        FileKind::Directory => {
            // As it was given, so that what is printed can be used as a path.
            let prefix = request.path.clone().map(PathBuf::from);
            let mut search = Search {
                inside,
                root,
                prefix,
                left_out: 0,
            };
            remarks = search.tree(&mut matches).await?;
        }
        FileKind::File | FileKind::Link | FileKind::Other => {
            let contents = read::contents(inside, &root).await?;
            if Kind::of(&contents) == Kind::Binary {
                remarks.push("[the file is binary]".to_owned());
            } else {
                matches.search(None, &contents);
            }
        }
    }
    Ok(matches.result(remarks))
}

/// The syntax of ripgrep, whose library this is. As there, a pattern never matches more than a line.
fn compile(pattern: &str) -> Result<Regex, Trouble> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .size_limit(limits::TOOL_REGEX_BYTES)
        .build()
        .map_err(|error| Trouble::Told(format!("pattern: {error}")))
}

/// A search through a tree.
struct Search<'a> {
    inside: &'a dyn Inside,
    root: PathBuf,
    prefix: Option<PathBuf>,
    left_out: usize,
}

impl Search<'_> {
    async fn tree(&mut self, matches: &mut Matches<'_>) -> Result<Vec<String>, Trouble> {
        let mut walk = Walk::new(self.inside, &self.root, Leave::Ignored);
        while let Some(files) = walk.next().await? {
            let files: Vec<Found> = files
                .into_iter()
                .filter(|file| file.entry.kind == FileKind::File)
                .collect();
            for some in files.chunks(limits::TOOL_READS_AT_ONCE) {
                self.files(some, matches).await?;
                if matches.is_full() {
                    return Ok(walk.remarks());
                }
            }
        }
        let mut remarks = walk.remarks();
        if self.left_out > 0 {
            remarks.push(format!(
                "[{} files of more than {} bytes were left out; give one as the path]",
                self.left_out,
                limits::TOOL_GREP_FILE_BYTES
            ));
        }
        Ok(remarks)
    }

    /// Some are asked for at a time, since most of the time goes into asking.
    async fn files(&mut self, files: &[Found], matches: &mut Matches<'_>) -> Result<(), Trouble> {
        let inside = self.inside;
        let small = |file: &&Found| file.entry.bytes <= limits::TOOL_GREP_FILE_BYTES;
        self.left_out += files.iter().filter(|file| !small(file)).count();
        let reads = files.iter().filter(small).map(|file| async move {
            let contents = inside.read(&file.path, limits::TOOL_GREP_FILE_BYTES).await;
            (&file.path, contents)
        });
        for (path, contents) in futures_util::future::join_all(reads).await {
            match contents {
                Ok(contents) => {
                    if Kind::of(&contents) != Kind::Binary {
                        matches.search(Some(&self.name(path)), &contents);
                    }
                }
                // Gone, grown, or not to be read by the sandbox's identity.
                Err(Error::Path { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            // The search itself waits for nobody.
            yield_now().await;
        }
        Ok(())
    }

    /// The path as it is printed.
    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let name = match &self.prefix {
            Some(prefix) => prefix.join(below),
            None => below.to_owned(),
        };
        read::shown(&name)
    }
}

/// The lines that were found.
struct Matches<'a> {
    pattern: &'a Regex,
    text: String,
    is_full: bool,
}

impl<'a> Matches<'a> {
    fn new(pattern: &'a Regex) -> Self {
        Self {
            pattern,
            text: String::new(),
            is_full: false,
        }
    }

    fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds the lines of a file that match. `name` stands in front of them.
    ///
    /// The whole is searched at once, and then each line by itself in which something was found: a match of the whole may lie across lines
    /// (`\s`), and one of a line is never missed, since the whole has a match at its beginning or before it.
    fn search(&mut self, name: Option<&str>, contents: &[u8]) {
        let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
        let (mut number, mut counted, mut from) = (1, 0, 0);
        while !self.is_full && from < contents.len() {
            let Some(found) = self.pattern.find_at(contents, from) else {
                return;
            };
            let (start, end) = line_around(contents, found.start());
            if start >= contents.len() {
                return;
            }
            let line = &contents[start..end];
            if self.pattern.is_match(line) {
                number += count(&contents[counted..start]);
                counted = start;
                self.add(name, number, line);
            }
            from = end + 1;
        }
    }

    fn add(&mut self, name: Option<&str>, number: usize, line: &[u8]) {
        let shown = line.get(..limits::TOOL_GREP_LINE_BYTES);
        let rest = if shown.is_some() { " [...]" } else { "" };
        let text = printable(shown.unwrap_or(line)).replace('\n', " ");
        let line = match name {
            Some(name) => format!("{name}:{number}:{text}{rest}\n"),
            None => format!("{number}:{text}{rest}\n"),
        };
        if self.text.len() + line.len() > limits::TOOL_GREP_BYTES {
            self.is_full = true;
        } else {
            self.text.push_str(&line);
        }
    }

    fn result(mut self, mut remarks: Vec<String>) -> ToolResult {
        if self.is_full {
            remarks.insert(
                0,
                "[output truncated: there are more matches; give a narrower pattern or path]"
                    .to_owned(),
            );
        }
        if self.text.is_empty() {
            self.text.push_str(NO_MATCHES);
        }
        ToolResult::text(self.text.trim_end_matches('\n')).and(remarks.join("\n"))
    }
}

/// Where the line begins and ends that a position is in, without its line feed.
fn line_around(contents: &[u8], at: usize) -> (usize, usize) {
    let before = contents.get(..at).unwrap_or_default();
    let start = memchr::memrchr(b'\n', before).map_or(0, |feed| feed + 1);
    let after = contents.get(at..).unwrap_or_default();
    let end = memchr::memchr(b'\n', after).map_or(contents.len(), |length| at + length);
    (start, end)
}

fn count(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pattern: &str, contents: &[u8]) -> String {
        let Ok(pattern) = compile(pattern) else {
            return "no pattern".to_owned();
        };
        let mut matches = Matches::new(&pattern);
        matches.search(Some("f"), contents);
        matches.text
    }

    #[test]
    fn lines_are_found_with_their_numbers() {
        let text = b"one\ntwo\n\nthree two\nlast";
        assert_eq!(found("two", text), "f:2:two\nf:4:three two\n");
        assert_eq!(found("^t", text), "f:2:two\nf:4:three two\n");
        assert_eq!(found("o$", text), "f:2:two\nf:4:three two\n");
        assert_eq!(found("^$", text), "f:3:\n");
        assert_eq!(found("last", text), "f:5:last\n");
        assert_eq!(found("(?i)THREE", text), "f:4:three two\n");
        assert_eq!(found(r"\bt\w+\s\w+", text), "f:4:three two\n");
        assert_eq!(found("nothing", text), "");
        assert_eq!(found("(", text), "no pattern");
        assert_eq!(found("", b"a\nb\n"), "f:1:a\nf:2:b\n");
    }

    #[test]
    fn a_pattern_never_matches_more_than_a_line() {
        assert_eq!(found("one\\stwo", b"one\ntwo\n"), "");
        assert_eq!(found("a[^b]c", b"a\nc\naxc\n"), "f:3:axc\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_searched_and_shown_safely() {
        assert_eq!(found("b", b"a\xffb\x1b\n"), "f:1:a\u{fffd}b\u{241b}\n");
        let long = vec![b'x'; 10_000];
        assert!(found("x", &long).len() < limits::TOOL_GREP_LINE_BYTES + 20);
    }

    proptest! {
        /// Against the plain way: each line by itself.
        #[test]
        fn no_line_is_missed(
            text in "[ab \n]{0,60}",
            parts in proptest::collection::vec(
                proptest::sample::select(vec!["a", "b", r"\s", r"\b", "^", "$", "[^a]", "a*", " ", r"\s*"]),
                1..5,
            ),
        ) {
            let pattern = parts.concat();
            let compiled = compile(&pattern);
            prop_assume!(compiled.is_ok());
            let Ok(compiled) = compiled else { return Ok(()) };
            let mut lines: Vec<&str> = text.split('\n').collect();
            if lines.last() == Some(&"") {
                lines.pop();
            }
            let expected: String = (1..)
                .zip(&lines)
                .filter(|(_, line)| compiled.is_match(line.as_bytes()))
                .map(|(number, line)| format!("f:{number}:{line}\n"))
                .collect();
            prop_assert_eq!(found(&pattern, text.as_bytes()), expected);
        }
    }
}
