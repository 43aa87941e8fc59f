//! Whatever a client of an LLM proxy sends: no panic, what is read is a request to `serde_json` too, and says the same there.

#![no_main]

use bailiwick_llm::proxy::{Endpoint, read};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (endpoint, bytes) = input;
    let endpoint = Endpoint::ALL[usize::from(endpoint) % Endpoint::ALL.len()];
    let body = bytes.to_vec().into();
    let Ok(asks) = read(endpoint, &body) else {
        return;
    };
    let _ = asks.worst(None);
    let Some(model) = &asks.model else { return };
    // Numbers that no machine has, and depth, are read only where they matter.
    let Ok(whole) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    assert_eq!(whole["model"], *model.name);
    let named: String = serde_json::from_slice(&bytes[model.at.clone()]).expect("a string");
    assert_eq!(named, model.name);
    assert_eq!(whole["stream"] == true, asks.stream);
});
