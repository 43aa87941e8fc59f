//! The tool `read`.

use std::path::{Path, PathBuf};

use bailiwick_model::limits;
use bailiwick_runtime::{Error, FileKind, PathProblem};
use serde_json::Value;

use crate::input::{Fields, InputProblem};
use crate::inside::Inside;
use crate::media::{self, Kind};
use crate::result::ToolResult;
use crate::{Trouble, absolute};

/// What is asked of it.
pub(crate) struct Request {
    path: String,
    range: Option<[i64; 2]>,
}

impl Request {
    pub(crate) fn read(input: Value) -> Result<Self, InputProblem> {
        let mut fields = Fields::new(input)?;
        let path = fields.path("file_path")?;
        let range = fields.optional_range("view_range")?;
        fields.done()?;
        if let Some([first, last]) = range
            && (first < 1 || (last > 0 && last < first))
        {
            let (field, found) = ("view_range", if first < 1 { first } else { last });
            let least = if first < 1 { 1 } else { first };
            return Err(InputProblem::OutOfRange {
                field,
                found,
                least,
                most: i64::MAX,
            });
        }
        Ok(Self { path, range })
    }
}

pub(crate) async fn run(
    inside: &dyn Inside,
    directory: &Path,
    request: Request,
) -> Result<ToolResult, Trouble> {
    let path = absolute(directory, &request.path);
    let contents = contents(inside, &path).await?;
    match Kind::of(&contents) {
        Kind::Image(media_type) if contents.len() <= limits::TOOL_IMAGE_BYTES => Ok(ToolResult {
            content: vec![media::image(media_type, &contents)],
            is_error: false,
        }),
        Kind::Image(media_type) => Err(too_large(
            media_type,
            contents.len(),
            limits::TOOL_IMAGE_BYTES,
        )),
        Kind::Pdf if contents.len() <= limits::TOOL_DOCUMENT_BYTES => Ok(ToolResult {
            content: vec![media::document(&contents)],
            is_error: false,
        }),
        Kind::Pdf => Err(too_large(
            "PDF document",
            contents.len(),
            limits::TOOL_DOCUMENT_BYTES,
        )),
        Kind::Binary => Err(Trouble::Told(format!(
            "{} holds no text ({} bytes with NUL among them); look at it with `bash`, for instance `file` or `xxd`",
            path.display(),
            contents.len()
        ))),
        Kind::Text => text(&contents, request.range),
    }
}

/// All of a file that is not too large to be looked at.
pub(crate) async fn contents(inside: &dyn Inside, path: &Path) -> Result<Vec<u8>, Trouble> {
    let read = inside.read(path, limits::TOOL_FILE_BYTES).await;
    match read {
        Err(Error::Path {
            problem: PathProblem::TooLarge,
            ..
        }) => Err(Trouble::Told(format!(
            "{} has more than {} bytes; take a part of it with `bash`, for instance `head` or `sed -n`",
            path.display(),
            limits::TOOL_FILE_BYTES
        ))),
        Err(Error::Path {
            problem: PathProblem::NotAFile,
            ..
        }) => Err(Trouble::Told(not_a_file(inside, path).await)),
        other => Ok(other?),
    }
}

async fn not_a_file(inside: &dyn Inside, path: &Path) -> String {
    let shown = path.display();
    match inside.look_at(path).await {
        Ok(entry) if entry.kind == FileKind::Directory => {
            format!("{shown} is a directory; list it with `glob` or `bash`")
        }
        Ok(_) | Err(_) => format!("{shown} is no regular file"),
    }
}

fn too_large(what: &str, found: usize, most: usize) -> Trouble {
    Trouble::Told(format!(
        "this {what} has {found} bytes, and {most} is the most that can be shown; make it smaller with `bash`"
    ))
}

fn text(contents: &[u8], range: Option<[i64; 2]>) -> Result<ToolResult, Trouble> {
    let part = match range {
        Some(range) => lines(contents, range)?,
        None => contents,
    };
    if part.len() > limits::TOOL_TEXT_BYTES {
        let lines = contents.split_inclusive(|byte| *byte == b'\n').count();
        return Err(Trouble::Told(format!(
            "that is {} bytes of text, and {} is the most that is shown at once; the file has {lines} lines: give a (shorter) view_range",
            part.len(),
            limits::TOOL_TEXT_BYTES
        )));
    }
    // A NUL further in than binary files have their first.
    let text = String::from_utf8_lossy(part).replace('\0', "\u{2400}");
    Ok(ToolResult::text(text))
}

/// The lines of a range; its end may lie behind that of the file.
fn lines(contents: &[u8], [first, last]: [i64; 2]) -> Result<&[u8], Trouble> {
    let skipped = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
    let wanted = match usize::try_from(last) {
        Ok(last @ 1..) => last.saturating_sub(skipped),
        Ok(0) | Err(_) => usize::MAX,
    };
    let ends = || {
        let lines = contents.split_inclusive(|byte| *byte == b'\n');
        lines.scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        })
    };
    let start = match skipped {
        0 => 0,
        skipped => match ends().nth(skipped - 1) {
            Some(start) if start < contents.len() => start,
            Some(_) | None => {
                let lines = ends().count();
                return Err(Trouble::Told(format!(
                    "the file has {lines} lines; the range begins at line {first}"
                )));
            }
        },
    };
    let end = ends()
        .nth(skipped.saturating_add(wanted).saturating_sub(1))
        .unwrap_or(contents.len());
    Ok(contents.get(start..end).unwrap_or_default())
}

/// For messages of the tools that read a file first.
pub(crate) fn shown(path: &Path) -> String {
    crate::result::printable(PathBuf::from(path).as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(contents: &str, first: i64, last: i64) -> String {
        match lines(contents.as_bytes(), [first, last]) {
            Ok(part) => String::from_utf8_lossy(part).into_owned(),
            Err(Trouble::Told(text)) => text,
            Err(Trouble::Input(_) | Trouble::Sandbox(_)) => "other".to_owned(),
        }
    }

    #[test]
    fn lines_count_from_one_and_to_the_end() {
        assert_eq!(range("a\nb\nc\n", 1, 1), "a\n");
        assert_eq!(range("a\nb\nc\n", 2, 3), "b\nc\n");
        assert_eq!(range("a\nb\nc", 3, 3), "c");
        assert_eq!(range("a\nb\nc\n", 2, -1), "b\nc\n");
        assert_eq!(range("a\nb\nc\n", 2, 0), "b\nc\n");
        assert_eq!(range("a\nb\nc\n", 1, 99), "a\nb\nc\n");
        assert_eq!(range("", 1, 5), "");
        assert_eq!(
            range("a\nb\n", 3, 5),
            "the file has 2 lines; the range begins at line 3"
        );
    }
}
