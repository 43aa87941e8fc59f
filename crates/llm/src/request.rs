//! Requests: what a model is asked.

use serde::{Deserialize, Deserializer, Serialize};

use crate::block::text_or_blocks;
use crate::{Block, Raw, Rest};

/// A request of the Messages API. It is always answered by a stream; `stream` is no field of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The model, by the upstream's name for it.
    pub model: String,
    /// Tokens that the answer has at most.
    pub max_tokens: u32,
    /// What the model is told before the conversation.
    #[serde(
        default,
        deserialize_with = "text_or_blocks",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub system: Vec<Block>,
    /// Tools that it may want called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Which of them it may, or must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// The conversation.
    pub messages: Vec<Turn>,
    /// Texts that end the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
    /// Values of the header `anthropic-beta`.
    #[serde(skip)]
    pub betas: Vec<&'static str>,
    /// Fields that only pass through to the Messages API: `thinking`, `temperature`, `metadata`, `output_config`, ….
    #[serde(flatten)]
    pub rest: Rest,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Whose.
    pub role: Role,
    /// What was said. A text alone is read as one block.
    #[serde(deserialize_with = "text_or_blocks")]
    pub content: Vec<Block>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, and the results of tools.
    User,
    /// The model.
    Assistant,
}

/// A tool that a model is offered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Tool {
    /// One that the caller runs.
    Custom(CustomTool),
    /// One that the upstream runs or defines, by its `type`.
    Other(Raw),
}

/// A tool that the caller runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomTool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its input.
    pub input_schema: Raw,
    /// Where the upstream may begin its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw>,
    /// Fields that only pass through.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Which tools the model may use, or must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it likes.
    Auto {
        /// At most one call in an answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    /// One of them at least.
    Any {
        /// Exactly one call in an answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    /// This one.
    Tool {
        /// Its name.
        name: String,
        /// Exactly one call in an answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    /// None.
    None,
}

impl Request {
    /// A request with a model, a bound and a conversation.
    pub fn new(model: impl Into<String>, max_tokens: u32, messages: Vec<Turn>) -> Self {
        Self {
            model: model.into(),
            max_tokens,
            system: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            messages,
            stop_sequences: Vec::new(),
            betas: Vec::new(),
            rest: Rest::none(),
        }
    }
}

impl Turn {
    /// What a person says.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: vec![Block::text(text)],
        }
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let raw = Raw::deserialize(deserializer)?;
        let read = |raw: &Raw| -> Result<Self, serde_json::Error> {
            let Kind { kind } = raw.read()?;
            if kind.is_none_or(|kind| kind == "custom") {
                Ok(Self::Custom(raw.read()?))
            } else {
                Ok(Self::Other(raw.clone()))
            }
        };
        read(&raw).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_it_was_read_with_texts_as_blocks() {
        let text = r#"{"model":"m","max_tokens":10,"system":"s","tools":[{"type":"custom","name":"a","input_schema":{"type":"object","b":1}},
            {"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"a"},
            "messages":[{"role":"user","content":"hi"}],"thinking":{"type":"adaptive"}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        let written = r#"{"model":"m","max_tokens":10,"system":[{"type":"text","text":"s"}],"tools":[{"name":"a","input_schema":{"type":"object","b":1}},{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"a"},"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"thinking":{"type":"adaptive"}}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), written);
    }
}
