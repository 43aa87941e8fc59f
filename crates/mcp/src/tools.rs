//! The tools of a server, as far as a model may be offered them.

use std::collections::BTreeSet;

use bailiwick_model::limits::{
    MCP_DESCRIPTION_CHARS, MCP_SCHEMA_BYTES, MCP_SCHEMA_DEPTH, MCP_TOOLS, MCP_TOOLS_BYTES,
    TOOL_NAME_CHARS, TOOL_PROPERTY_CHARS,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool, as its server describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McpTool {
    /// What its server calls it: letters, digits, `_`, `-`, `.` and `/`.
    pub name: String,
    /// What it does; the server's words.
    pub description: Option<String>,
    /// JSON Schema of its input: an object.
    pub input_schema: Value,
}

/// What a server has.
#[derive(Debug, Default, PartialEq)]
pub struct Listing {
    /// In the server's order, each name once.
    pub tools: Vec<McpTool>,
    /// What it has besides.
    pub left_out: Vec<LeftOut>,
}

/// A tool that no model is offered.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, or the beginning of it.
    pub name: String,
    /// Why.
    pub reason: Unfit,
}

/// Why a tool is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its name is none.
    #[error("its name is not 1 to {TOOL_NAME_CHARS} letters, digits, _, -, . and /")]
    Name,
    /// There was one of this name.
    #[error("the server has two tools of this name")]
    Twice,
    /// Its input is not described as an object.
    #[error("its input has no schema of the type object")]
    NoObject,
    /// Model upstreams refuse every request that offers it.
    #[error(
        "its schema has oneOf, anyOf or allOf at the top, or an unusual name of a property, which models do not take"
    )]
    Refused,
    /// It refers to somewhere else.
    #[error("its schema refers to another document")]
    Reference,
    /// Its schema is too large.
    #[error(
        "its schema is longer than {MCP_SCHEMA_BYTES} bytes or deeper than {MCP_SCHEMA_DEPTH} levels"
    )]
    TooLarge,
    /// There are too many.
    #[error(
        "the server has more than {MCP_TOOLS} tools, or describes them in more than {MCP_TOOLS_BYTES} bytes"
    )]
    TooMany,
}

/// A listing that is being read, page after page.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    listing: Listing,
    names: BTreeSet<String>,
    bytes: usize,
}

impl Gathering {
    /// One more page.
    pub(crate) fn add(&mut self, tools: Vec<Value>) {
        for tool in tools {
            let name = tool["name"].as_str().unwrap_or_default();
            match self.judge(&tool) {
                Ok(tool) => self.listing.tools.push(tool),
                // Who has very many more is not told of each.
                Err(_) if self.listing.left_out.len() >= MCP_TOOLS => {}
                Err(reason) => {
                    let name = name.chars().filter(|c| !c.is_control());
                    self.listing.left_out.push(LeftOut {
                        name: name.take(TOOL_NAME_CHARS).collect(),
                        reason,
                    });
                }
            }
        }
    }

    pub(crate) fn whole(self) -> Listing {
        self.listing
    }

    fn judge(&mut self, tool: &Value) -> Result<McpTool, Unfit> {
        let name = tool["name"].as_str().unwrap_or_default();
        if !is_name(name) {
            return Err(Unfit::Name);
        }
        let schema = &tool["inputSchema"];
        let bytes = fit(schema)?;
        if self.names.contains(name) {
            return Err(Unfit::Twice);
        }
        let description = tool["description"].as_str().map(cut);
        let bytes = bytes + name.len() + description.as_ref().map_or(0, String::len);
        if self.listing.tools.len() >= MCP_TOOLS || self.bytes + bytes > MCP_TOOLS_BYTES {
            return Err(Unfit::TooMany);
        }
        self.bytes += bytes;
        self.names.insert(name.to_owned());
        Ok(McpTool {
            name: name.to_owned(),
            description,
            input_schema: schema.clone(),
        })
    }
}

fn is_name(name: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    (1..=TOOL_NAME_CHARS).contains(&name.len()) && name.bytes().all(is_usual)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MCP_DESCRIPTION_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Whether a model can be shown a schema; its bytes.
fn fit(schema: &Value) -> Result<usize, Unfit> {
    let Value::Object(fields) = schema else {
        return Err(Unfit::NoObject);
    };
    if schema["type"] != "object" {
        return Err(Unfit::NoObject);
    }
    if ["oneOf", "anyOf", "allOf"]
        .iter()
        .any(|key| fields.contains_key(*key))
    {
        return Err(Unfit::Refused);
    }
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_property = |name: &String| {
        (1..=TOOL_PROPERTY_CHARS).contains(&name.len()) && name.bytes().all(is_usual)
    };
    if let Some(properties) = fields.get("properties") {
        let properties = properties.as_object().ok_or(Unfit::Refused)?;
        if !properties.keys().all(is_property) {
            return Err(Unfit::Refused);
        }
    }
    let bytes = schema.to_string().len();
    if bytes > MCP_SCHEMA_BYTES || !is_shallow(schema, MCP_SCHEMA_DEPTH) {
        return Err(Unfit::TooLarge);
    }
    if !refers_to_itself(schema) {
        return Err(Unfit::Reference);
    }
    Ok(bytes)
}

fn is_shallow(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| levels > 0 && is_shallow(value, levels - 1);
    match value {
        Value::Object(fields) => levels > 0 && fields.values().all(below),
        Value::Array(items) => levels > 0 && items.iter().all(below),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Whether its references lead nowhere else.
fn refers_to_itself(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(key, value)| match value {
            Value::String(to) if key == "$ref" => to.starts_with('#'),
            Value::Object(_) | Value::Array(_) => refers_to_itself(value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }),
        Value::Array(items) => items.iter().all(refers_to_itself),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listing(tools: Value) -> Listing {
        let mut gathering = Gathering::default();
        let Value::Array(tools) = tools else {
            panic!("no list");
        };
        gathering.add(tools);
        gathering.whole()
    }

    #[track_caller]
    fn check(name: &str, schema: &Value, expect: Option<Unfit>) {
        let listing = listing(json!([{"name": name, "inputSchema": schema}]));
        let found = listing.left_out.first().map(|left_out| left_out.reason);
        assert_eq!(found, expect);
        assert_eq!(listing.tools.len(), usize::from(expect.is_none()));
    }

    #[test]
    fn a_tool_that_a_model_can_be_offered_is_kept_as_it_is() {
        let schema = json!({"type": "object", "properties": {"a.b": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"anyOf": [{"type": "null"}]}}});
        check("repo/read.file-1", &schema, None);
        check("a", &json!({"type": "object"}), None);
    }

    #[test]
    fn what_would_make_every_request_fail_is_left_out() {
        let object = || json!({"type": "object"});
        check("", &object(), Some(Unfit::Name));
        check("a b", &object(), Some(Unfit::Name));
        check("a\u{202e}", &object(), Some(Unfit::Name));
        check(
            &"a".repeat(TOOL_NAME_CHARS + 1),
            &object(),
            Some(Unfit::Name),
        );
        check("a", &Value::Null, Some(Unfit::NoObject));
        check("a", &json!({"type": "string"}), Some(Unfit::NoObject));
        check(
            "a",
            &json!({"type": "object", "oneOf": []}),
            Some(Unfit::Refused),
        );
        check(
            "a",
            &json!({"type": "object", "properties": {"a b": {}}}),
            Some(Unfit::Refused),
        );
        check(
            "a",
            &json!({"type": "object", "x": {"$ref": "https://example.com/"}}),
            Some(Unfit::Reference),
        );
        check(
            "a",
            &json!({"type": "object", "x": "a".repeat(MCP_SCHEMA_BYTES)}),
            Some(Unfit::TooLarge),
        );
        let mut deep = json!(1);
        for _ in 0..MCP_SCHEMA_DEPTH {
            deep = json!([deep]);
        }
        check(
            "a",
            &json!({"type": "object", "x": deep}),
            Some(Unfit::TooLarge),
        );
    }

    #[test]
    fn of_two_tools_of_one_name_the_first_counts() {
        let schema = json!({"type": "object"});
        let listing = listing(json!([
            {"name": "a", "description": "first", "inputSchema": schema},
            {"name": "a", "description": "second", "inputSchema": schema},
        ]));
        assert_eq!(listing.tools[0].description.as_deref(), Some("first"));
        assert_eq!(listing.tools.len(), 1);
        assert_eq!(listing.left_out[0].reason, Unfit::Twice);
    }

    #[test]
    fn many_tools_and_long_words_end_somewhere() {
        let tool = |at: usize| json!({"name": format!("t{at}"), "inputSchema": {"type": "object"}});
        let many = listing((0..MCP_TOOLS * 3).map(tool).collect());
        assert_eq!(many.tools.len(), MCP_TOOLS);
        assert_eq!(many.left_out.len(), MCP_TOOLS);
        let long = "ä".repeat(MCP_DESCRIPTION_CHARS + 1);
        let wordy = |at: usize| json!({"name": format!("t{at}"), "description": long, "inputSchema": {"type": "object"}});
        let wordy = listing((0..40).map(wordy).collect());
        let first = wordy.tools[0].description.as_ref().unwrap();
        assert_eq!(first.chars().count(), MCP_DESCRIPTION_CHARS + 1);
        assert_eq!(wordy.left_out[0].reason, Unfit::TooMany);
    }
}
