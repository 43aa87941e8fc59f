//! Server-sent events that are only looked at: which bytes are data, and where an event ends (WHATWG HTML, section 9.2). Nothing is kept.

use memchr::memchr2;

/// Where in a stream of events the next byte is.
#[derive(Debug, Default)]
pub(super) struct Lines {
    within: Within,
    /// The line before ended with a carriage return, so that a line feed now belongs to it.
    after_return: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// So many bytes of `data:`, or of a byte order mark and it.
    Name(u8),
    /// Data, whose first byte is yet to come: a space there is none of it.
    Begin,
    Data,
    /// A comment, or another field.
    Other,
}

impl Default for Within {
    fn default() -> Self {
        Self::Name(0)
    }
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'b> {
    /// Data of an event.
    Data(&'b [u8]),
    /// Nothing that anybody wants to know.
    Frame,
    /// The end of an event.
    End,
}

const FIELD: &[u8; 5] = b"data:";

impl Lines {
    /// Takes the first piece off `bytes`, which has at least one byte: what it is, and how long.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> (Piece<'b>, usize) {
        let first = bytes[0];
        if std::mem::take(&mut self.after_return) && first == b'\n' {
            return (Piece::Frame, 1);
        }
        if matches!(first, b'\n' | b'\r') {
            self.after_return = first == b'\r';
            let is_empty = self.within == Within::Name(0);
            self.within = Within::Name(0);
            let piece = if is_empty { Piece::End } else { Piece::Frame };
            return (piece, 1);
        }
        match self.within {
            Within::Name(known) => {
                self.within = named(known, first);
                (Piece::Frame, 1)
            }
            Within::Begin if first == b' ' => {
                self.within = Within::Data;
                (Piece::Frame, 1)
            }
            Within::Begin | Within::Data => {
                self.within = Within::Data;
                let line = line(bytes);
                (Piece::Data(line), line.len())
            }
            Within::Other => (Piece::Frame, line(bytes).len()),
        }
    }
}

fn line(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len())]
}

fn named(known: u8, byte: u8) -> Within {
    // A byte order mark begins the stream; elsewhere nobody would write one.
    if known == 0 && matches!(byte, 0xef | 0xbb | 0xbf) {
        return Within::Name(0);
    }
    if FIELD[usize::from(known)] != byte {
        return Within::Other;
    }
    if usize::from(known) + 1 == FIELD.len() {
        Within::Begin
    } else {
        Within::Name(known + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::SseParser;

    /// The data of each event that has some.
    fn read(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut events, mut data) = (Lines::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (piece, length) = lines.next(rest);
                match piece {
                    Piece::Data(more) => data.extend_from_slice(more),
                    Piece::Frame => {}
                    Piece::End if data.is_empty() => {}
                    Piece::End => events.push(std::mem::take(&mut data)),
                }
                rest = &rest[length..];
            }
        }
        events
    }

    proptest! {
        #[test]
        fn events_are_those_of_the_parser_that_keeps_them(
            text in "(data: ?[a-zé:]{0,5}|event: ?[a-c]{0,3}|dat|datax: b|:x|[\r\n]|\r\n|\n\n){0,20}",
            cut in 0..200_usize,
        ) {
            let (mut parser, mut whole) = (SseParser::new(), VecDeque::new());
            parser.feed(text.as_bytes(), &mut whole).unwrap();
            let expected = whole.into_iter().map(|event| event.data.replace('\n', "").into_bytes());
            let expected: Vec<_> = expected.filter(|data| !data.is_empty()).collect();
            let bytes = text.as_bytes();
            let (one, other) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(&read(&[bytes]), &expected);
            prop_assert_eq!(&read(&[one, other]), &expected);
        }
    }
}
