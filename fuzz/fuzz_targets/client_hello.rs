//! Whatever a client sends first: no panic, a verdict that more bytes do not change, and nothing forwarded but what came.

#![no_main]

use bailiwick_egress::fuzzing::{ClientHello, client_bytes, client_hello};

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    client_bytes(bytes, usize::from(cut));
    let whole = client_hello(bytes);
    let early = client_hello(&bytes[..bytes.len().min(usize::from(cut))]);
    assert!(early == Ok(ClientHello::Partial) || early == whole);
});
