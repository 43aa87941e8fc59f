//! What messages are made of: content blocks of the Messages API.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::Raw;

/// One content block, typed where somebody decides on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Text of a person or a model.
    Text(Text),
    /// What a model thought, signed by its upstream: it goes back as it came.
    Thinking(Thinking),
    /// The same, encrypted.
    RedactedThinking(RedactedThinking),
    /// A model wants a tool to be called.
    ToolUse(ToolUse),
    /// What came of it.
    ToolResult(ToolResult),
    /// A picture.
    Image(Media),
    /// A PDF or a text with a title.
    Document(Media),
    /// Any other: tools that the upstream itself runs, search results, and what is invented later.
    #[serde(untagged)]
    Other(Raw),
}

/// A block of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where the upstream may begin its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw>,
    /// Fields that only pass through, such as `citations`.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A block of thinking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thinking {
    /// The text; it may be empty where the upstream does not show it.
    pub thinking: String,
    /// The upstream's signature; empty where it signs nothing.
    #[serde(default)]
    pub signature: String,
    /// Fields that only pass through.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A block of encrypted thinking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedactedThinking {
    /// What only the upstream can read.
    pub data: String,
    /// Fields that only pass through.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolUse {
    /// By which its result refers to it.
    pub id: String,
    /// The tool's name, as the model wrote it.
    pub name: String,
    /// The input: any JSON; nobody has checked it.
    pub input: Raw,
    /// Where the upstream may begin its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw>,
    /// Fields that only pass through.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's id.
    pub tool_use_id: String,
    /// The result. A text alone is read as one block.
    #[serde(default, deserialize_with = "text_or_blocks")]
    pub content: Vec<Block>,
    /// Whether the call failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// Where the upstream may begin its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw>,
    /// Fields that only pass through.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A picture or a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// `{"type":"base64","media_type":…,"data":…}`, `{"type":"url","url":…}` and others.
    pub source: Raw,
    /// Where the upstream may begin its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw>,
    /// Fields that only pass through, such as `title`.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Fields that nobody here knows. They are written again, in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rest(Map<String, Value>);

impl Rest {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Adds to a list, which it makes if there is none.
    pub(crate) fn append(&mut self, name: &str, value: Value) {
        let list = self
            .0
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(value);
        } else {
            *list = Value::Array(vec![value]);
        }
    }

    /// Adds one, in place of one of the same name.
    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

impl<'de> Deserialize<'de> for Rest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        // A block's kind is its variant.
        fields.remove("type");
        Ok(Self(fields))
    }
}

impl Block {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text {
            text: text.into(),
            cache_control: None,
            rest: Rest::none(),
        })
    }

    /// The call, if it is one.
    pub fn as_call(&self) -> Option<&ToolUse> {
        match self {
            Self::ToolUse(call) => Some(call),
            Self::Text(_)
            | Self::Thinking(_)
            | Self::RedactedThinking(_)
            | Self::ToolResult(_)
            | Self::Image(_)
            | Self::Document(_)
            | Self::Other(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// By way of the text, since what serde buffers to find a tag is no raw JSON any more.
impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        Self::try_from(raw).map_err(D::Error::custom)
    }
}

impl TryFrom<Raw> for Block {
    type Error = serde_json::Error;

    fn try_from(raw: Raw) -> Result<Self, serde_json::Error> {
        let Kind { kind } = raw.read()?;
        Ok(match kind.as_str() {
            "text" => Self::Text(raw.read()?),
            "thinking" => Self::Thinking(raw.read()?),
            "redacted_thinking" => Self::RedactedThinking(raw.read()?),
            "tool_use" => Self::ToolUse(raw.read()?),
            "tool_result" => Self::ToolResult(raw.read()?),
            "image" => Self::Image(raw.read()?),
            "document" => Self::Document(raw.read()?),
            _ => Self::Other(raw),
        })
    }
}

/// Content as the wire has it: a text, or a list of blocks.
pub(crate) fn text_or_blocks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Block>, D::Error> {
    let raw = Raw::deserialize(deserializer)?;
    if raw.get().starts_with('"') {
        let text: String = raw.read().map_err(D::Error::custom)?;
        return Ok(vec![Block::text(text)]);
    }
    raw.read().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_written_as_it_was_read() {
        for text in [
            r#"{"type":"text","text":"a","cache_control":{"ttl":"1h","type":"ephemeral"}}"#,
            r#"{"type":"text","text":"a","citations":[{"a":1}]}"#,
            r#"{"type":"thinking","thinking":"a","signature":"c2ln"}"#,
            r#"{"type":"redacted_thinking","data":"ZGF0YQ"}"#,
            r#"{"type":"tool_use","id":"toolu_1","name":"bash","input":{"z":1.50,"a":[2,1]}}"#,
            r#"{"type":"tool_use","id":"toolu_1","name":"x","input":{},"caller":{"type":"direct"}}"#,
            r#"{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"a"}],"is_error":true}"#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}"#,
            r#"{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"},"title":"a"}"#,
            r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"q":"b","a":1}}"#,
        ] {
            let block: Block = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&block).unwrap(), text);
        }
    }

    #[test]
    fn a_text_alone_is_one_block() {
        let text = r#"{"type":"tool_result","tool_use_id":"a","content":"b"}"#;
        let Block::ToolResult(result) = serde_json::from_str(text).unwrap() else {
            panic!("another block");
        };
        assert_eq!(result.content, [Block::text("b")]);
    }
}
