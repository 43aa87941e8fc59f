//! The tool `edit`.

use std::path::Path;

use bailiwick_model::limits;
use serde_json::Value;

use crate::input::{Fields, InputProblem};
use crate::inside::Inside;
use crate::result::ToolResult;
use crate::{Trouble, absolute, read, write};

/// What is asked of it.
pub(crate) struct Request {
    path: String,
    change: Change,
}

struct Change {
    old: String,
    new: String,
    everywhere: bool,
}

/// Why a change cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Obstacle {
    #[error(
        "`old_string` does not stand in the file: it must be the same letter by letter, white space included"
    )]
    NoMatch,
    #[error(
        "`old_string` stands in the file {0} times: give more of what is around it, or replace_all"
    )]
    Matches(usize),
    #[error("the file would be larger than {0} bytes")]
    TooLarge(u64),
}

impl Request {
    pub(crate) fn read(input: Value) -> Result<Self, InputProblem> {
        let mut fields = Fields::new(input)?;
        let most = usize::try_from(limits::TOOL_FILE_BYTES).unwrap_or(usize::MAX);
        let path = fields.path("file_path")?;
        let old = fields.text("old_string", most)?;
        let new = fields.text("new_string", most)?;
        let everywhere = fields.flag("replace_all")?;
        fields.done()?;
        if old.is_empty() {
            return Err(InputProblem::Empty {
                field: "old_string",
            });
        }
        if old == new {
            return Err(InputProblem::NothingToChange);
        }
        let change = Change {
            old,
            new,
            everywhere,
        };
        Ok(Self { path, change })
    }
}

pub(crate) async fn run(
    inside: &dyn Inside,
    directory: &Path,
    request: &Request,
) -> Result<ToolResult, Trouble> {
    let path = absolute(directory, &request.path);
    let before = read::contents(inside, &path).await?;
    let name = read::shown(&path);
    let (after, count) = request
        .change
        .apply(&before)
        .map_err(|obstacle| Trouble::Told(format!("{name}: {obstacle}")))?;
    write::replace(inside, &path, after).await?;
    let times = if count == 1 { "" } else { "s" };
    Ok(ToolResult::text(format!(
        "replaced {count} occurrence{times} in {name}"
    )))
}

impl Change {
    /// Bytes that are no UTF-8 stay as they are. In a file whose lines end as those of Windows do, line feeds of the change stand for them.
    fn apply(&self, before: &[u8]) -> Result<(Vec<u8>, usize), Obstacle> {
        let mut places = find(before, self.old.as_bytes());
        let (mut old, mut new) = (self.old.clone(), self.new.clone());
        if places.is_empty() && self.old.contains('\n') && !self.old.contains('\r') {
            old = self.old.replace('\n', "\r\n");
            places = find(before, old.as_bytes());
        }
        if !places.is_empty() && all_lines_end_with_crlf(before) && !new.contains('\r') {
            new = new.replace('\n', "\r\n");
        }
        match places.len() {
            0 => Err(Obstacle::NoMatch),
            1 => Ok(()),
            count if !self.everywhere => Err(Obstacle::Matches(count)),
            _ => Ok(()),
        }?;
        let grown = places.len().saturating_mul(new.len()) as u64;
        if grown.saturating_add(before.len() as u64) > 2 * limits::TOOL_FILE_BYTES {
            return Err(Obstacle::TooLarge(2 * limits::TOOL_FILE_BYTES));
        }
        let mut after = Vec::with_capacity(before.len());
        let mut rest = 0;
        for place in &places {
            after.extend_from_slice(&before[rest..*place]);
            after.extend_from_slice(new.as_bytes());
            rest = place + old.len();
        }
        after.extend_from_slice(&before[rest..]);
        Ok((after, places.len()))
    }
}

/// Where `needle` stands, without overlaps.
fn find(hay: &[u8], needle: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(hay, needle).collect()
}

fn all_lines_end_with_crlf(text: &[u8]) -> bool {
    let mut ends = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .peekable();
    ends.peek().is_some() && ends.all(|line| line.ends_with(b"\r\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(before: &str, old: &str, new: &str, everywhere: bool) -> Result<String, Obstacle> {
        let change = Change {
            old: old.to_owned(),
            new: new.to_owned(),
            everywhere,
        };
        let (after, _) = change.apply(before.as_bytes())?;
        Ok(String::from_utf8(after).expect("text"))
    }

    #[test]
    fn a_text_is_replaced_where_it_stands_once_or_everywhere() {
        assert_eq!(apply("a b c", "b", "x", false).as_deref(), Ok("a x c"));
        assert_eq!(apply("a b b", "b", "x", true).as_deref(), Ok("a x x"));
        assert_eq!(apply("a b b", "b", "x", false), Err(Obstacle::Matches(2)));
        assert_eq!(apply("a", "b", "x", false), Err(Obstacle::NoMatch));
        assert_eq!(apply("aaa", "aa", "b", true).as_deref(), Ok("ba"));
    }

    #[test]
    fn the_line_ends_of_windows_are_kept() {
        let before = "one\r\ntwo\r\nthree\r\n";
        assert_eq!(
            apply(before, "one\ntwo\n", "1\n2\n", false).as_deref(),
            Ok("1\r\n2\r\nthree\r\n")
        );
        assert_eq!(
            apply(before, "two", "2\n2", false).as_deref(),
            Ok("one\r\n2\r\n2\r\nthree\r\n")
        );
        // A file with both is left as it is.
        assert_eq!(
            apply("a\r\nb\n", "b", "c\nd", false).as_deref(),
            Ok("a\r\nc\nd\n")
        );
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let change = Change {
            old: "b".to_owned(),
            new: "c".to_owned(),
            everywhere: false,
        };
        let (after, count) = change.apply(b"\xff\0b\xfe").unwrap();
        assert_eq!((after.as_slice(), count), (&b"\xff\0c\xfe"[..], 1));
    }

    proptest! {
        #[test]
        fn what_is_not_replaced_stays(before in "[ab\n]{0,40}", old in "[ab\n]{1,3}", new in "[cd]{0,3}") {
            if let Ok(after) = apply(&before, &old, &new, true) {
                prop_assert_eq!(after, before.replace(&old, &new));
            } else {
                prop_assert!(!before.contains(&old));
            }
        }
    }
}
