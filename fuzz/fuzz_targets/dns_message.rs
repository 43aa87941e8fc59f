//! Whatever a sandbox sends to its resolver: no panic, and an answer carries the id of the question.

#![no_main]

use bailiwick_egress::fuzzing::dns_message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dns_message(bytes));
