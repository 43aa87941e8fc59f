//! Streams as upstreams send them, damaged at random: no panic, and any pieces of one say the same. The fuzz target `model_stream` looks for the
//! same with a fuzzer's means.

use bailiwick_llm::{OutputCap, Protocol};
use proptest::prelude::*;

use crate::reading::read;

const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi \u{fc}\"}}\n\n\
    event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{}}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\n\n\
    event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":12}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const COMPLETIONS: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n\
    data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"bash\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n\
    data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n\
    data: [DONE]\n\n";

/// One thing that goes wrong, at a place that is taken within the stream's length.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize, usize),
    /// A piece comes twice.
    Repeat(usize, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let within = |at: usize| at % (bytes.len() + 1);
        let piece = |at: usize, length: usize| {
            let at = within(at);
            at..(at + length).min(bytes.len())
        };
        match *self {
            Self::Set(at, byte) => {
                let at = within(at);
                if let Some(there) = bytes.get_mut(at) {
                    *there = byte;
                }
            }
            Self::Insert(at, byte) => bytes.insert(within(at), byte),
            Self::Remove(at, length) => drop(bytes.drain(piece(at, length))),
            Self::Repeat(at, length) => {
                let range = piece(at, length);
                let (end, again) = (range.end, bytes[range].to_vec());
                bytes.splice(end..end, again);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(&b"\n\r:\"{}[]0,\\"[..])
    ];
    prop_oneof![
        (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<usize>(), byte).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (any::<usize>(), 0..200_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<usize>(), 0..200_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

fn protocols() -> [(Protocol, &'static str); 2] {
    let completions = Protocol::Completions(OutputCap::MaxTokens);
    [(Protocol::Messages, MESSAGES), (completions, COMPLETIONS)]
}

#[test]
fn a_stream_that_is_not_damaged_is_a_message() {
    for (protocol, stream) in protocols() {
        assert!(read(protocol, &[stream.as_bytes()]).1, "{protocol:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_stream_says_the_same_in_any_pieces(
        which in 0..2_usize,
        damages in proptest::collection::vec(damage(), 0..6),
        cut in any::<usize>(),
    ) {
        let (protocol, stream) = protocols()[which];
        let mut bytes = stream.as_bytes().to_vec();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        let (one, other) = bytes.split_at(cut % (bytes.len() + 1));
        prop_assert_eq!(read(protocol, &[one, other]), read(protocol, &[&bytes]));
    }
}
