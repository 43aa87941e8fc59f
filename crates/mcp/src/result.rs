//! What a call of a tool came to.

use bailiwick_model::limits::{MCP_RESULT_BLOCKS, TOOL_IMAGE_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult {
    /// What a model can be shown of it; at least one block.
    pub content: Vec<Content>,
    /// Whether the tool says that it failed.
    pub is_error: bool,
}

/// A part of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, never empty.
    Text(String),
    /// A picture of a kind that models take.
    Image {
        /// `image/png`, and so on.
        media_type: String,
        /// Base64 of at most [`TOOL_IMAGE_BYTES`] bytes.
        data: String,
    },
}

/// What models take.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

impl CallResult {
    /// Of the result of `tools/call`.
    pub(crate) fn of(result: &Map<String, Value>) -> Self {
        let blocks = result.get("content").and_then(Value::as_array);
        let blocks = blocks.map(Vec::as_slice).unwrap_or_default();
        let mut content: Vec<_> = blocks
            .iter()
            .take(MCP_RESULT_BLOCKS)
            .filter_map(block)
            .collect();
        // Servers say the same in both; those of one alone are understood too.
        if content.is_empty()
            && let Some(structured) = result.get("structuredContent")
        {
            content.push(Content::Text(structured.to_string()));
        }
        if blocks.len() > MCP_RESULT_BLOCKS {
            let more = blocks.len() - MCP_RESULT_BLOCKS;
            content.push(Content::Text(format!("[{more} more blocks are left out]")));
        }
        if content.is_empty() {
            content.push(Content::Text("[no output]".to_owned()));
        }
        Self {
            content,
            is_error: result.get("isError") == Some(&Value::Bool(true)),
        }
    }
}

fn block(block: &Value) -> Option<Content> {
    let text = |key: &str| block[key].as_str().unwrap_or_default();
    match text("type") {
        "text" => said(text("text")),
        "image" => Some(image(text("mimeType"), text("data"))),
        "resource_link" => Some(Content::Text(format!(
            "[a resource: {} {}]",
            text("name"),
            text("uri")
        ))),
        "resource" => resource(&block["resource"]),
        other => Some(left_out(other)),
    }
}

/// No upstream takes an empty text.
fn said(text: &str) -> Option<Content> {
    (!text.trim().is_empty()).then(|| Content::Text(text.to_owned()))
}

fn image(media_type: &str, data: &str) -> Content {
    let is_usual = IMAGES.contains(&media_type);
    match STANDARD.decode(data) {
        Ok(bytes) if is_usual && !bytes.is_empty() && bytes.len() <= TOOL_IMAGE_BYTES => {
            Content::Image {
                media_type: media_type.to_owned(),
                data: data.to_owned(),
            }
        }
        Ok(_) | Err(_) => left_out("image"),
    }
}

fn resource(resource: &Value) -> Option<Content> {
    let uri = resource["uri"].as_str().unwrap_or_default();
    match resource["text"].as_str() {
        Some(text) => said(text),
        None => Some(left_out(&format!("resource {uri}"))),
    }
}

/// That there is something which a model cannot be shown.
fn left_out(what: &str) -> Content {
    let what: String = what.chars().filter(|c| !c.is_control()).take(200).collect();
    Content::Text(format!("[left out: {what}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(result: &Value, expect: &[&str]) -> CallResult {
        let result = CallResult::of(result.as_object().unwrap());
        let shown: Vec<_> = result
            .content
            .iter()
            .map(|content| match content {
                Content::Text(text) => text.clone(),
                Content::Image { media_type, .. } => media_type.clone(),
            })
            .collect();
        assert_eq!(shown, expect);
        result
    }

    #[test]
    fn a_model_is_shown_texts_and_pictures_and_told_of_the_rest() {
        let result = json!({"isError": true, "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": ""},
            {"type": "image", "mimeType": "image/png", "data": "aGk="},
            {"type": "image", "mimeType": "image/svg+xml", "data": "aGk="},
            {"type": "image", "mimeType": "image/png", "data": "!"},
            {"type": "audio", "data": "aGk="},
            {"type": "resource_link", "name": "n", "uri": "x://y"},
            {"type": "resource", "resource": {"uri": "x://z", "text": "inside"}},
            {"type": "resource", "resource": {"uri": "x://z", "blob": "aGk="}},
            {"type": "\u{1b}[2J"}, 7,
        ]});
        let expect = [
            "a",
            "image/png",
            "[left out: image]",
            "[left out: image]",
            "[left out: audio]",
            "[a resource: n x://y]",
            "inside",
            "[left out: resource x://z]",
            "[left out: [2J]",
            "[left out: ]",
        ];
        assert!(check(&result, &expect).is_error);
    }

    #[test]
    fn there_is_always_something() {
        assert!(!check(&json!({}), &["[no output]"]).is_error);
        check(&json!({"structuredContent": {"a": 1}}), &[r#"{"a":1}"#]);
        let many: Vec<_> = (0..MCP_RESULT_BLOCKS + 2)
            .map(|_| json!({"type": "audio"}))
            .collect();
        let result = CallResult::of(json!({"content": many}).as_object().unwrap());
        let last = Content::Text("[2 more blocks are left out]".to_owned());
        assert_eq!(result.content.last(), Some(&last));
    }
}
