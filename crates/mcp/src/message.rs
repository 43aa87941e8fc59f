//! Messages of JSON-RPC in what a server sent.

use serde_json::Value;

use crate::raw::read;

/// What a request is answered under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageId(pub(crate) u64);

impl MessageId {
    /// Whether the answer is there.
    pub(crate) fn is_in(self, body: &[u8]) -> bool {
        self.find(body).is_some()
    }

    /// The answer, in a body of JSON or among server-sent events.
    pub(crate) fn find(self, body: &[u8]) -> Option<Value> {
        let is_it = |message: &Value| message["id"] == self.0;
        if let Some(message) = read::<Value>(body) {
            return Some(message).filter(is_it);
        }
        let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
        // What follows the last empty line is not whole yet.
        let (events, _) = text.rsplit_once("\n\n")?;
        events.split("\n\n").find_map(|event| {
            let data: Vec<_> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .collect();
            let message: Value = read(data.join("\n").as_bytes())?;
            Some(message).filter(is_it)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_in_json_and_among_events() {
        assert!(MessageId(1).is_in(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        assert!(!MessageId(1).is_in(br#"{"jsonrpc":"2.0","id":2,"result":{}}"#));
        let events = b"event: message\r\ndata: {\"method\":\"x\"}\r\n\r\n: hm\n\nid: 7\ndata: {\"id\":1,\ndata: \"result\":{}}\n\n";
        assert!(MessageId(1).is_in(events));
        assert!(!MessageId(1).is_in(&events[..events.len() - 1]));
        assert!(!MessageId(1).is_in(b"\xff\xfe"));
    }
}
