//! The bytes that go out: those that came, but for what has to be different.

use std::ops::Range;

use hyper::body::Bytes;

use super::asks::{Asks, AsksUsage};

/// The body for an upstream that calls the model so. It is the same memory where nothing is different.
pub(super) fn outgoing(body: &Bytes, asks: &Asks<'_>, model: Option<&str>) -> Bytes {
    let named = asks.model.as_ref().zip(model);
    let named = named.filter(|(asked, there)| asked.name != *there);
    let renamed = named.map(|(asked, there)| (asked.at.clone(), written(there)));
    let usage = match &asks.usage {
        AsksUsage::Anyway => None,
        AsksUsage::With(at, with) => Some((at.clone(), with.as_bytes().to_vec())),
    };
    match (renamed, usage) {
        (None, None) => body.clone(),
        (Some(edit), None) | (None, Some(edit)) => spliced(body, &[edit]),
        (Some(one), Some(other)) if one.0.start <= other.0.start => spliced(body, &[one, other]),
        (Some(one), Some(other)) => spliced(body, &[other, one]),
    }
}

fn written(name: &str) -> Vec<u8> {
    serde_json::to_vec(name).expect("a text can be written as JSON")
}

fn spliced(body: &[u8], edits: &[(Range<usize>, Vec<u8>)]) -> Bytes {
    let more: usize = edits.iter().map(|(_, with)| with.len()).sum();
    let mut out = Vec::with_capacity(body.len() + more);
    let mut from = 0;
    for (at, with) in edits {
        out.extend_from_slice(&body[from..at.start]);
        out.extend_from_slice(with);
        from = at.end;
    }
    out.extend_from_slice(&body[from..]);
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::proxy::{Endpoint, read};

    fn edited(body: &str, model: Option<&str>) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let asks = read(Endpoint::ChatCompletions, &body).unwrap();
        String::from_utf8(outgoing(&body, &asks, model).to_vec()).unwrap()
    }

    #[test]
    fn only_what_has_to_be_different_is() {
        let same = r#"{ "model" : "a", "messages":[] , "x": 1.50 }"#;
        assert_eq!(edited(same, None), same);
        assert_eq!(edited(same, Some("a")), same);
        let other = r#"{ "model" : "b\"c", "messages":[] , "x": 1.50 }"#;
        assert_eq!(edited(same, Some("b\"c")), other);
    }

    #[test]
    fn usage_is_asked_for_wherever_it_was_not() {
        for (body, out) in [
            (
                r#" {"stream":true,"model":"a"}"#,
                r#" {"stream_options":{"include_usage":true},"stream":true,"model":"a"}"#,
            ),
            (
                r#"{"stream":true,"stream_options":null,"model":"a"}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true},"model":"a"}"#,
            ),
            (
                r#"{"stream":true,"stream_options":{ },"model":"a"}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true },"model":"a"}"#,
            ),
            (
                r#"{"stream":true,"stream_options":{"x":1},"model":"a"}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true,"x":1},"model":"a"}"#,
            ),
            (
                r#"{"stream":true,"stream_options":{"include_usage": false},"model":"a"}"#,
                r#"{"stream":true,"stream_options":{"include_usage": true},"model":"a"}"#,
            ),
        ] {
            assert_eq!(edited(body, None), out);
        }
        for same in [
            r#"{"stream":true,"stream_options":{"include_usage": true},"model":"a"}"#,
            r#"{"stream":false,"model":"a"}"#,
            r#"{"model":"a","stream_options":{"include_usage":false}}"#,
        ] {
            assert_eq!(edited(same, None), same);
        }
    }

    proptest! {
        #[test]
        fn an_edited_body_says_the_same_but_for_the_edits(
            model in "\\PC{1,20}", other in "\\PC{1,20}",
            options in prop_oneof![Just(None), Just(Some(json!(null))), Just(Some(json!({}))),
                Just(Some(json!({"include_usage": false, "a": [1]}))), Just(Some(json!({"a": {"b": 1}, "include_usage": true})))],
        ) {
            let mut body = json!({"stream": true, "model": model, "messages": [{"role": "user", "content": "é\u{1f980}\""}]});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            let out: Value = serde_json::from_str(&edited(&body.to_string(), Some(&other))).unwrap();
            if !body["stream_options"].is_object() {
                body["stream_options"] = json!({});
            }
            body["stream_options"]["include_usage"] = true.into();
            body["model"] = other.into();
            prop_assert_eq!(out, body);
        }
    }
}
