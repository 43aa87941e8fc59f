//! What came back, within bounds.

use bailiwick_model::limits::{
    OUTBOUND_BODY_BYTES, OUTBOUND_CONTENT_TYPE_BYTES, OUTBOUND_LOOKS, OUTBOUND_SHOWN_BYTES,
};
use bailiwick_outbound::Body;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName};
use tokio::time::Instant;

use crate::message::MessageId;
use crate::secrets::Secrets;

/// An answer that may be shown to whoever asked: short, and without the secrets that went with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The header; empty if there was none.
    pub content_type: String,
    /// The beginning of the body.
    pub body: String,
    /// Whether there was more.
    pub is_truncated: bool,
}

/// What of an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing of its body.
    Head,
    /// Its body.
    Whole,
    /// Its body, and of a stream of events what comes up to this one.
    Event(MessageId),
}

/// The head of an answer, and as much of its body as was wanted and came in time.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    is_whole: bool,
}

impl Answer {
    /// Reads until the end, the bound, the deadline, or until there is what is wanted.
    pub(crate) async fn read(
        response: hyper::Response<Body>,
        deadline: Instant,
        wanted: Wanted,
    ) -> Self {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut looks) = (Vec::new(), 0);
        let reading = async {
            if wanted == Wanted::Head {
                return false;
            }
            while let Some(frame) = incoming.frame().await {
                let Ok(frame) = frame else { return false };
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                let room = OUTBOUND_BODY_BYTES - body.len();
                body.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    return false;
                }
                let Wanted::Event(is_it) = wanted else {
                    continue;
                };
                // Where an event ends; so many times, since each look goes through all that came.
                if body.ends_with(b"\n\n") || body.ends_with(b"\n\r\n") {
                    looks += 1;
                    if looks <= OUTBOUND_LOOKS && is_it.is_in(&body) {
                        return false;
                    }
                }
            }
            true
        };
        let is_whole = tokio::time::timeout_at(deadline, reading)
            .await
            .unwrap_or(false);
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            is_whole,
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into())?.to_str().ok()
    }

    pub(crate) fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE).unwrap_or_default()
    }

    /// What may be shown of it.
    pub(crate) fn shown(&self, secrets: &Secrets) -> ShownAnswer {
        let mut clean = secrets.redact(&self.body).into_owned();
        if !self.is_whole {
            // A secret may have been cut in two.
            clean.truncate(
                clean
                    .len()
                    .saturating_sub(secrets.longest().saturating_sub(1)),
            );
        }
        let is_truncated = !self.is_whole || clean.len() > OUTBOUND_SHOWN_BYTES;
        clean.truncate(OUTBOUND_SHOWN_BYTES);
        let content_type = secrets.redact(self.content_type().as_bytes());
        let content_type = &content_type[..content_type.len().min(OUTBOUND_CONTENT_TYPE_BYTES)];
        ShownAnswer {
            status: self.status,
            content_type: String::from_utf8_lossy(content_type).into_owned(),
            body: String::from_utf8_lossy(&clean).into_owned(),
            is_truncated,
        }
    }

    /// Its status and its kind alone: its body may hold secrets that nobody here knows.
    pub(crate) fn shown_without_body(&self, secrets: &Secrets) -> ShownAnswer {
        let without = Self {
            body: Vec::new(),
            is_whole: false,
            ..self.clone()
        };
        without.shown(secrets)
    }

    #[cfg(test)]
    pub(crate) fn made(status: u16, body: &[u8], is_whole: bool) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            is_whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_is_shown_where_a_body_was_cut() {
        let mut secrets = Secrets::default();
        secrets.add("0123456789");
        let cut = Answer::made(401, b"no: 0123456789 01234567", false).shown(&secrets);
        assert_eq!(cut.body, "no: [redacted]");
        assert!(cut.is_truncated);
        let whole = Answer::made(401, b"no: 0123456789 01234567", true).shown(&secrets);
        assert_eq!(whole.body, "no: [redacted] 01234567");
        assert!(!whole.is_truncated);
    }

    #[test]
    fn a_long_body_is_shown_in_part() {
        let long = vec![b'a'; OUTBOUND_SHOWN_BYTES + 1];
        let shown = Answer::made(500, &long, true).shown(&Secrets::default());
        assert_eq!(shown.body.len(), OUTBOUND_SHOWN_BYTES);
        assert!(shown.is_truncated);
    }
}
