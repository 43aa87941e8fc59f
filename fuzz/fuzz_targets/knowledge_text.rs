//! Whatever a source holds: no panic; the pieces of a text are the text, none is too long, and their order is kept.

#![no_main]

use bailiwick_html::{page, sitemap, storage, text};
use bailiwick_knowledge::{Material, chunks, text_of};
use bailiwick_model::limits::KNOWLEDGE_CHUNK_CHARS;

const NAMES: [&str; 5] = ["a.md", "a.html", "a.txt", "a.rs", "a"];

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let html = String::from_utf8_lossy(bytes);
    let _ = (page(&html, 10), sitemap(&html, 10), storage(&html), text(&html));
    let material = Material {
        bytes: bytes.to_owned(),
        media_type: None,
        name: NAMES[usize::from(which) % NAMES.len()].to_owned(),
    };
    let Ok(extracted) = text_of(&material) else { return };
    let mut end = 0;
    for (at, chunk) in chunks(extracted.kind, &extracted.text).iter().enumerate() {
        assert_eq!((chunk.position, chunk.range.start), (at, end));
        let piece = &extracted.text[chunk.range.clone()];
        assert!(!piece.is_empty() && piece.chars().count() <= KNOWLEDGE_CHUNK_CHARS);
        end = chunk.range.end;
    }
    assert_eq!(end, extracted.text.len());
});
