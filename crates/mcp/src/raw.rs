//! JSON that is passed on as it came: its parts are found in one pass, and not read. What has to be read is counted first.

use std::borrow::Cow;
use std::fmt;

use bailiwick_model::limits::{MCP_ANSWER_VALUES, MCP_GATEWAY_DEPTH};
use hyper::body::Bytes;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The part of a message that this value is.
///
/// `value` was read from `whole` itself, so no byte is copied.
pub(crate) fn part(whole: &Bytes, value: &RawValue) -> Bytes {
    whole.slice_ref(value.get().as_bytes())
}

/// An optional field that is there, be it `null`.
pub(crate) fn there<'de, D>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error>
where
    D: Deserializer<'de>,
{
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whether JSON has no more objects and lists inside one another than anybody needs. Whoever passes it on reads it without recursion; whoever
/// gets it may not.
pub(crate) fn is_shallow(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    outside_texts(json).all(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= MCP_GATEWAY_DEPTH
    })
}

/// Whether JSON has at most [`MCP_ANSWER_VALUES`] values: what is read into values takes up to a hundred times its bytes.
pub(crate) fn has_few_values(json: &[u8]) -> bool {
    // Each value follows one of these, but for the first.
    let begins = outside_texts(json).filter(|byte| matches!(byte, b',' | b'[' | b'{'));
    begins.take(MCP_ANSWER_VALUES).count() < MCP_ANSWER_VALUES
}

/// What a server sent, read into values, if there are few enough.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    has_few_values(json).then(|| serde_json::from_slice(json).ok())?
}

/// The bytes of JSON that are not in its texts.
fn outside_texts(json: &[u8]) -> impl Iterator<Item = u8> {
    let (mut in_text, mut is_escaped) = (false, false);
    json.iter().copied().filter(move |byte| {
        match (in_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            (true, _) => {}
            (false, _) => return true,
        }
        false
    })
}

/// The fields of an object, in their order.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    /// Of an object; `None` of anything else.
    pub(crate) fn of(object: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(object).ok()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| *value)
    }

    /// A field that is text.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let key: Key<'a> = serde_json::from_str(self.get(name)?.get()).ok()?;
        Some(key.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, name: Cow<'a, str>, value: &'a RawValue) {
        self.0.push((name, value));
    }

    /// The same without these.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(key, _)| !names.contains(&&**key));
        self
    }

    /// With another value in the place of one that is there.
    pub(crate) fn with(mut self, name: &str, value: &'a RawValue) -> Self {
        let found = self.0.iter_mut().find(|(key, _)| key == name);
        if let Some((_, old)) = found {
            *old = value;
        }
        self
    }

    /// Writes them into an object that was begun and has fields already if `has_fields` says so.
    pub(crate) fn write_into(&self, out: &mut Vec<u8>, mut has_fields: bool) {
        for (name, value) in &self.0 {
            if has_fields {
                out.push(b',');
            }
            has_fields = true;
            write_text(out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
    }

    /// The object of them.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        self.write_into(&mut out, false);
        out.push(b'}');
        out
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Key(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

/// Writes a text as JSON.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("memory takes any text");
}

/// A text as JSON.
pub(crate) fn raw_text(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("any text is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_their_bytes() {
        let fields = Fields::of(br#"{"b": 1e400, "a\u0062": [1,  2], "c": null}"#).unwrap();
        assert_eq!(fields.text("b"), None);
        assert_eq!(fields.get("ab").unwrap().get(), "[1,  2]");
        let two = raw_text("x\"");
        let written = fields.with("b", &two).without(&["c"]).whole();
        assert_eq!(written, br#"{"b":"x\"","ab":[1,  2]}"#);
        assert!(Fields::of(b"[]").is_none() && Fields::of(b"{} x").is_none());
    }

    #[test]
    fn brackets_in_texts_are_no_depth() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_shallow(deep(MCP_GATEWAY_DEPTH).as_bytes()));
        assert!(!is_shallow(deep(MCP_GATEWAY_DEPTH + 1).as_bytes()));
        let text = format!(r#"["\"{}\\"]"#, "[".repeat(MCP_GATEWAY_DEPTH * 2));
        assert!(is_shallow(text.as_bytes()));
    }

    #[test]
    fn values_are_counted_before_they_are_read() {
        let many = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        let objects = |count: usize| format!("[{}]", vec![r#"{"":0}"#; count].join(","));
        let text = format!(r#"["\"{}"]"#, ",[{".repeat(MCP_ANSWER_VALUES));
        let few = [
            many(MCP_ANSWER_VALUES - 1),
            objects(MCP_ANSWER_VALUES / 2 - 1),
            text,
        ];
        for few in few {
            assert!(read::<serde_json::Value>(few.as_bytes()).is_some());
        }
        for much in [many(MCP_ANSWER_VALUES), objects(MCP_ANSWER_VALUES / 2)] {
            assert!(serde_json::from_str::<serde_json::Value>(&much).is_ok());
            assert!(read::<serde_json::Value>(much.as_bytes()).is_none());
        }
    }
}
