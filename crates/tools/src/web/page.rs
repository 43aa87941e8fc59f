//! From what a server sent to what a model is shown.

use bailiwick_html::{decode, is_html};
use bailiwick_model::limits;
use url::Url;

use super::Fetched;
use crate::media::{self, Kind};
use crate::result::{ToolResult, printable};

/// Why an answer is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PageProblem {
    #[error("it is neither text nor a picture nor a PDF document ({0})")]
    Binary(String),
    #[error("it has {found} bytes, and {most} is the most that can be shown of its kind")]
    TooLarge { found: usize, most: usize },
}

pub(super) fn show(
    url: &Url,
    fetched: &Fetched,
    max_tokens: Option<u64>,
) -> Result<ToolResult, PageProblem> {
    let body = &fetched.body;
    let block = |block, most: usize| {
        if body.len() > most {
            let found = body.len();
            return Err(PageProblem::TooLarge { found, most });
        }
        Ok(ToolResult {
            content: vec![block],
            is_error: false,
        })
    };
    match Kind::of(body) {
        Kind::Image(media_type) => block(media::image(media_type, body), limits::TOOL_IMAGE_BYTES),
        Kind::Pdf => block(media::document(body), limits::TOOL_DOCUMENT_BYTES),
        Kind::Binary => {
            let kind = fetched.media_type.as_deref().unwrap_or("no Content-Type");
            Err(PageProblem::Binary(printable(kind.as_bytes())))
        }
        Kind::Text => text(url, fetched, max_tokens),
    }
}

fn text(url: &Url, fetched: &Fetched, max_tokens: Option<u64>) -> Result<ToolResult, PageProblem> {
    let media_type = fetched.media_type.as_deref().unwrap_or_default();
    let decoded = decode(Some(media_type), &fetched.body);
    let text = if is_html(media_type, &decoded) {
        if decoded.len() > limits::WEB_HTML_BYTES {
            return Err(PageProblem::TooLarge {
                found: decoded.len(),
                most: limits::WEB_HTML_BYTES,
            });
        }
        bailiwick_html::text(&decoded)
    } else {
        decoded.into_owned()
    };
    let text = printable(text.as_bytes());
    let shown = beginning(text.trim_end(), max_tokens);
    let mut remarks = format!("[fetched from {url}]");
    if shown.len() < text.trim_end().len() {
        remarks = format!(
            "[fetched from {url}; this is the beginning, {} of {} bytes of text]",
            shown.len(),
            text.len()
        );
    }
    Ok(ToolResult::text(shown).and(remarks))
}

/// At most so many tokens, and what a result may have.
fn beginning(text: &str, max_tokens: Option<u64>) -> &str {
    let most = max_tokens
        .and_then(|tokens| usize::try_from(tokens).ok())
        .map_or(limits::TOOL_OUTPUT_CHARS, |tokens| {
            tokens
                .saturating_mul(limits::WEB_TOKEN_BYTES)
                .min(limits::TOOL_OUTPUT_CHARS)
        });
    &text[..text.floor_char_boundary(most)]
}
