//! From an upstream's answer that is none to its cause.

use std::time::Duration;

use bailiwick_model::limits::{LLM_ERROR_CHARS, LLM_RETRY_AFTER_MOST};
use hyper::HeaderMap;
use hyper::header::{DATE, RETRY_AFTER};
use serde::Deserialize;

use crate::{Secret, Told, UpstreamError};

/// What upstreams say when a conversation is too long: only some have a code for it. In lower case.
const TOO_LONG: [&str; 6] = [
    // Anthropic.
    "prompt is too long",
    "exceed context limit",
    // OpenAI's code, and the words of vLLM and others that speak its API.
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "exceeds the available context size",
];
/// What they say when nobody has paid.
const UNPAID: [&str; 3] = [
    "credit balance is too low",
    "insufficient_quota",
    "billing_error",
];

/// `{"error": {"type", "code", "message"}}`, of both APIs.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: BodyError,
    request_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum BodyError {
    Object {
        #[serde(rename = "type")]
        kind: Option<String>,
        code: Option<serde_json::Value>,
        message: Option<String>,
    },
    // Ollama and others.
    Text(String),
    #[default]
    Missing,
}

/// What an answer with an error's status says.
pub(crate) fn of_answer(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    key: Option<&Secret>,
) -> UpstreamError {
    let mut found = read(body, key);
    let id = ["request-id", "x-request-id"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok());
    found.told.request_id = id.map(|id| shortened(id, key)).or(found.told.request_id);
    classify(status, found, retry_after(headers))
}

/// What an error within a stream says: there the kind is all that tells.
pub(crate) fn of_event(data: &str, key: Option<&Secret>) -> UpstreamError {
    let found = read(data.as_bytes(), key);
    let status = match found.told.kind.as_deref() {
        Some("overloaded_error") => 529,
        Some("rate_limit_error" | "rate_limit_exceeded") => 429,
        Some("invalid_request_error") => 400,
        Some("authentication_error") => 401,
        Some("billing_error") => 402,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("request_too_large") => 413,
        Some(_) | None => 500,
    };
    classify(status, found, None)
}

struct Found {
    told: Told,
    code: Option<String>,
}

impl Found {
    fn says(&self, phrases: &[&str]) -> bool {
        let message = self.told.message.to_ascii_lowercase();
        let words = [Some(&message), self.told.kind.as_ref(), self.code.as_ref()];
        let mut words = words.into_iter().flatten();
        words.any(|word| phrases.iter().any(|phrase| word.contains(phrase)))
    }
}

fn read(body: &[u8], key: Option<&Secret>) -> Found {
    let Ok(parsed) = serde_json::from_slice::<Body>(body) else {
        let message = shortened(&String::from_utf8_lossy(body), key);
        return Found {
            told: Told {
                message,
                ..Told::default()
            },
            code: None,
        };
    };
    let (kind, code, message) = match parsed.error {
        BodyError::Object {
            kind,
            code,
            message,
        } => (kind, code, message.unwrap_or_default()),
        BodyError::Text(message) => (None, None, message),
        BodyError::Missing => (None, None, String::from_utf8_lossy(body).into_owned()),
    };
    Found {
        told: Told {
            kind: kind.map(|kind| shortened(&kind, key)),
            message: shortened(&message, key),
            request_id: parsed.request_id.map(|id| shortened(&id, key)),
        },
        code: code.and_then(|code| code.as_str().map(str::to_owned)),
    }
}

/// Without control characters, which would reach terminals and logs, and without the key.
fn shortened(text: &str, key: Option<&Secret>) -> String {
    let text = key.map_or_else(|| text.to_owned(), |key| key.redact(text));
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars()
        .map(shown)
        .take(LLM_ERROR_CHARS)
        .collect::<String>()
        .trim()
        .to_owned()
}

fn classify(status: u16, found: Found, retry_after: Option<Duration>) -> UpstreamError {
    // A message of a person may be anywhere in what the upstream says, so that words count only where a status leaves it open.
    match status {
        402 => UpstreamError::Billing { told: found.told },
        400 | 403 | 429 if found.says(&UNPAID) => UpstreamError::Billing { told: found.told },
        400 | 413 | 422 if found.says(&TOO_LONG) => {
            UpstreamError::ContextTooLong { told: found.told }
        }
        401 | 403 => UpstreamError::Authentication {
            status,
            told: found.told,
        },
        404 => UpstreamError::NotFound { told: found.told },
        429 => UpstreamError::RateLimited {
            told: found.told,
            retry_after,
        },
        529 => UpstreamError::Overloaded {
            told: found.told,
            retry_after,
        },
        503 if found.says(&["overloaded"]) => UpstreamError::Overloaded {
            told: found.told,
            retry_after,
        },
        408 | 409 | 500..=599 => UpstreamError::Server {
            status,
            told: found.told,
            retry_after,
        },
        400..=499 => UpstreamError::Refused {
            status,
            told: found.told,
        },
        _ => UpstreamError::Status {
            status,
            told: found.told,
        },
    }
}

/// `retry-after-ms`, which upstreams of models have, or `Retry-After` (RFC 9110, section 10.2.3). A date in it counts from the answer's own
/// date, so that no clock is asked, least of all one that differs from the upstream's.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = headers
        .get("retry-after-ms")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let wait = milliseconds
        .and_then(|milliseconds: f64| Duration::try_from_secs_f64(milliseconds / 1000.0).ok());
    let wait = wait.or_else(|| {
        let after = text(RETRY_AFTER)?;
        if let Ok(seconds) = after.parse() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let date = |text| jiff::fmt::rfc2822::parse(text).ok();
        let between =
            date(after)?.timestamp().as_second() - date(text(DATE)?)?.timestamp().as_second();
        u64::try_from(between).ok().map(Duration::from_secs)
    });
    wait.map(|wait| wait.min(LLM_RETRY_AFTER_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &str)], body: &str) -> UpstreamError {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        of_answer(
            status,
            &headers.collect(),
            body.as_bytes(),
            Some(&"sk-secret".parse().unwrap()),
        )
    }

    fn wait(headers: &[(&'static str, &str)]) -> Option<u128> {
        error(429, headers, "")
            .retry_after()
            .map(|wait| wait.as_millis())
    }

    #[test]
    fn what_an_upstream_asks_to_wait_is_read_in_every_form() {
        assert_eq!(wait(&[("retry-after", "7")]), Some(7000));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(500));
        assert_eq!(
            wait(&[("retry-after-ms", "250"), ("retry-after", "7")]),
            Some(250)
        );
        let date = ("date", "Tue, 01 Dec 2026 10:00:00 GMT");
        assert_eq!(
            wait(&[date, ("retry-after", "Tue, 01 Dec 2026 10:00:30 GMT")]),
            Some(30_000)
        );
        assert_eq!(
            wait(&[date, ("retry-after", "Tue, 01 Dec 2026 09:00:00 GMT")]),
            None
        );
        assert_eq!(wait(&[("retry-after", "1e99")]), None);
        assert_eq!(
            wait(&[("retry-after", "99999999")]),
            Some(LLM_RETRY_AFTER_MOST.as_millis())
        );
        for nonsense in ["", "-1", "nan", "inf", "soon"] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn causes_that_share_a_status_are_told_apart() {
        let body = |kind: &str, message: &str| {
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
        };
        let long = body(
            "invalid_request_error",
            "prompt is too long: 200001 tokens > 200000 maximum",
        );
        assert!(matches!(
            error(400, &[], &long),
            UpstreamError::ContextTooLong { .. }
        ));
        let code = r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"x"}}"#;
        assert!(matches!(
            error(400, &[], code),
            UpstreamError::ContextTooLong { .. }
        ));
        let unpaid = body("insufficient_quota", "You exceeded your current quota");
        assert!(matches!(
            error(429, &[], &unpaid),
            UpstreamError::Billing { .. }
        ));
        let credit = body("invalid_request_error", "Your credit balance is too low");
        assert!(matches!(
            error(400, &[], &credit),
            UpstreamError::Billing { .. }
        ));
        assert!(matches!(
            error(400, &[], &body("a", "b")),
            UpstreamError::Refused { status: 400, .. }
        ));
        assert!(matches!(
            error(301, &[], ""),
            UpstreamError::Status { status: 301, .. }
        ));
        assert!(matches!(
            error(503, &[], &body("overloaded_error", "")),
            UpstreamError::Overloaded { .. }
        ));
    }

    #[test]
    fn what_it_says_is_kept_without_the_key_and_without_control_characters() {
        let refused = error(
            401,
            &[("request-id", "req_1")],
            r#"{"error":{"type":"authentication_error","message":"no such key: sk-secret\u001b[2J"}}"#,
        );
        let told = refused.told().unwrap();
        assert_eq!(told.message, "no such key: [key] [2J");
        assert_eq!(told.request_id.as_deref(), Some("req_1"));
        assert!(!refused.to_string().contains("no such key"));
        assert!(!format!("{refused:?}").contains("sk-secret"));
        let html = error(502, &[], "<html>bad gateway</html>");
        assert_eq!(html.told().unwrap().message, "<html>bad gateway</html>");
        let text = error(500, &[], r#"{"error":"model runner has stopped"}"#);
        assert_eq!(text.told().unwrap().message, "model runner has stopped");
    }
}
