//! Servers over pipes, as a gateway's clients see them: honest ones, and those that mean harm. They are played by the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_mcp::{
    Backing, Caller, Entrance, Gateway, Greeting, HeldAccess, Hosts, Item, Joined, McpError,
    Member, Naming, PipedServer, Pulse, ServerName, Verdict,
};
use bailiwick_model::limits::MCP_ANSWER_BYTES;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex};
use tokio::task::JoinHandle;

const PIPE_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// The other end of the pipes: what a test's server reads and writes.
struct Ends {
    lines: Lines<BufReader<DuplexStream>>,
    output: DuplexStream,
}

impl Ends {
    /// What it is asked next, with what it is told in between left out.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            let message: Value = serde_json::from_str(&line).expect(&line);
            if message.get("id").is_some() {
                return Some(message);
            }
        }
    }

    async fn write(&mut self, text: &str) {
        let written = self.output.write_all(text.as_bytes()).await;
        // It may be known by now that nobody reads it.
        let _ = written;
    }

    async fn send(&mut self, message: &Value) {
        self.write(&format!("{message}\n")).await;
    }

    async fn answer(&mut self, asked: &Value, result: Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}))
            .await;
    }

    async fn say(&mut self, asked: &Value, text: &str) {
        let content = json!([{"type": "text", "text": text}]);
        self.answer(asked, json!({"content": content})).await;
    }

    /// Answers what is asked before the first call, and gives that.
    async fn call(&mut self) -> Option<Value> {
        loop {
            let asked = self.next().await?;
            match asked["method"].as_str() {
                Some("initialize") => self.answer(&asked, greeting()).await,
                Some("tools/list") => self.answer(&asked, tools()).await,
                Some("ping") => self.answer(&asked, json!({})).await,
                _ => return Some(asked),
            }
        }
    }
}

fn greeting() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "played", "version": "1"},
    })
}

fn tools() -> Value {
    let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
    json!({"tools": [tool("one"), tool("hidden")]})
}

/// Everybody may use everything but what is called `hidden`.
struct Backed(Arc<PipedServer>);

impl Backing for Backed {
    async fn access(&self, _: &ServerName) -> Result<HeldAccess, McpError> {
        Ok(HeldAccess::piped(Arc::clone(&self.0)))
    }

    async fn judge(&self, _: &ServerName, item: Item<'_>) -> Verdict {
        match item {
            Item::Tool("hidden") => Verdict::Hidden,
            Item::Tool(_) | Item::Prompt(_) | Item::Resource(_) | Item::Template(_) => {
                Verdict::Served
            }
        }
    }
}

/// A gateway before one server over pipes.
struct World {
    gateway: Gateway<Joined<Backed>>,
    server: Arc<PipedServer>,
    log: Arc<Mutex<Vec<String>>>,
    played: JoinHandle<()>,
}

impl World {
    fn new<F>(play: impl FnOnce(Ends) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (input, lines) = duplex(PIPE_BYTES);
        let (output, printed) = duplex(PIPE_BYTES);
        let log = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&log);
        let note = move |line: &[u8]| {
            let line = String::from_utf8_lossy(line).into_owned();
            kept.lock().unwrap().push(line);
        };
        let server = PipedServer::new((input, printed), ["sesame"], note);
        let ends = Ends {
            lines: BufReader::new(lines).lines(),
            output,
        };
        Self {
            gateway: Gateway::new(Entrance {
                hosts: Hosts::Any,
                origins: Vec::new(),
            }),
            server,
            log,
            played: tokio::spawn(play(ends)),
        }
    }

    /// One caller's view.
    fn view(&self) -> Arc<Joined<Backed>> {
        let member = Member {
            name: "played".parse().unwrap(),
            url: "http://127.0.0.1/".parse().unwrap(),
        };
        let backing = Backed(Arc::clone(&self.server));
        let greeting = Greeting::default();
        Arc::new(Joined::new(vec![member], Naming::Own, greeting, backing).unwrap())
    }

    /// A request of the revision without sessions, and all that comes of it: the last message is the answer.
    async fn sent(&self, view: &Arc<Joined<Backed>>, body: String, name: &str) -> Vec<Value> {
        let method = serde_json::from_str::<Value>(&body).unwrap()["method"].clone();
        let request = Request::post("http://localhost/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method.as_str().unwrap())
            .header("mcp-name", name)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let caller = Caller::new("ann");
        let view = Arc::clone(view);
        let answering = async {
            let answer = Box::pin(self.gateway.answer(&caller, |_| view, request)).await;
            answer.into_body().collect().await.unwrap().to_bytes()
        };
        let body = tokio::time::timeout(PATIENCE, answering).await.unwrap();
        if let Ok(whole) = serde_json::from_slice(&body) {
            return vec![whole];
        }
        let text = String::from_utf8(body.to_vec()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let parts = data.filter_map(|data| serde_json::from_str(data.trim()).ok());
        parts.collect()
    }

    async fn call(&self, view: &Arc<Joined<Backed>>, tool: &str, meta: Value) -> Vec<Value> {
        let message = json!({
            "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": tool, "arguments": {}, "_meta": modern(meta)},
        });
        self.sent(view, message.to_string(), tool).await
    }

    /// Calls the one tool that there is for everybody, and gives what is said to it.
    async fn said(&self) -> String {
        let all = self.call(&self.view(), "one", Value::Null).await;
        text_of(all.last().unwrap())
    }
}

/// What a result says, or an error.
fn text_of(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.or(answer["error"]["message"].as_str());
    text.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn modern(meta: Value) -> Value {
    let mut all = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Value::Object(meta) = meta {
        all.as_object_mut().unwrap().extend(meta);
    }
    all
}

#[tokio::test]
async fn many_callers_have_one_session_and_each_its_own_answers() {
    let world = World::new(|mut ends| async move {
        let mut waiting = Vec::new();
        let mut begun = 0;
        while let Some(asked) = ends.next().await {
            match asked["method"].as_str() {
                Some("initialize") => {
                    begun += 1;
                    ends.answer(&asked, greeting()).await;
                }
                Some("tools/list") => ends.answer(&asked, tools()).await,
                _ => waiting.push(asked),
            }
            if waiting.len() == 5 {
                // The last first.
                while let Some(asked) = waiting.pop() {
                    let name = asked["params"]["arguments"].clone();
                    ends.say(&asked, &format!("{name} of {begun}")).await;
                }
            }
        }
    });
    let one = async |number: u64| {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "one", "arguments": {"n": number}, "_meta": modern(Value::Null)},
        });
        let view = world.view();
        let all = world.sent(&view, message.to_string(), "one").await;
        text_of(all.last().unwrap())
    };
    let (a, b, c, d, e) = tokio::join!(one(0), one(1), one(2), one(3), one(4));
    for (number, said) in [a, b, c, d, e].into_iter().enumerate() {
        assert_eq!(said, format!("{{\"n\":{number}}} of 1"));
    }
}

#[tokio::test]
async fn a_newline_between_values_is_no_new_message() {
    let world = World::new(|mut ends| async move {
        while let Some(asked) = ends.call().await {
            let name = asked["params"]["name"].clone();
            ends.say(&asked, &format!("{name}")).await;
        }
    });
    let smuggled = r#"{"jsonrpc":"2.0","id":99,"method":"tools/call","params":{"name":"hidden","arguments":{}}}"#;
    let meta = modern(Value::Null);
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"one\",\"_meta\":{meta},\"arguments\":{{\"a\":\n{smuggled}\r\n}}}}}}"
    );
    let all = world.sent(&world.view(), body, "one").await;
    assert_eq!(text_of(all.last().unwrap()), "\"one\"");
    let hidden = world.call(&world.view(), "hidden", Value::Null).await;
    assert!(hidden.last().unwrap()["error"].is_object(), "{hidden:?}");
    // What it was asked was all in whole lines, or the server would have failed the test.
    assert!(!world.played.is_finished());
}

#[tokio::test]
async fn progress_comes_to_whoever_waits_and_a_log_to_the_only_one() {
    let world = World::new(|mut ends| async move {
        while let Some(asked) = ends.call().await {
            let token = asked["params"]["_meta"]["progressToken"].clone();
            for token in [token, json!(12345)] {
                ends.send(
                    &json!({"jsonrpc": "2.0", "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": 1}}),
                )
                .await;
            }
            ends.send(&json!({"jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "error", "data": "it burns"}}))
                .await;
            ends.say(&asked, "done").await;
        }
    });
    let meta = json!({"progressToken": "p", "io.modelcontextprotocol/logLevel": "error"});
    let all = world.call(&world.view(), "one", meta).await;
    let methods: Vec<_> = all.iter().filter_map(|it| it["method"].as_str()).collect();
    assert_eq!(methods, ["notifications/progress", "notifications/message"]);
    assert_eq!(all[0]["params"]["progressToken"], "p");
    assert_eq!(text_of(all.last().unwrap()), "done");
    assert!(world.log.lock().unwrap()[0].contains("it burns"));
}

#[tokio::test]
async fn garbage_costs_its_call_alone_and_is_told() {
    let world = World::new(|mut ends| async move {
        ends.write("Server is listening!\n\n").await;
        let mut count = 0;
        while let Some(asked) = ends.call().await {
            count += 1;
            match count {
                1 => ends.write("{\"jsonrpc\": \"2.0\", \"id\": oops\n").await,
                2 => ends.write("\u{1b}[31m<html>\n").await,
                _ => {}
            }
            if count > 1 {
                ends.say(&asked, "well").await;
                // Twice; and to something that nobody asked.
                ends.say(&asked, "again").await;
                ends.say(&json!({"id": 4321}), "nobody").await;
            }
        }
    });
    let first = world.said().await;
    assert!(first.contains("not JSON"), "{first}");
    for _ in 0..3 {
        assert_eq!(world.said().await, "well");
    }
    let log = world.log.lock().unwrap().clone();
    assert!(log[0].contains("listening"), "{log:?}");
    assert!(log.iter().any(|line| line.contains("oops")), "{log:?}");
    assert!(!world.server.is_over());
}

#[tokio::test]
async fn what_a_server_knows_of_a_secret_is_not_shown() {
    let world = World::new(|mut ends| async move {
        while let Some(asked) = ends.call().await {
            ends.say(&asked, "the key is sesame").await;
        }
    });
    assert_eq!(world.said().await, "the key is [redacted]");
}

#[tokio::test]
async fn a_line_without_end_ends_the_server_and_whoever_waits_is_told() {
    let world = World::new(|mut ends| async move {
        let _ = ends.call().await;
        let endless = "x".repeat(1 << 20);
        for _ in 0..=(MCP_ANSWER_BYTES >> 20) {
            ends.write(&endless).await;
        }
        // It is read no more.
        std::future::pending::<()>().await;
    });
    let said = world.said().await;
    assert!(said.contains("too long"), "{said}");
    world.server.over().await;
    assert!(world.server.is_over());
}

#[tokio::test]
async fn many_lines_that_nobody_asked_for_end_the_server_too() {
    let world = World::new(|mut ends| async move {
        let _ = ends.call().await;
        let line = format!("{}\n", "x".repeat(4095));
        loop {
            ends.write(&line).await;
            tokio::task::yield_now().await;
        }
    });
    let said = world.said().await;
    assert!(said.contains("too long"), "{said}");
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_is_told_as_ended_and_so_are_calls_after_it() {
    let world = World::new(|mut ends| async move {
        let _ = ends.call().await;
    });
    let said = world.said().await;
    assert!(said.contains("has ended"), "{said}");
    let said = world.said().await;
    assert!(said.contains("has ended"), "{said}");
}

#[tokio::test]
async fn questions_of_a_server_are_answered_and_not_without_end() {
    let world = World::new(|mut ends| async move {
        let asked = ends.call().await.unwrap();
        for id in 0..100 {
            ends.send(&json!({"jsonrpc": "2.0", "id": format!("s{id}"), "method": "ping"}))
                .await;
        }
        ends.send(&json!({"jsonrpc": "2.0", "id": "x", "method": "sampling/createMessage"}))
            .await;
        ends.answer(
            &asked,
            json!({"content": [{"type": "text", "text": "asked"}]}),
        )
        .await;
        let mut answers = 0;
        while let Ok(Some(answer)) =
            tokio::time::timeout(Duration::from_millis(500), ends.next()).await
        {
            assert!(answer.get("result").is_some(), "{answer}");
            answers += 1;
        }
        assert_eq!(answers, bailiwick_model::limits::MCP_ASIDES);
    });
    assert_eq!(world.said().await, "asked");
    world.played.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_has_no_pulse() {
    let world = World::new(|mut ends| async move { while ends.next().await.is_some() {} });
    let pulse = Pulse::new("http://127.0.0.1/".parse().unwrap()).unwrap();
    let access = HeldAccess::piped(Arc::clone(&world.server));
    let beat = pulse.beat(&access, Duration::from_secs(5)).await;
    assert!(matches!(beat, Err(McpError::Timeout)), "{beat:?}");
    assert!(!access.is_asked());
}

#[tokio::test]
async fn a_server_that_refuses_a_ping_is_there() {
    let world = World::new(|mut ends| async move {
        while let Some(asked) = ends.next().await {
            match asked["method"].as_str() {
                Some("initialize") => ends.answer(&asked, greeting()).await,
                _ => {
                    let error = json!({"code": -32601, "message": "no such method"});
                    ends.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
                        .await;
                }
            }
        }
    });
    let pulse = Pulse::new("http://127.0.0.1/".parse().unwrap()).unwrap();
    let access = HeldAccess::piped(Arc::clone(&world.server));
    let beat = pulse.beat(&access, PATIENCE).await;
    assert!(beat.is_ok(), "{beat:?}");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_cancelled_at_the_server() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (began, begun) = tokio::sync::oneshot::channel();
    let world = World::new(|mut ends| async move {
        let asked = ends.call().await.unwrap();
        began.send(()).unwrap();
        loop {
            let line = ends.lines.next_line().await.unwrap().unwrap();
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["method"] == "notifications/cancelled" {
                tell.send(message["params"]["requestId"] == asked["id"])
                    .unwrap();
                return;
            }
        }
    });
    let view = world.view();
    let calling = world.call(&view, "one", Value::Null);
    tokio::select! {
        answer = calling => panic!("{answer:?}"),
        _ = begun => {}
    }
    // Without a session, whoever hangs up wants it stopped.
    let told = tokio::time::timeout(PATIENCE, told).await;
    assert!(told.unwrap().unwrap());
}
