//! What a tool answers: content blocks as the Messages API has them.

use bailiwick_model::limits;
use serde::Serialize;

/// The text of a result that has nothing to say.
pub(crate) const NO_OUTPUT: &str = "(no output)";

/// The result of one call, as a `tool_result` carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolResult {
    /// At least one block; no text is empty.
    pub content: Vec<Block>,
    /// Whether the call failed, in which case the text says why.
    pub is_error: bool,
}

/// A content block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// A text.
    Text {
        /// What it says.
        text: String,
    },
    /// An image.
    Image {
        /// Its bytes.
        source: Source,
    },
    /// A document.
    Document {
        /// Its bytes.
        source: Source,
    },
}

/// Bytes of a media type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "base64")]
pub struct Source {
    /// `image/png`, `application/pdf` and so on.
    pub media_type: &'static str,
    /// The bytes in base64.
    pub data: String,
}

impl ToolResult {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            content: vec![block(text.into())],
            is_error: false,
        }
    }

    pub(crate) fn error(problem: impl std::fmt::Display) -> Self {
        Self {
            content: vec![block(problem.to_string())],
            is_error: true,
        }
    }

    /// A further text, in a block of its own: what a program prints cannot pass for it.
    pub(crate) fn and(mut self, text: String) -> Self {
        if !text.is_empty() {
            self.content.push(block(text));
        }
        self
    }

    /// The texts of all blocks, each on lines of its own.
    pub fn as_text(&self) -> String {
        let texts = self.content.iter().filter_map(|block| match block {
            Block::Text { text } => Some(text.as_str()),
            Block::Image { .. } | Block::Document { .. } => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// The API refuses a text that is nothing but white space.
fn block(text: String) -> Block {
    let text = if text.trim().is_empty() {
        NO_OUTPUT.to_owned()
    } else {
        text
    };
    Block::Text { text }
}

/// What a program printed, as text that is safe to store and to show: invalid UTF-8 is replaced, and so is every control character but
/// tab and line feed, by its picture (U+2400 and the following), so that an escape sequence or a NUL is seen and does nothing.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => safe.push(character),
            // The end of a line of Windows, or of a progress bar's state.
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => safe.push('\n'),
            '\u{0}'..='\u{1f}' => {
                safe.extend(char::from_u32(0x2400 + u32::from(character)));
            }
            '\u{7f}' => safe.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => safe.push(char::REPLACEMENT_CHARACTER),
            // Marks that change the direction of what follows: it would be read otherwise than it is.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.push(char::REPLACEMENT_CHARACTER);
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// Whether a text is short enough to be a result.
pub(crate) fn fits(text: &str) -> bool {
    text.len() <= limits::TOOL_OUTPUT_CHARS || text.chars().count() <= limits::TOOL_OUTPUT_CHARS
}

/// The end of a text: at most so many characters.
pub(crate) fn last_chars(text: &str, count: usize) -> &str {
    match text.char_indices().rev().nth(count.saturating_sub(1)) {
        Some((at, _)) if count > 0 => &text[at..],
        Some(_) => "",
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_seen_and_do_nothing() {
        assert_eq!(
            printable(b"a\0b\x1b[31m\x07\r\nc\rd\x7f\xff\xc2\x9b"),
            "a\u{2400}b\u{241b}[31m\u{2407}\nc\nd\u{2421}\u{fffd}\u{fffd}"
        );
        assert_eq!(printable("tab\tä€𝄞\n".as_bytes()), "tab\tä€𝄞\n");
    }

    #[test]
    fn no_text_is_empty() {
        let result = ToolResult::text(" \n").and(String::new());
        assert_eq!(result.as_text(), NO_OUTPUT);
        assert_eq!(result.content.len(), 1);
    }

    #[test]
    fn an_end_is_cut_between_characters() {
        assert_eq!(last_chars("aäb", 2), "äb");
        assert_eq!(last_chars("aäb", 3), "aäb");
        assert_eq!(last_chars("aäb", 9), "aäb");
        assert_eq!(last_chars("aäb", 0), "");
    }

    #[test]
    fn blocks_have_the_form_of_the_messages_api() {
        let image = Block::Image {
            source: Source {
                media_type: "image/png",
                data: "AAAA".to_owned(),
            },
        };
        insta::assert_snapshot!(
            serde_json::to_string(&[block("x".to_owned()), image]).unwrap(),
            @r#"[{"type":"text","text":"x"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]"#
        );
    }
}
