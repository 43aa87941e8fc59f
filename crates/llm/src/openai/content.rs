//! Content.

use serde::{Deserialize, Serialize};

use super::Untranslatable;
use crate::{Block, Media, Raw};

/// A part of what a person says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Part<'r> {
    /// Text.
    Text { text: String },
    /// A picture.
    ImageUrl { image_url: ImageUrl },
    /// A PDF.
    File { file: File<'r> },
}

#[derive(Debug, Serialize)]
pub(crate) struct ImageUrl {
    url: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct File<'r> {
    filename: &'r str,
    file_data: String,
}

/// `source` of a picture or a document.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url {
        url: String,
    },
    Text {
        data: String,
    },
    #[serde(other)]
    Other,
}

/// A block of a person's; nothing for thinking, which is none.
pub(crate) fn part(block: &Block) -> Result<Option<Part<'_>>, Untranslatable> {
    Ok(Some(match block {
        Block::Text(text) => Part::Text {
            text: text.text.clone(),
        },
        Block::Image(media) => image(media)?,
        Block::Document(media) => document(media)?,
        Block::Thinking(_) | Block::RedactedThinking(_) => return Ok(None),
        Block::ToolUse(_) => {
            return Err(Untranslatable::Role {
                role: "user",
                block: "tool_use",
            });
        }
        Block::ToolResult(_) => {
            return Err(Untranslatable::Role {
                role: "user",
                block: "tool_result",
            });
        }
        Block::Other(raw) => return Err(unknown(raw)),
    }))
}

/// Blocks that can only be text, as one.
pub(crate) fn plain_text(blocks: &[Block]) -> Result<String, Untranslatable> {
    let text = |block: &Block| match part(block)? {
        Some(Part::Text { text }) => Ok(text),
        Some(Part::ImageUrl { .. }) => Err(Untranslatable::Block("image".to_owned())),
        Some(Part::File { .. }) => Err(Untranslatable::Block("document".to_owned())),
        None => Ok(String::new()),
    };
    let texts: Result<Vec<_>, _> = blocks.iter().map(text).collect();
    Ok(texts?.join("\n\n"))
}

pub(crate) fn unknown(raw: &Raw) -> Untranslatable {
    Untranslatable::Block(kind_of(raw))
}

pub(crate) fn kind_of(raw: &Raw) -> String {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    raw.read()
        .map_or_else(|_| String::new(), |Kind { kind }| kind)
}

fn image(media: &Media) -> Result<Part<'_>, Untranslatable> {
    let url = match media.source.read() {
        Ok(Source::Base64 { media_type, data }) => format!("data:{media_type};base64,{data}"),
        Ok(Source::Url { url }) => url,
        Ok(Source::Text { .. } | Source::Other) | Err(_) => return Err(source("image", media)),
    };
    Ok(Part::ImageUrl {
        image_url: ImageUrl { url },
    })
}

fn document(media: &Media) -> Result<Part<'_>, Untranslatable> {
    let title = media.rest.get("title").and_then(|title| title.as_str());
    match media.source.read() {
        Ok(Source::Base64 { media_type, data }) => Ok(Part::File {
            file: File {
                filename: title.unwrap_or("document.pdf"),
                file_data: format!("data:{media_type};base64,{data}"),
            },
        }),
        Ok(Source::Text { data }) => Ok(Part::Text {
            text: title.map_or_else(|| data.clone(), |title| format!("{title}\n\n{data}")),
        }),
        Ok(Source::Url { .. } | Source::Other) | Err(_) => Err(source("document", media)),
    }
}

fn source(kind: &'static str, media: &Media) -> Untranslatable {
    Untranslatable::Source {
        kind,
        source_type: kind_of(&media.source),
    }
}
