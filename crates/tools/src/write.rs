//! The tool `write`.

use std::path::Path;

use bailiwick_model::limits;
use bailiwick_runtime::{Error, FileKind, PathProblem};
use serde_json::Value;

use crate::input::{Fields, InputProblem};
use crate::inside::Inside;
use crate::read::shown;
use crate::result::ToolResult;
use crate::{Trouble, absolute};

/// Permission bits of a file that did not exist.
const NEW_FILE_MODE: u32 = 0o644;

/// What is asked of it.
pub(crate) struct Request {
    path: String,
    content: String,
}

impl Request {
    pub(crate) fn read(input: Value) -> Result<Self, InputProblem> {
        let mut fields = Fields::new(input)?;
        let path = fields.path("file_path")?;
        let most = usize::try_from(limits::TOOL_FILE_BYTES).unwrap_or(usize::MAX);
        let content = fields.text("content", most)?;
        fields.done()?;
        Ok(Self { path, content })
    }
}

pub(crate) async fn run(
    inside: &dyn Inside,
    directory: &Path,
    request: Request,
) -> Result<ToolResult, Trouble> {
    let path = absolute(directory, &request.path);
    let bytes = request.content.len();
    replace(inside, &path, request.content.into_bytes()).await?;
    Ok(ToolResult::text(format!(
        "wrote {bytes} bytes to {}",
        shown(&path)
    )))
}

/// Writes a file with the permissions that it has.
pub(crate) async fn replace(
    inside: &dyn Inside,
    path: &Path,
    contents: Vec<u8>,
) -> Result<(), Trouble> {
    let mode = match inside.look_at(path).await {
        Ok(entry) => match entry.kind {
            FileKind::File => entry.mode,
            // Over a link, as a backend that looks into directories sees it, or nothing that can be written to.
            FileKind::Link | FileKind::Directory | FileKind::Other => NEW_FILE_MODE,
        },
        Err(Error::Path {
            problem: PathProblem::NotFound,
            ..
        }) => NEW_FILE_MODE,
        // It exists and may not be read: writing says what is to be said.
        Err(Error::Path { .. }) => NEW_FILE_MODE,
        Err(error) => return Err(error.into()),
    };
    Ok(inside.write(path, contents, mode).await?)
}
