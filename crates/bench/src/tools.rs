//! An MCP server that answers at once, over HTTP or over its standard input: it has one tool, `echo`, that says a word.

use std::borrow::Cow;
use std::io::{BufRead as _, Write as _};

use anyhow::Result;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::at_once::{self, Answers};

/// What the tool says.
pub(crate) const WORD: &str = "heard";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Over standard input and output.
    #[arg(long)]
    stdio: bool,
}

struct Tools;

/// What of a message has to be known for an answer.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Begin {
    #[serde(rename = "protocolVersion")]
    version: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.stdio {
        return at_once::run(Tools);
    }
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        if let Some(answer) = answer(line?.as_bytes()) {
            writeln!(output, "{answer}")?;
        }
    }
    Ok(())
}

/// The answer to a message; none to what asks for none, or is none.
fn answer(message: &[u8]) -> Option<String> {
    let message: Message<'_> = serde_json::from_slice(message).ok()?;
    let id = message.id?;
    let result = match &*message.method {
        "initialize" => {
            let begin: Begin = serde_json::from_str(message.params?.get()).ok()?;
            let version = begin.version;
            format!(
                r#"{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"tools","version":"1"}}}}"#
            )
        }
        "tools/list" => r#"{"tools":[{"name":"echo","description":"Says a word.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}]}"#.to_owned(),
        "tools/call" => format!(r#"{{"content":[{{"type":"text","text":"{WORD}"}}]}}"#),
        "ping" => "{}".to_owned(),
        _ => {
            let error = r#"{"code":-32601,"message":"there is no such method"}"#;
            return Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
        }
    };
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

impl Answers for Tools {
    fn to(&self, request: &[u8]) -> Cow<'_, str> {
        if !request.starts_with(b"POST ") {
            let refused =
                "HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n";
            return Cow::Borrowed(refused);
        }
        let head = request.windows(4).position(|end| end == b"\r\n\r\n");
        let body = &request[head.map_or(request.len(), |head| head + 4)..];
        let Some(body) = answer(body) else {
            return Cow::Borrowed("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        };
        Cow::Owned(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: bench\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_answer_of_its_own_id_and_a_notification_none() {
        let said = answer(br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{}}"#);
        let said: serde_json::Value = serde_json::from_str(&said.unwrap()).unwrap();
        assert_eq!(
            (&said["id"], &said["result"]["content"][0]["text"]),
            (&"a".into(), &WORD.into())
        );
        assert_eq!(
            answer(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            None
        );
        let begun = Tools.to(b"POST /mcp HTTP/1.1\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\"}}");
        assert!(
            begun.contains(r#""protocolVersion":"2025-06-18""#),
            "{begun}"
        );
    }
}
