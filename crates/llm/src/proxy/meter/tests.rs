use hyper::header::{CONTENT_TYPE, HeaderValue};
use proptest::prelude::*;

use super::*;

const CREATED: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":7,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20},\"output_tokens\":1}}}\n\n";
const SAID: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"na\u{ef}ve \\\"usage\\\":{\\\"output_tokens\\\":999}\"}}\n\n";
const STOPPED: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":42}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const CHUNK: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ab\",\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}}],\"usage\":null}\n\n";
const FILTERED: &str = "data: {\"choices\":[],\"prompt_filter_results\":[{}],\"usage\":null}\n\n";
const USED: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":6,\"total_tokens\":60,\"prompt_tokens_details\":{\"cached_tokens\":20}}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn headers(kind: &'static str) -> HeaderMap {
    [(CONTENT_TYPE, HeaderValue::from_static(kind))]
        .into_iter()
        .collect()
}

fn stream() -> HeaderMap {
    headers("text/event-stream; charset=utf-8")
}

/// What passes of these pieces, and what is settled.
fn run<'b>(
    mut meter: Meter,
    pieces: impl Iterator<Item = &'b [u8]>,
) -> (Vec<u8>, SettledAs, Usage) {
    let mut out = VecDeque::new();
    for piece in pieces {
        meter.take(Bytes::copy_from_slice(piece), &mut out);
    }
    out.extend(meter.end());
    let (kind, usage) = meter.settled();
    (out.into_iter().flatten().collect(), kind, usage)
}

fn messages(text: &str) -> (SettledAs, Usage) {
    let meter = Meter::new(Endpoint::Messages, &stream(), Some(9), false);
    let (out, kind, usage) = run(meter, [text.as_bytes()].into_iter());
    assert_eq!(out, text.as_bytes());
    (kind, usage)
}

fn chat(text: &str) -> (String, SettledAs, Usage) {
    let meter = Meter::new(Endpoint::ChatCompletions, &stream(), Some(9), true);
    let (out, kind, usage) = run(meter, [text.as_bytes()].into_iter());
    (String::from_utf8(out).unwrap(), kind, usage)
}

#[test]
fn what_goes_to_a_cache_is_part_of_the_input_of_completions() {
    let used = USED.replace(
        "\"cached_tokens\":20",
        "\"cached_tokens\":20,\"cache_write_tokens\":25",
    );
    let (_, kind, usage) = chat(&format!("{CHUNK}{used}{DONE}"));
    assert_eq!(kind, SettledAs::Told);
    assert_eq!((usage.input_tokens, usage.cache_read_tokens), (5, 20));
    assert_eq!(usage.cache_write_5m_tokens, 25);
}

#[test]
fn a_stream_of_messages_tells_every_kind_of_token() {
    let (kind, usage) = messages(&format!("{CREATED}{SAID}{STOPPED}"));
    let told = Usage {
        input_tokens: 3,
        output_tokens: 42,
        cache_read_tokens: 7,
        cache_write_5m_tokens: 10,
        cache_write_1h_tokens: 20,
    };
    assert_eq!((kind, usage), (SettledAs::Told, told));
    let (kind, usage) = messages(&format!("{CREATED}{SAID}{SAID}"));
    assert_eq!(kind, SettledAs::Streamed);
    assert_eq!((usage.input_tokens, usage.cache_write_1h_tokens), (3, 20));
    assert!(usage.output_tokens > 20, "{usage:?}");
    // What a model says of usage is not what it took.
    assert!(usage.output_tokens < 100, "{usage:?}");
    assert_eq!(messages("").0, SettledAs::Unknown);
    assert_eq!(
        messages(": nothing\n\nevent: ping\ndata: {}\n\n").0,
        SettledAs::Unknown
    );
}

#[test]
fn the_last_chunk_of_a_chat_is_counted_and_held_back() {
    let (out, kind, usage) = chat(&format!("{FILTERED}{CHUNK}{CHUNK}{USED}{DONE}"));
    assert_eq!(out, format!("{FILTERED}{CHUNK}{CHUNK}{DONE}"));
    let told = Usage {
        input_tokens: 30,
        // Of the total: thinking that the server leaves out of the output.
        output_tokens: 10,
        cache_read_tokens: 20,
        ..Usage::default()
    };
    assert_eq!((kind, usage), (SettledAs::Told, told));
    let returns = |text: &str| text.replace('\n', "\r\n");
    let (out, kind, _) = chat(&returns(&format!("{CHUNK}{USED}{DONE}")));
    assert_eq!(out, returns(&format!("{CHUNK}{DONE}")));
    assert_eq!(kind, SettledAs::Told);
    // Usage in a chunk that has more passes.
    let both = "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    let (out, kind, _) = chat(both);
    assert_eq!((out.as_str(), kind), (both, SettledAs::Told));
    // Half an event that might be it passes at the end.
    let (out, kind, usage) = chat(&format!("{CHUNK}{}", &USED[..30]));
    assert_eq!(out, format!("{CHUNK}{}", &USED[..30]));
    assert_eq!((kind, usage.input_tokens), (SettledAs::Streamed, 9));
    assert!(usage.output_tokens > 0);
}

#[test]
fn whole_answers_and_responses_tell_what_they_took() {
    let whole = |endpoint, text: &str| {
        let meter = Meter::new(endpoint, &headers("application/json"), None, false);
        let (_, kind, usage) = run(meter, text.as_bytes().chunks(7));
        (
            kind,
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.output_tokens,
        )
    };
    let message = r#"{"content":[{"text":"{\"usage\":{}}"}],"usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":8}}"#;
    assert_eq!(
        whole(Endpoint::Messages, message),
        (SettledAs::Told, 5, 3, 8)
    );
    let response = r#"{"output":[],"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":3},"output_tokens":8,"total_tokens":13}}"#;
    assert_eq!(
        whole(Endpoint::Responses, response),
        (SettledAs::Told, 2, 3, 8)
    );
    let vectors =
        r#"{"data":[{"embedding":[0.1,-2e-5,3]}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#;
    assert_eq!(
        whole(Endpoint::Embeddings, vectors),
        (SettledAs::Told, 5, 0, 0)
    );
    let cut = &message[..message.len() - 3];
    assert_eq!(whole(Endpoint::Messages, cut).0, SettledAs::Unknown);
    let queued = r#"{"status":"queued","usage":null}"#;
    assert_eq!(whole(Endpoint::Responses, queued).0, SettledAs::Unknown);
    let events = "event: response.output_text.delta\ndata: {\"delta\":\"abcdef\"}\n\n";
    let end = "event: response.completed\ndata: {\"response\":{\"output\":[{\"text\":\"abcdef\"}],\"usage\":{\"input_tokens\":5,\"output_tokens\":8}}}\n\n";
    let streamed = |text: &str| {
        let meter = Meter::new(Endpoint::Responses, &stream(), Some(9), false);
        let (_, kind, usage) = run(meter, [text.as_bytes()].into_iter());
        (kind, usage.input_tokens, usage.output_tokens)
    };
    assert_eq!(streamed(&format!("{events}{end}")), (SettledAs::Told, 5, 8));
    assert_eq!(streamed(events), (SettledAs::Streamed, 9, 2));
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

proptest! {
    #[test]
    fn any_pieces_of_an_answer_pass_as_the_same_bytes_and_settle_to_the_same(
        events in proptest::collection::vec(prop::sample::select(vec![CREATED, SAID, STOPPED, CHUNK, FILTERED, USED, DONE, ": ping\n\n", "\n", "data: {\"choices\":[\n"]), 0..8),
        returns in 0..3,
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        endpoint in prop::sample::select(vec![Endpoint::Messages, Endpoint::ChatCompletions, Endpoint::Responses]),
        drops: bool,
    ) {
        let text = events.concat();
        let text = match returns { 0 => text, 1 => text.replace('\n', "\r\n"), _ => text.replace('\n', "\r") };
        let bytes = text.as_bytes();
        let meter = || Meter::new(endpoint, &stream(), Some(9), drops);
        let whole = run(meter(), [bytes].into_iter());
        prop_assert_eq!(&run(meter(), pieces(bytes, &cuts).into_iter()), &whole);
        prop_assert_eq!(&run(meter(), bytes.chunks(1)), &whole);
        if !drops {
            prop_assert_eq!(whole.0, bytes);
        }
    }

    #[test]
    fn any_bytes_pass_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut: usize, is_stream: bool) {
        let headers = if is_stream { stream() } else { headers("application/json") };
        let meter = || Meter::new(Endpoint::Messages, &headers, None, false);
        let whole = run(meter(), [&bytes[..]].into_iter());
        prop_assert_eq!(&whole.0, &bytes);
        prop_assert_eq!(&run(meter(), pieces(&bytes, &[cut]).into_iter()), &whole);
    }
}
