//! What a provider would fetch for a request: images and documents that a message names by their URLs.

use std::fmt;

use memchr::memmem;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::NotARequest;

/// Where messages are, in each API.
const FIELDS: [&str; 5] = ["messages", "input", "system", "instructions", "prompt"];

/// What is in a message. An object has its fields as they are written: of two with one name, parsers differ in which they take.
enum Node {
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
    Other,
}

/// The URLs that messages name, of Anthropic's `source` of type `url`, and of OpenAI's `image_url` and `file_url`. What a program wrote into the
/// input of a tool is no such thing.
///
/// # Errors
///
/// [`NotARequest::Json`] for a body that nests deeper than can be read, or is no JSON.
pub fn fetched_urls(body: &[u8]) -> Result<Vec<String>, NotARequest> {
    // A key may be written with escapes.
    let may_have = |part: &[u8]| memmem::find(body, part).is_some();
    if !may_have(b"url\"") && !may_have(b"\\u") {
        return Ok(Vec::new());
    }
    let body = serde_json::from_slice(body).map_err(|error| NotARequest::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let mut urls = Vec::new();
    if let Node::Object(fields) = body {
        for (field, value) in fields {
            if FIELDS.contains(&field.as_str()) {
                value.name_urls(&mut urls);
            }
        }
    }
    Ok(urls)
}

impl Node {
    fn name_urls(self, urls: &mut Vec<String>) {
        match self {
            Self::List(list) => list.into_iter().for_each(|node| node.name_urls(urls)),
            Self::Object(fields) => in_object(fields, urls),
            Self::Text(_) | Self::Other => {}
        }
    }
}

fn in_object(fields: Vec<(String, Node)>, urls: &mut Vec<String>) {
    let mut kinds = fields.iter().filter(|(key, _)| key == "type");
    let is = |test: fn(&str) -> bool| move |(_, kind): &(String, Node)| matches!(kind, Node::Text(kind) if test(kind));
    let is_use =
        kinds.clone().count() > 0 && kinds.clone().all(is(|kind| kind.ends_with("tool_use")));
    let is_url = kinds.any(is(|kind| kind == "url"));
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("input", _) if is_use => {}
            ("image_url" | "file_url", Node::Text(url)) => found(url, urls),
            ("image_url" | "file_url", Node::Object(fields)) => {
                for (key, value) in fields {
                    match value {
                        Node::Text(url) if key == "url" => found(url, urls),
                        value @ (Node::Text(_) | Node::List(_) | Node::Object(_) | Node::Other) => {
                            value.name_urls(urls);
                        }
                    }
                }
            }
            ("url", Node::Text(url)) if is_url => found(url, urls),
            (_, value) => value.name_urls(urls),
        }
    }
}

/// What is in the request itself, nobody fetches.
fn found(url: String, urls: &mut Vec<String>) {
    let is_data = url
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    if !is_data {
        urls.push(url);
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut all = Vec::new();
        while let Some(field) = fields.next_entry()? {
            all.push(field);
        }
        Ok(Node::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(body: &Value) -> Vec<String> {
        fetched_urls(body.to_string().as_bytes()).unwrap()
    }

    fn said(content: &Value) -> Value {
        json!({"model": "m", "messages": [{"role": "user", "content": [content]}]})
    }

    #[test]
    fn what_a_provider_would_fetch_is_found_wherever_a_message_has_it() {
        let source = json!({"type": "url", "url": "https://a.example"});
        let image = json!({"type": "image", "source": source});
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [image]});
        let chat = json!({"type": "image_url", "image_url": {"url": "https://a.example"}});
        for content in [image, result, chat] {
            assert_eq!(of(&said(&content)), ["https://a.example"], "{content}");
        }
        let parts = json!([{"type": "input_image", "image_url": "https://a.example"}, {"type": "input_file", "file_url": "https://b.example"}]);
        let body = json!({"model": "m", "input": [{"role": "user", "content": parts}]});
        assert_eq!(of(&body), ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn a_key_with_escapes_is_the_same_key() {
        let body = br#"{"messages":[{"content":[{"source":{"typ\u0065":"url","\u0075rl":"https://a.example"}}]}]}"#;
        assert_eq!(fetched_urls(body).unwrap(), ["https://a.example"]);
    }

    #[test]
    fn a_field_that_is_there_twice_is_read_both_times() {
        let body = br#"{"messages":[{"content":[{"source":{"type":"text","type":"url","url":"https://a.example","url":"https://b.example"}},
            {"type":"tool_use","type":"image","input":{"image_url":"https://c.example"}}]}]}"#;
        let all = [
            "https://a.example",
            "https://b.example",
            "https://c.example",
        ];
        assert_eq!(fetched_urls(body).unwrap(), all);
    }

    #[test]
    fn the_input_of_a_tool_and_what_is_in_the_request_are_fetched_by_nobody() {
        let used = json!({"type": "tool_use", "id": "t", "name": "fetch", "input": {"type": "url", "url": "https://a.example"}});
        let data = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
        let told = json!({"type": "text", "text": "see \"image_url\": https://a.example"});
        let cited = json!({"type": "text", "text": "a", "citations": [{"type": "web_search_result_location", "url": "https://a.example"}]});
        for content in [used, data, told, cited] {
            assert_eq!(of(&said(&content)), [""; 0], "{content}");
        }
    }
}
