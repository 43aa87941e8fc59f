//! Tools that the client runs.

use bailiwick_model::limits;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::tools::BUILT_IN;
use crate::request::{Fields, Place, Reader};

/// A tool that the client runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomTool {
    /// Unique among the tools of the agent.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// What it takes: a JSON schema of an object.
    pub input_schema: Value,
}

/// What tools of MCP servers are called to models.
const MCP_PREFIX: &str = "mcp__";
/// What providers of models do not take at the top of a schema.
const COMBINATORS: [&str; 3] = ["oneOf", "anyOf", "allOf"];

impl CustomTool {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.required(reader, "name");
        let description = fields.required(reader, "description");
        let schema = fields.required(reader, "input_schema");
        let name = name.and_then(|place| name_of(reader, &place));
        let description =
            description.and_then(|place| reader.text(&place, 1..=limits::TOOL_DESCRIPTION_CHARS));
        let schema = schema.and_then(|place| schema_of(reader, &place));
        Some(Self {
            name: name?,
            description: description?.to_owned(),
            input_schema: schema?,
        })
    }
}

fn name_of(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let name = reader.text(place, 1..=limits::TOOL_NAME_CHARS)?;
    let wrong = if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    {
        "a tool's name has letters, digits, `_` and `-`"
    } else if BUILT_IN.iter().any(|(built_in, _)| *built_in == name) {
        "a tool that is built in has this name"
    } else if name.starts_with(MCP_PREFIX) {
        "`mcp__` is for the tools of MCP servers"
    } else {
        return Some(name.to_owned());
    };
    reader.refuse(&place.path, "invalid_name", wrong, "choose another name");
    None
}

/// A schema that every provider of models takes. Keywords that nothing is said of here are passed on.
fn schema_of(reader: &mut Reader, place: &Place<'_>) -> Option<Value> {
    let Value::Object(map) = place.value else {
        return reader.object(place, |_, _| None);
    };
    let mut refuse = |field: &str, message: String| {
        let path = format!("{}.{field}", place.path);
        let help = "write out an object with `properties`";
        reader.refuse(&path, "invalid_schema", message, help);
    };
    match map.get("type") {
        None | Some(Value::Null) => {}
        Some(kind) if kind == "object" => {}
        Some(_) => refuse("type", "a tool takes an object".to_owned()),
    }
    for combinator in COMBINATORS.iter().filter(|key| map.contains_key(**key)) {
        let message = format!("`{combinator}` cannot stand at the top of a tool's schema");
        refuse(combinator, message);
    }
    match map.get("properties") {
        None | Some(Value::Null) => {}
        Some(Value::Object(properties)) => {
            for name in properties.keys().filter(|name| !is_property_name(name)) {
                let most = limits::TOOL_PROPERTY_CHARS;
                let message = format!(
                    "{name:?}: a property's name has 1 to {most} letters, digits, `_`, `.` and `-`"
                );
                refuse("properties", message);
            }
        }
        Some(_) => refuse("properties", "is an object".to_owned()),
    }
    match map.get("required") {
        None | Some(Value::Null) => {}
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {}
        Some(_) => refuse("required", "is a list of names".to_owned()),
    }
    if has_reference(place.value) {
        refuse("$ref", "`$ref` is not followed".to_owned());
    }
    Some(Value::Object(normal(map)))
}

fn normal(map: &Map<String, Value>) -> Map<String, Value> {
    let mut schema = map.clone();
    schema.insert("type".to_owned(), json!("object"));
    for key in ["properties", "required"] {
        if schema.get(key).is_some_and(Value::is_null) {
            schema.remove(key);
        }
    }
    schema
}

fn is_property_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=limits::TOOL_PROPERTY_CHARS).contains(&name.len()) && name.bytes().all(fits)
}

/// Nested no deeper than the parser of JSON takes, which is 128.
fn has_reference(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(map) => map.contains_key("$ref") || map.values().any(has_reference),
    }
}
