//! Whatever an upstream of models streams: no panic, and any pieces of it say the same.

#![no_main]

#[path = "../../crates/llm/tests/it/reading.rs"]
mod reading;

use bailiwick_llm::{OutputCap, Protocol};
use reading::read;

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
