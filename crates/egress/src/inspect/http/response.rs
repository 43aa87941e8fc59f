//! The answer to the first request of a connection, watched only where that request asked for a WebSocket.

use bailiwick_model::limits;

/// What the server's bytes so far mean for the protocol of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Response {
    /// The status is not known yet.
    Undecided,
    /// `101 Switching Protocols`: the connection is no longer HTTP/1.
    Switched,
    /// Any other final status, or no HTTP at all.
    NotSwitched,
}

/// Collects the server's first bytes up to the status line that counts.
#[derive(Debug, Default)]
pub(crate) struct ResponseWatch {
    seen: Vec<u8>,
}

impl ResponseWatch {
    /// Takes bytes that the server sent; they are forwarded in any case.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Response {
        let room = (limits::HTTP_HEAD_BYTES).saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut rest = &self.seen[..];
        loop {
            let Some(status) = status(rest) else {
                let full = self.seen.len() >= limits::HTTP_HEAD_BYTES;
                let hopeless = rest.iter().zip(b"HTTP/1.").any(|(got, want)| got != want);
                return if full || hopeless {
                    Response::NotSwitched
                } else {
                    Response::Undecided
                };
            };
            // Interim responses (RFC 9110 section 15.2) come before the one that counts.
            match status {
                b"101" => return Response::Switched,
                [b'1', _, _] => {}
                _ => return Response::NotSwitched,
            }
            match rest.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => rest = &rest[end + 4..],
                None if self.seen.len() >= limits::HTTP_HEAD_BYTES => return Response::NotSwitched,
                None => return Response::Undecided,
            }
        }
    }
}

/// The status code of the status line at the front, once it is there.
fn status(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes
        .strip_prefix(b"HTTP/1.")
        .filter(|line| line.len() >= 6)?;
    (line[1] == b' ').then(|| &line[2..5])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The response is judged the same in one piece and byte by byte.
    fn check(text: &str, expected: Response) {
        assert_eq!(
            ResponseWatch::default().feed(text.as_bytes()),
            expected,
            "{text:?}"
        );
        let mut watch = ResponseWatch::default();
        let last = text.bytes().map(|byte| watch.feed(&[byte])).last();
        assert_eq!(last, Some(expected), "{text:?}");
    }

    #[test]
    fn only_101_switches_and_interim_answers_do_not_count() {
        check(
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            Response::Switched,
        );
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 S\r\n",
            Response::Switched,
        );
        check(
            "HTTP/1.1 200 OK\r\nX: HTTP/1.1 101 x\r\n\r\n",
            Response::NotSwitched,
        );
        check(
            "HTTP/1.1 103 Hints\r\nX: 101\r\n\r\nHTTP/1.1 404 No",
            Response::NotSwitched,
        );
        check("SSH-2.0-x\r\n", Response::NotSwitched);
        check("HTTP/1.1 10", Response::Undecided);
        check("HTTP/1.1 100 Continue\r\n", Response::Undecided);
    }
}
