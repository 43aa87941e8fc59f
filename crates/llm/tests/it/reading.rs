//! Reading a stream that comes in pieces; the fuzz target `model_stream` has this file too.

use std::collections::VecDeque;

use bailiwick_llm::{Decoder, Event, Fold, Protocol, SseParser};

/// The events up to the first error, and whether they make a message.
pub(crate) fn read(protocol: Protocol, pieces: &[&[u8]]) -> (Vec<Event>, bool) {
    let (mut parser, mut decoder) = (SseParser::new(), Decoder::new(protocol, None));
    let (mut whole, mut events) = (VecDeque::new(), Vec::new());
    // What follows an error is not read.
    let fed = pieces
        .iter()
        .try_for_each(|piece| parser.feed(piece, &mut whole));
    let mut is_right = fed.is_ok();
    for event in whole {
        match decoder.decode(&event) {
            Ok(more) => events.extend(more),
            Err(_) => return (events, false),
        }
    }
    let mut fold = Fold::new();
    is_right &= events.iter().all(|event| fold.push(event).is_ok());
    (events, is_right && fold.finish().is_ok())
}
