//! Streams in pieces of any size, and streams that were damaged.

use std::collections::VecDeque;

use bailiwick_llm::{
    Decoder, Fold, Malformed, Message, OutputCap, Protocol, SseParser, UpstreamError,
};
use proptest::prelude::*;

const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
    event: content_block_start\ndata: {\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n\
    event: ping\ndata: {\"type\": \"ping\"}\n\n\
    event: content_block_delta\ndata: {\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"na\u{ef}ve\"}}\n\n\
    event: content_block_delta\ndata: {\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}}\n\n\
    event: content_block_stop\ndata: {\"index\":0}\n\n\
    event: content_block_start\ndata: {\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n\
    event: content_block_delta\ndata: {\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}}\n\n\
    event: content_block_delta\ndata: {\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"[1]}\"}}\n\n\
    event: content_block_stop\ndata: {\"index\":1}\n\n\
    event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const COMPLETIONS: &str = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
    data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"na\u{ef}ve\"}}]}\n\n\
    data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n\
    data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]}}]}\n\n\
    data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n\
    data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n\
    data: [DONE]\n\n";

const BOTH: [(Protocol, &str); 2] = [
    (Protocol::Messages, MESSAGES),
    (Protocol::Completions(OutputCap::MaxTokens), COMPLETIONS),
];

fn read<'a>(
    protocol: Protocol,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Message, UpstreamError> {
    let (mut parser, mut decoder, mut fold) =
        (SseParser::new(), Decoder::new(protocol, None), Fold::new());
    let mut whole = VecDeque::new();
    for piece in pieces {
        parser.feed(piece, &mut whole).map_err(Malformed::from)?;
        for event in whole.drain(..) {
            decoder
                .decode(&event)?
                .iter()
                .try_for_each(|event| fold.push(event))?;
        }
    }
    decoder
        .finish()?
        .iter()
        .try_for_each(|event| fold.push(event))?;
    Ok(fold.finish()?)
}

#[test]
fn every_byte_by_itself_gives_the_same_message() {
    for (protocol, text) in BOTH {
        let whole = read(protocol, [text.as_bytes()]).unwrap();
        assert_eq!(whole.content.len(), 2);
        assert_eq!(read(protocol, text.as_bytes().chunks(1)).unwrap(), whole);
    }
}

#[test]
fn every_beginning_of_a_stream_is_cut_and_never_a_shorter_message() {
    for (protocol, text) in BOTH {
        let whole = read(protocol, [text.as_bytes()]).unwrap();
        for length in 0..text.len() {
            match read(protocol, [&text.as_bytes()[..length]]) {
                Err(error) => assert!(matches!(error, UpstreamError::Cut), "{length}: {error:?}"),
                // Of the other API the end may be missing, once the reason was told: with it, or before the usage.
                Ok(message) => {
                    assert_eq!(
                        (&message.content, protocol),
                        (&whole.content, BOTH[1].0),
                        "{length}"
                    );
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_pieces_give_the_same_message(cuts in proptest::collection::vec(0..2000_usize, 0..20)) {
        for (protocol, text) in BOTH {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(read(protocol, pieces).unwrap(), read(protocol, [bytes]).unwrap());
        }
    }

    #[test]
    fn a_damaged_stream_is_a_message_or_an_error_and_no_panic(
        damage in proptest::collection::vec((0..2000_usize, any::<u8>()), 1..6),
        lost in 0..2000_usize,
        length in 0..200_usize,
    ) {
        for (protocol, text) in BOTH {
            let mut bytes = text.as_bytes().to_vec();
            for (at, byte) in &damage {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            let lost = lost % bytes.len();
            bytes.drain(lost..(lost + length).min(bytes.len()));
            let _ = read(protocol, [&bytes[..]]);
        }
    }
}
