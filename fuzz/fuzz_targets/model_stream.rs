//! Whatever an upstream of models streams: no panic, and any pieces of it say the same.

#![no_main]

use std::collections::VecDeque;

use bailiwick_llm::{Decoder, Event, Fold, OutputCap, Protocol, SseParser};

/// The events up to the first error, and the message that they make.
fn read(protocol: Protocol, pieces: &[&[u8]]) -> (Vec<Event>, bool) {
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

libfuzzer_sys::fuzz_target!(|input: (bool, u16, &[u8])| {
    let (is_messages, cut, bytes) = input;
    let protocol = if is_messages {
        Protocol::Messages
    } else {
        Protocol::Completions(OutputCap::MaxTokens)
    };
    let (one, other) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert!(read(protocol, &[one, other]) == read(protocol, &[bytes]));
});
