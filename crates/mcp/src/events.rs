//! Server-sent events, in whatever pieces they come.

use std::time::Duration;

use bailiwick_model::limits::{MCP_ID_BYTES, MCP_RESUMPTION_WAIT, MCP_RESUMPTION_WAIT_MOST};

/// An event that came whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its kind; nothing if it did not say.
    pub(crate) kind: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

/// What has come of a stream of events. It holds no more than what was pushed: who pushes bounds that.
#[derive(Debug)]
pub(crate) struct EventStream {
    line: Vec<u8>,
    kind: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Of the event that is coming.
    id: Option<String>,
    is_after_return: bool,
    /// Of the last event that came whole and has one.
    last_id: Option<String>,
    wait: Duration,
}

impl Default for EventStream {
    fn default() -> Self {
        Self {
            line: Vec::new(),
            kind: Vec::new(),
            data: Vec::new(),
            has_data: false,
            id: None,
            is_after_return: false,
            last_id: None,
            wait: MCP_RESUMPTION_WAIT,
        }
    }
}

impl EventStream {
    /// The events that are whole by these bytes and have data.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut whole = Vec::new();
        for byte in bytes {
            let is_second = std::mem::take(&mut self.is_after_return) && *byte == b'\n';
            match byte {
                b'\n' if is_second => {}
                b'\n' | b'\r' => {
                    self.is_after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    whole.extend(self.end_line(&line));
                }
                _ => self.line.push(*byte),
            }
        }
        whole
    }

    /// What is needed to ask for what comes after the last event, if the server gives events ids.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How long to wait before that.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Forgets the beginning of an event: the rest of it does not come.
    pub(crate) fn break_off(&mut self) {
        self.line.clear();
        self.kind.clear();
        self.data.clear();
        (self.has_data, self.is_after_return) = (false, false);
        self.id = None;
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.kind = value.to_vec(),
            b"id" => self.id = id(value),
            b"retry" => {
                let milliseconds = std::str::from_utf8(value)
                    .ok()
                    .and_then(|it| it.parse().ok());
                let wait = milliseconds.map(Duration::from_millis);
                self.wait = wait.map_or(self.wait, |wait| wait.min(MCP_RESUMPTION_WAIT_MOST));
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let event = Event {
            kind: std::mem::take(&mut self.kind),
            data: std::mem::take(&mut self.data),
        };
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

/// An id that a header can carry back.
fn id(value: &[u8]) -> Option<String> {
    let is_plain = value.iter().all(|byte| (b' '..=b'~').contains(byte));
    let fits = !value.is_empty() && value.len() <= MCP_ID_BYTES;
    (is_plain && fits).then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) -> EventStream {
        let mut at_once = EventStream::default();
        let whole = at_once.push(text.as_bytes());
        let whole: Vec<_> = whole
            .iter()
            .map(|event| String::from_utf8_lossy(&event.data))
            .collect();
        assert_eq!(whole, expect);
        let mut by_bytes = EventStream::default();
        let bytes: Vec<_> = text
            .bytes()
            .flat_map(|byte| by_bytes.push(&[byte]))
            .collect();
        assert_eq!(bytes.len(), expect.len());
        assert_eq!(at_once.last_id(), by_bytes.last_id());
        at_once
    }

    #[test]
    fn events_end_with_an_empty_line_of_any_kind() {
        check(
            "data: a\n\ndata:b\r\rdata: c\r\n\r\ndata: not yet\n",
            &["a", "b", "c"],
        );
        check(
            ": a comment\n\nevent: message\ndata: a\ndata: b\n\n",
            &["a\nb"],
        );
        check("data\n\n", &[""]);
    }

    #[test]
    fn the_id_of_the_last_whole_event_counts() {
        let stream = check("id: 1\ndata: a\n\nid: 2\ndata: b\n", &["a"]);
        assert_eq!(stream.last_id(), Some("1"));
        let stream = check(
            "id: 1\nretry: 7\ndata:\n\ndata: b\n\nid: \u{7f}\n\n",
            &["", "b"],
        );
        assert_eq!(stream.last_id(), Some("1"));
        assert_eq!(stream.wait(), Duration::from_millis(7));
    }

    #[test]
    fn an_event_has_its_own_kind() {
        let mut stream = EventStream::default();
        let events = stream.push(b"event: endpoint\ndata: /x\n\nevent: left over\n\ndata: b\n\n");
        let kinds: Vec<_> = events.iter().map(|event| &event.kind[..]).collect();
        assert_eq!(kinds, [&b"endpoint"[..], b""]);
    }

    #[test]
    fn nobody_is_kept_waiting_for_long() {
        let stream = check("retry: 99999999999\n\n", &[]);
        assert_eq!(stream.wait(), MCP_RESUMPTION_WAIT_MOST);
        let stream = check("retry: -1\n\n", &[]);
        assert_eq!(stream.wait(), MCP_RESUMPTION_WAIT);
    }

    #[test]
    fn half_an_event_is_forgotten_where_a_stream_broke_off() {
        let mut stream = check("id: 1\ndata: a\n\nid: 2\ndata: b", &["a"]);
        stream.break_off();
        assert_eq!(stream.push(b"data: c\n\n")[0].data, b"c");
        assert_eq!(stream.last_id(), Some("1"));
    }
}
