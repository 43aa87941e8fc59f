//! Server-sent events, as the WHATWG's HTML standard (section 9.2) has them, of any chunks.

use std::collections::VecDeque;

use bailiwick_model::limits::LLM_EVENT_BYTES;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The field `event`; `message` where there was none.
    pub name: String,
    /// The lines of its `data`, joined by line feeds.
    pub data: String,
}

/// Why a stream is none of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line, or an event of many, is too long.
    #[error("an event has too many bytes")]
    TooLong,
    /// The standard would put replacement characters there: a changed text that nobody notices.
    #[error("a line is not UTF-8")]
    NotUtf8,
}

/// Takes bytes in any pieces and gives events. It holds one event at most that is not whole.
#[derive(Debug)]
pub struct SseParser {
    /// The most bytes of an event.
    limit: usize,
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    /// The line before ended with a carriage return, so that a line feed now belongs to it.
    after_return: bool,
    past_first_line: bool,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SseParser {
    /// Before any byte of a model's answer.
    pub fn new() -> Self {
        Self::with_limit(LLM_EVENT_BYTES)
    }

    /// Before any byte of a stream whose events have at most so many.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            name: String::new(),
            data: String::new(),
            has_data: false,
            after_return: false,
            past_first_line: false,
        }
    }

    /// Takes more bytes, and appends the events that they make whole.
    ///
    /// # Errors
    ///
    /// See [`SseError`]; the stream is of no use from there on.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        whole: &mut VecDeque<SseEvent>,
    ) -> Result<(), SseError> {
        loop {
            if self.after_return && !bytes.is_empty() {
                self.after_return = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.held().saturating_add(piece.len()) > self.limit {
                return Err(SseError::TooLong);
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else {
                return Ok(());
            };
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            whole.extend(self.end_line()?);
        }
    }

    fn held(&self) -> usize {
        self.line.len() + self.name.len() + self.data.len()
    }

    fn end_line(&mut self) -> Result<Option<SseEvent>, SseError> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseError::NotUtf8)?;
        let line = if self.past_first_line {
            line
        } else {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        };
        self.past_first_line = true;
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // A comment (an empty name), `id`, `retry`, and what the standard says to ignore.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let (name, data) = (
            std::mem::take(&mut self.name),
            std::mem::take(&mut self.data),
        );
        let has_data = std::mem::take(&mut self.has_data);
        let name = if name.is_empty() {
            "message".to_owned()
        } else {
            name
        };
        has_data.then_some(SseEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<(String, String)>, SseError> {
        let (mut parser, mut whole) = (SseParser::new(), VecDeque::new());
        for piece in pieces {
            parser.feed(piece, &mut whole)?;
        }
        Ok(whole
            .into_iter()
            .map(|event| (event.name, event.data))
            .collect())
    }

    fn check(text: &str, expect: &[(&str, &str)]) {
        let found = parse([text.as_bytes()]).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(name, data)| (name.as_str(), data.as_str()))
            .collect();
        assert_eq!(found, expect, "{text:?}");
    }

    #[test]
    fn events_are_those_of_the_standard() {
        check("event: a\ndata: 1\n\n", &[("a", "1")]);
        check(
            "data:1\r\rdata: 2\r\n\r\n",
            &[("message", "1"), ("message", "2")],
        );
        check("data: 1\ndata:  2\n\n", &[("message", "1\n 2")]);
        check(": ping\n\nevent: a\n\ndata\n\n", &[("message", "")]);
        check(
            "\u{feff}data: 1\nid: 7\nretry: 5\nother: x\n\n",
            &[("message", "1")],
        );
        check("data: not whole\n", &[]);
        check("\n\n\r\n", &[]);
    }

    #[test]
    fn a_line_and_an_event_that_never_end_are_refused() {
        let line = vec![b'a'; LLM_EVENT_BYTES + 1];
        assert_eq!(parse([&line[..]]), Err(SseError::TooLong));
        let lines = b"data: abcdefghij\n".repeat(LLM_EVENT_BYTES / 10);
        assert_eq!(parse(lines.chunks(1000)), Err(SseError::TooLong));
        assert_eq!(parse([&b"data: \xff\n\n"[..]]), Err(SseError::NotUtf8));
    }

    proptest! {
        #[test]
        fn any_chunks_of_a_stream_give_the_same_events(
            text in "(event: ?[a-c]{0,3}|data: ?[a-zé:]{0,5}|:x|[\r\n]|\r\n|\n\n){0,20}",
            cuts in proptest::collection::vec(0..200_usize, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            let whole = parse([bytes]);
            prop_assert_eq!(&parse(pieces), &whole);
            prop_assert_eq!(&parse(bytes.chunks(1)), &whole);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = parse([&bytes[..]]);
            prop_assert_eq!(parse(bytes.chunks(1)).ok(), whole.ok());
        }
    }
}
