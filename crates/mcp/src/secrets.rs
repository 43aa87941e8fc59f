//! Taking secrets out of what others sent.

use std::borrow::Cow;

use serde_json::Value;
use zeroize::Zeroizing;

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

/// As `application/x-www-form-urlencoded` writes it.
pub(crate) fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
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
}
