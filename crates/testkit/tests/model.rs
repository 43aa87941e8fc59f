//! The scripted model as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// What is answered, head and body.
fn ask(address: &str, head: &str, body: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is a client of its own server"
    )]
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn a_script_of_json_is_served_until_standard_input_ends() {
    let script = tempfile::NamedTempFile::new().expect("a file");
    let steps = r#"{"steps": [
        {"when": {"round": 0}, "times": null, "answer": {"reply": {"pieces": [{"thinking": "t"}, {"text": "Hello"}, {"tool": {"name": "f", "input": {"a": 1}}}], "pace": {"delta_chars": 3}}}},
        {"when": {"contains": "again"}, "answer": {"failure": {"status": 429, "retry_after": "1"}}},
        {"answer": {"reply": {"pieces": [{"text": "a"}], "fault": {"cut_after": 2}}}}
    ]}"#;
    std::fs::write(script.path(), steps).expect("it is written");
    #[expect(clippy::disallowed_methods, reason = "a test starts what it is about")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_scripted-model"));
    command
        .arg("127.0.0.1:0")
        .arg(script.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = command.spawn().expect("it starts");
    let mut url = String::new();
    BufReader::new(process.stdout.take().expect("its output"))
        .read_line(&mut url)
        .expect("a line");
    let address = url.trim().strip_prefix("http://").expect("a URL");
    let head = "POST /v1/messages HTTP/1.1\r\nHost: a\r\nanthropic-version: 2023-06-01";
    let body =
        r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let answer = ask(address, head, body);
    for said in [
        "text/event-stream",
        "request-id: req_00000000",
        "thinking_delta",
        "\"Hel\"",
        "\"lo\"",
        "input_json_delta",
        "event: message_stop\n",
    ] {
        assert!(answer.contains(said), "{said} is not in {answer}");
    }
    let round = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"again"}]}"#;
    let answer = ask(address, head, round);
    assert!(
        answer.starts_with("HTTP/1.1 429")
            && answer.contains("retry-after: 1")
            && answer.contains("rate_limit_error"),
        "{answer}"
    );
    let asked = ask(address, "GET /scripted/requests HTTP/1.1\r\nHost: a", "");
    assert!(
        asked.contains("\"status\":429") && asked.contains("\"finished\":true"),
        "{asked}"
    );
    drop(process.stdin.take());
    assert!(process.wait().expect("it ends").success());
}
