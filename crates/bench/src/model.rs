//! A model that answers at once, with 1 KiB: in the Messages API, or as chat completions, whole or as a stream of events.

use std::borrow::Cow;

use crate::at_once::Answers;

/// Bytes of an answer.
const BODY_BYTES: usize = 1024;
/// How a request for a stream is told from another: requests here write it so, or as Python and JavaScript write it anew.
const STREAMS: [&[u8]; 2] = [br#""stream":true"#, br#""stream": true"#];

/// All that it ever says.
pub(crate) struct Model {
    message: String,
    completion: String,
    message_stream: String,
    completion_stream: String,
}

impl Model {
    pub(crate) fn new() -> Self {
        let messages = r#""usage":{"input_tokens":200,"output_tokens":20}}"#;
        let completions =
            r#""usage":{"prompt_tokens":200,"completion_tokens":20,"total_tokens":220}}"#;
        let message = |text: &str| {
            format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","content":[{{"type":"text","text":"{text}"}}],{messages}"#
            )
        };
        let completion = |text: &str| {
            format!(
                r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{text}"}}}}],{completions}"#
            )
        };
        let message_events = format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{{\"input_tokens\":200,\"output_tokens\":1}}}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},{messages}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        );
        let completion_events = format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"a\"}},\"finish_reason\":null}}]}}\n\n\
             data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n\
             data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],{completions}\n\ndata: [DONE]\n\n"
        );
        Self {
            message: whole(message),
            completion: whole(completion),
            message_stream: chunked(&message_events),
            completion_stream: chunked(&completion_events),
        }
    }
}

impl Answers for Model {
    fn to(&self, request: &[u8]) -> Cow<'_, str> {
        let has = |word: &[u8]| request.windows(word.len()).any(|window| window == word);
        let is_stream = STREAMS.iter().any(|word| has(word));
        let line = request.split(|byte| *byte == b'\n').next();
        let line = line.unwrap_or_default();
        let is_completion = line.windows(16).any(|window| window == b"chat/completions");
        Cow::Borrowed(match (is_completion, is_stream) {
            (true, false) => &self.completion,
            (false, false) => &self.message,
            (true, true) => &self.completion_stream,
            (false, true) => &self.message_stream,
        })
    }
}

/// With a text that makes it as long as answers are here.
fn whole(body: impl Fn(&str) -> String) -> String {
    let rest = body("").len();
    let body = body(&"a".repeat(BODY_BYTES - rest));
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunked(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{events}\r\n0\r\n\r\n",
        events.len()
    )
}
