//! Taking secrets out of what others sent.

use std::borrow::Cow;

use hyper::body::Bytes;
use memchr::memmem;
use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::raw::write_text;

/// What stands where a secret was.
const REDACTED: &[u8] = b"[redacted]";

/// What must not be shown, in every form in which it was sent.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Zeroizing<Vec<u8>>>);

impl Secrets {
    /// One more, if there is anything of it.
    pub(crate) fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        self.0.push(Zeroizing::new(secret.as_bytes().to_vec()));
        let encoded = form_encoded(secret);
        if *encoded != *secret {
            self.0.push(Zeroizing::new(encoded.as_bytes().to_vec()));
        }
        // The longest first: one may be a part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Bytes of the longest.
    pub(crate) fn longest(&self) -> usize {
        self.0.first().map_or(0, |secret| secret.len())
    }

    /// The bytes without them.
    pub(crate) fn redact<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let found = |at: usize| self.0.iter().find(|secret| bytes[at..].starts_with(secret));
        if !(0..bytes.len()).any(|at| found(at).is_some()) {
            return Cow::Borrowed(bytes);
        }
        let (mut clean, mut at) = (Vec::with_capacity(bytes.len()), 0);
        while at < bytes.len() {
            match found(at) {
                Some(secret) => {
                    clean.extend_from_slice(REDACTED);
                    at += secret.len();
                }
                None => {
                    clean.push(bytes[at]);
                    at += 1;
                }
            }
        }
        Cow::Owned(clean)
    }

    /// JSON without them, in texts and in names of fields. It is read only where one of them may be in it. `None` if it is not JSON then.
    ///
    /// Everything but the texts that have one stays as it was. No value is made of it: what a stranger wrote may take eighty times its bytes so.
    pub(crate) fn redact_raw(&self, json: Bytes) -> Option<Bytes> {
        if !self.may_be_in(&json) {
            return Some(json);
        }
        let _: IgnoredAny = serde_json::from_slice(&json).ok()?;
        let (mut clean, mut rest) = (Vec::with_capacity(json.len()), &json[..]);
        while let Some(at) = memchr::memchr(b'"', rest) {
            let (before, from) = rest.split_at(at);
            let (text, after) = from.split_at(text_bytes(from));
            clean.extend_from_slice(before);
            let plain: Text<'_> = serde_json::from_slice(text).ok()?;
            match self.redact(plain.0.as_bytes()) {
                Cow::Borrowed(_) => clean.extend_from_slice(text),
                Cow::Owned(plain) => write_text(&mut clean, &String::from_utf8_lossy(&plain)),
            }
            rest = after;
        }
        clean.extend_from_slice(rest);
        Some(clean.into())
    }

    fn may_be_in(&self, json: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let has = |bytes: &[u8]| memmem::find(json, bytes).is_some();
        // Any letter may be written as an escape; slashes, quotes and backslashes have others besides.
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !br#""\/"#.contains(byte);
        let is_plain = self.0.iter().all(|secret| secret.iter().all(is_plain));
        let is_hidden = if is_plain { has(br"\u") } else { has(br"\") };
        is_hidden || self.0.iter().any(|secret| has(secret))
    }

    /// JSON without them, in texts and in names of fields.
    pub(crate) fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.redact_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => {
                for (mut name, mut value) in std::mem::take(fields) {
                    self.redact_text(&mut name);
                    self.redact_json(&mut value);
                    fields.insert(name, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn redact_text(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.redact(text.as_bytes()) {
            *text = String::from_utf8_lossy(&clean).into_owned();
        }
    }
}

/// A text of JSON, without its escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The bytes of the text that JSON begins with, its quotes included.
fn text_bytes(json: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = json.iter().skip(1).position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 2)
}

/// As `application/x-www-form-urlencoded` writes it.
pub(crate) fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(all: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        all.iter().for_each(|secret| secrets.add(secret));
        secrets
    }

    #[test]
    fn secrets_go_in_every_form_in_which_they_were_sent() {
        let secrets = secrets(&["to/ken", "to", ""]);
        let clean = secrets.redact(b"a to/ken b to%2Fken c tok d");
        assert_eq!(
            String::from_utf8_lossy(&clean),
            "a [redacted] b [redacted] c [redacted]k d"
        );
        assert_eq!(&*secrets.redact(b"nothing"), b"nothing");
    }

    #[test]
    fn secrets_go_from_json_however_it_was_written() {
        let mut value =
            serde_json::from_str(r#"{"a": ["x t\u006fken y", 1], "token": {"b": "ok"}}"#).unwrap();
        secrets(&["token"]).redact_json(&mut value);
        let clean = serde_json::json!({"a": ["x [redacted] y", 1], "[redacted]": {"b": "ok"}});
        assert_eq!(value, clean);
    }

    #[test]
    fn json_is_read_only_where_a_secret_may_be_in_it() {
        let check = |secret: &str, json: &'static str, expect: &str| {
            let clean = secrets(&[secret]).redact_raw(Bytes::from_static(json.as_bytes()));
            assert_eq!(&clean.unwrap()[..], expect.as_bytes(), "{secret} in {json}");
        };
        let untouched = r#"{ "a" : "b\nc", "d": 1e400 }"#;
        check("token", untouched, untouched);
        check("token", r#"["t\u006fken"]"#, r#"["[redacted]"]"#);
        check("to/ken", r#"["to\/ken"]"#, r#"["[redacted]"]"#);
        check("to\"ken", r#"["to\"ken"]"#, r#"["[redacted]"]"#);
        check("to ken", r#"["to+ken"]"#, r#"["[redacted]"]"#);
        // What is beside a secret stays as it was.
        check(
            "token",
            r#"{ "a\\" : "\n\"token", "d": 1e400, "token":[ ] }"#,
            r#"{ "a\\" : "\n\"[redacted]", "d": 1e400, "[redacted]":[ ] }"#,
        );
        for broken in ["token", r#"["token""#, r#"["\ud800 tok\u0065n"]"#] {
            let broken = Bytes::from_static(broken.as_bytes());
            assert!(secrets(&["token"]).redact_raw(broken).is_none());
        }
    }

    proptest! {
        #[test]
        fn json_is_as_clean_as_the_value_that_it_is(
            words in proptest::collection::vec("(tok|en|token|\\\\|\"|/|é|u006b|\\n){0,6}", 1..6),
        ) {
            let mut value = Value::Null;
            for word in words {
                value = serde_json::json!([value, {word.clone(): word, "n": 1}]);
            }
            // As somebody writes it who hides a letter.
            let written = value.to_string().replace("tok", "t\\u006fk");
            let secrets = secrets(&["token", "tok/"]);
            let clean = secrets.redact_raw(Bytes::from(written)).unwrap();
            secrets.redact_json(&mut value);
            prop_assert_eq!(serde_json::from_slice::<Value>(&clean).unwrap(), value);
        }
    }
}
