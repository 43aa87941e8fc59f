//! Reads an answer beside its way to the client. It keeps no more than a few counts, whatever the upstream sends.

use std::collections::VecDeque;
use std::ops::Range;

use bailiwick_model::limits::LLM_HELD_BYTES;
use hyper::HeaderMap;
use hyper::body::Bytes;

use super::lines::{Lines, Piece};
use super::scan::Scanner;
use super::tally::{Event, Tally};
use super::{Endpoint, SettledAs, headers};
use crate::Usage;

/// The meter of one answer.
#[derive(Debug)]
pub(super) struct Meter {
    endpoint: Endpoint,
    likely_input: Option<u64>,
    form: Form,
    scanner: Scanner<Tally>,
    tally: Tally,
}

#[derive(Debug)]
enum Form {
    /// Server-sent events.
    Stream(Lines, Holding),
    /// One JSON text.
    Whole,
    /// Something that is not read, such as what is compressed.
    Unread,
}

/// What becomes of the event that only the proxy asked for.
#[derive(Debug)]
enum Holding {
    /// There is none: everything passes as it comes.
    Nothing,
    /// Events are looked at before they pass.
    Event(Held),
}

#[derive(Debug, Default)]
struct Held {
    /// What has come of the event at hand and did not pass.
    bytes: Vec<u8>,
    /// It passes, whatever else it has.
    passes: bool,
    /// The last one ended with a carriage return, so that a line feed may be left of it.
    left: Left,
}

/// What becomes of the line feed that may be left of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Left {
    #[default]
    Nothing,
    /// It passes, as the event did.
    Passes,
    /// It does not, as the event did not.
    Dropped,
}

impl Meter {
    /// For an answer with these headers. `drops_usage`: a last event that has nothing but what the answer took does not pass.
    pub(super) fn new(
        endpoint: Endpoint,
        headers: &HeaderMap,
        likely_input: Option<u64>,
        drops_usage: bool,
    ) -> Self {
        let holding = if drops_usage {
            Holding::Event(Held::default())
        } else {
            Holding::Nothing
        };
        let form = if !endpoint.costs() || !headers::is_plain(headers) {
            Form::Unread
        } else if headers::is_stream(headers) {
            Form::Stream(Lines::default(), holding)
        } else {
            Form::Whole
        };
        Self {
            endpoint,
            likely_input,
            form,
            scanner: Scanner::new(),
            tally: Tally::default(),
        }
    }

    /// Whether all that comes passes, so that the length is known.
    pub(super) fn passes_all(&self) -> bool {
        match &self.form {
            Form::Stream(_, Holding::Event(_)) => false,
            Form::Stream(_, Holding::Nothing) | Form::Whole | Form::Unread => true,
        }
    }

    /// Whether what is still to come may tell what the answer took.
    pub(super) fn may_tell(&self) -> bool {
        match &self.form {
            Form::Stream(..) | Form::Whole => true,
            Form::Unread => false,
        }
    }

    /// Reads what came, and puts what passes behind `out`.
    pub(super) fn take(&mut self, bytes: Bytes, out: &mut VecDeque<Bytes>) {
        match &mut self.form {
            Form::Unread => out.push_back(bytes),
            Form::Whole => {
                self.scanner.feed(&bytes, &mut self.tally);
                out.push_back(bytes);
            }
            Form::Stream(lines, holding) => {
                let mut stream = Stream {
                    lines,
                    scanner: &mut self.scanner,
                    tally: &mut self.tally,
                };
                holding.sieve(&mut stream, &bytes, out);
            }
        }
    }

    /// The answer is over: what is left passes, unless it is what does not.
    pub(super) fn end(&mut self) -> Option<Bytes> {
        match &mut self.form {
            Form::Stream(_, Holding::Event(held)) if !held.bytes.is_empty() => {
                Some(std::mem::take(&mut held.bytes).into())
            }
            Form::Stream(..) | Form::Whole | Form::Unread => None,
        }
    }

    /// What the answer took, as far as it has come.
    pub(super) fn settled(&mut self) -> (SettledAs, Usage) {
        let (endpoint, tally) = (self.endpoint, &mut self.tally);
        let is_stream = match &self.form {
            Form::Unread => return (SettledAs::Unknown, Usage::default()),
            Form::Whole => {
                tally.end_event();
                false
            }
            Form::Stream(..) => true,
        };
        if tally.is_told() {
            return (SettledAs::Told, tally.told(endpoint));
        }
        // An answer that is no stream was made before any of it came.
        if !is_stream || !tally.has_begun() {
            return (SettledAs::Unknown, Usage::default());
        }
        match tally.streamed(endpoint, self.likely_input) {
            Some(usage) => (SettledAs::Streamed, usage),
            None => (SettledAs::Unknown, Usage::default()),
        }
    }
}

struct Stream<'m> {
    lines: &'m mut Lines,
    scanner: &'m mut Scanner<Tally>,
    tally: &'m mut Tally,
}

impl Stream<'_> {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (_, length) = self.step(bytes);
            bytes = &bytes[length..];
        }
    }

    /// Reads the first piece: what the event had that ends with it, and its length.
    fn step(&mut self, bytes: &[u8]) -> (Option<Event>, usize) {
        let (piece, length) = self.lines.next(bytes);
        match piece {
            Piece::Data(data) => self.scanner.feed(data, self.tally),
            Piece::Frame => {}
            Piece::End => {
                let event = self.tally.event();
                self.scanner.restart();
                self.tally.end_event();
                return (Some(event), length);
            }
        }
        (None, length)
    }
}

impl Holding {
    /// Lets events pass, but for those that have only what the answer took.
    fn sieve(&mut self, stream: &mut Stream<'_>, bytes: &Bytes, out: &mut VecDeque<Bytes>) {
        let Self::Event(held) = self else {
            stream.read(bytes);
            out.push_back(bytes.clone());
            return;
        };
        let (mut from, mut event, mut at) = (0, 0, 0);
        while at < bytes.len() {
            let left = std::mem::take(&mut held.left);
            if left != Left::Nothing && bytes[at] == b'\n' {
                stream.step(&bytes[at..=at]);
                at += 1;
                event = at;
                if left == Left::Dropped {
                    from = at;
                }
                continue;
            }
            let (ended, length) = stream.step(&bytes[at..]);
            at += length;
            let Some(ended) = ended else { continue };
            let left = if ended.is_usage_alone() && !held.passes {
                held.bytes.clear();
                pass(bytes, from..event, out);
                from = at;
                Left::Dropped
            } else {
                held.release(out);
                Left::Passes
            };
            if bytes[at - 1] == b'\r' {
                held.left = left;
            }
            event = at;
            held.passes = false;
        }
        if event < at {
            let is_another = stream.tally.event().has_choices;
            held.passes |= is_another || held.bytes.len() + (at - event) > LLM_HELD_BYTES;
        }
        if held.passes {
            held.release(out);
            event = at;
        }
        pass(bytes, from..event, out);
        held.bytes.extend_from_slice(&bytes[event..at]);
    }
}

impl Held {
    fn release(&mut self, out: &mut VecDeque<Bytes>) {
        if !self.bytes.is_empty() {
            out.push_back(std::mem::take(&mut self.bytes).into());
        }
    }
}

fn pass(bytes: &Bytes, part: Range<usize>, out: &mut VecDeque<Bytes>) {
    if !part.is_empty() {
        out.push_back(bytes.slice(part));
    }
}

#[cfg(test)]
mod tests;
