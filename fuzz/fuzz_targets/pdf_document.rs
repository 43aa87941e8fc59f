//! Any bytes are a PDF document or a reason against it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = bailiwick_knowledge::read_pdf(bytes) {
        assert!(!read.text.trim().is_empty());
    }
});
