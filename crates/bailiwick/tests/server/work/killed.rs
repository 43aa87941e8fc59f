//! The server is killed at every event of a turn, and started again: the turn comes to its end, and nothing happens twice unsaid.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use bailiwick_testkit::{HttpServer, ModelPiece, ModelStep, Pace, eventually};
use serde_json::{Value, json};

use super::Place;
use crate::PATIENCE;

/// The stream of a session's events, from when it was opened.
pub(super) struct Stream {
    lines: std::io::Lines<BufReader<TcpStream>>,
}

impl Stream {
    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    pub(super) fn open(place: &Place, session: &str) -> Self {
        let address = place.up.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = format!("/v1/sessions/{session}/events/stream");
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\n\r\n",
            place.up.key
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "HTTP/1.1 200 OK");
        Self { lines }
    }

    /// The next event; none once the connection has ended.
    pub(super) fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.lines.next()?.ok()?;
            let event = line.strip_prefix("data: ");
            let event = event.and_then(|data| serde_json::from_str::<Value>(data).ok());
            // A ping has no id.
            if let Some(event) = event.filter(|event| event["id"].is_string()) {
                return Some(event);
            }
        }
    }
}

/// A turn that calls two tools, one after the other, each of which tells somebody outside that it ran. For any number of sessions.
pub(super) fn turn(port: u16) -> Vec<ModelStep> {
    let call = |name: &str| {
        let command = format!("curl -sS -m 20 http://count.test:{port}/{name} && sleep 0.2");
        ModelPiece::tool("bash", json!({"command": command}))
    };
    let text = |text: &str| ModelPiece::Text(text.to_owned());
    let thinking = ModelPiece::Thinking("One after the other.".to_owned());
    // There is time to die in between.
    let pace = Pace {
        first_event_ms: 50,
        event_ms: 5,
        ..Pace::default()
    };
    let answers = [
        ModelStep::reply([thinking, text("The first."), call("first")]),
        ModelStep::reply([text("The second."), call("second")]),
        ModelStep::text("Done."),
    ];
    let in_rounds = (0..).zip(answers);
    in_rounds
        .map(|(round, answer)| answer.at(pace).in_round(round))
        .collect()
}

/// What happened in a session and to those outside, from when it began.
struct Case<'a> {
    place: &'a mut Place,
    count: &'a HttpServer,
    environment: &'a str,
    /// How many requests there were before.
    requests: usize,
    asked: usize,
}

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// When so many events have come through the stream.
    Event(usize),
    /// When a tool has told somebody outside that it runs, so often.
    Call(usize),
    /// Not at all.
    Never,
}

impl<'a> Case<'a> {
    fn new(place: &'a mut Place, count: &'a HttpServer, environment: &'a str) -> Self {
        let (requests, asked) = (count.requests().len(), place.model.asked().len());
        Self {
            place,
            count,
            environment,
            requests,
            asked,
        }
    }

    /// Has a turn, during which the server is killed once; how many events it has, and what was at work when it died.
    fn run(self, moment: Moment) -> (usize, Vec<&'static str>) {
        let session = self.place.session(self.environment, &Value::Null);
        let mut stream = Stream::open(self.place, &session);
        self.place.tells(&session, "Go.");
        let mut streamed = Vec::new();
        match moment {
            Moment::Never => {}
            Moment::Event(number) => {
                streamed.extend(std::iter::from_fn(|| stream.next()).take(number));
                assert_eq!(streamed.len(), number);
            }
            Moment::Call(number) => eventually("the call", PATIENCE, || {
                (self.count.requests().len() >= self.requests + number).then_some(())
            }),
        }
        if !matches!(moment, Moment::Never) {
            self.place.kill_and_start_again();
            // What had come through before the connection broke.
            streamed.extend(std::iter::from_fn(|| stream.next()));
        }
        self.place.rests(&session, 1);
        let events = self.place.events(&session);
        eprintln!("{moment:?}: {}", kinds(&events).join(" "));
        is_continued(&streamed, &events);
        self.is_done_once(&events);
        self.is_told_on();
        let failed = |kind, what| {
            let is_so = of_kind(&events, kind)
                .iter()
                .any(|event| event["is_error"] == true);
            is_so.then_some(what)
        };
        let request = failed("span.model_request_end", "a request");
        let call = failed("agent.tool_result", "a call");
        (events.len(), request.into_iter().chain(call).collect())
    }

    /// Each call has one result, and ran once, or not at all and may have.
    fn is_done_once(&self, events: &[Value]) {
        let requests = self.count.requests().split_off(self.requests);
        let calls = of_kind(events, "agent.tool_use");
        assert_eq!(calls.len(), 2, "{events:#?}");
        for (call, name) in calls.iter().zip(["first", "second"]) {
            let results: Vec<_> = of_kind(events, "agent.tool_result")
                .into_iter()
                .filter(|result| result["tool_use_id"] == call["id"])
                .collect();
            let [result] = results[..] else {
                panic!("not one result: {results:#?}");
            };
            let ran = requests
                .iter()
                .filter(|head| head.starts_with(&format!("GET /{name} ")))
                .count();
            let text = result["content"][0]["text"].as_str().unwrap();
            if result["is_error"] == true {
                assert!(text.contains("was not run again"), "{text}");
                assert!(ran <= 1, "{name} ran {ran} times");
            } else {
                assert_eq!(ran, 1, "{text}");
            }
        }
        let last = events.last().unwrap();
        assert_eq!(last["type"], "session.status_idle");
        assert_eq!(last["stop_reason"], json!({"type": "end_turn"}));
        assert_eq!(of_kind(events, "agent.message").len(), 3, "{events:#?}");
        let begun = of_kind(events, "span.model_request_start");
        let ended = of_kind(events, "span.model_request_end");
        for start in &begun {
            let ends = ended
                .iter()
                .filter(|end| end["model_request_start_id"] == start["id"]);
            assert_eq!(ends.count(), 1, "of {start}: {events:#?}");
        }
    }

    /// Each question to the model goes on where the one before ended.
    fn is_told_on(&self) {
        let asked = self.place.model.asked().split_off(self.asked);
        let conversations: Vec<_> = asked.iter().map(conversation).collect();
        for pair in conversations.windows(2) {
            assert!(pair[1].starts_with(&pair[0]), "{pair:#?}");
        }
        assert!((3..=4).contains(&asked.len()), "{}", asked.len());
    }
}

/// What was streamed is how the list begins, to the letter but for the times at which input was taken up.
fn is_continued(streamed: &[Value], listed: &[Value]) {
    let kept = |event: &Value| {
        let mut event = event.clone();
        if event["type"] == "user.message" {
            event["processed_at"] = Value::Null;
        }
        event
    };
    let streamed: Vec<_> = streamed.iter().map(kept).collect();
    let listed: Vec<_> = listed.iter().map(kept).collect();
    assert!(listed.starts_with(&streamed), "{streamed:#?}\n{listed:#?}");
}

/// The messages of a request, without what says how long they are to be cached.
fn conversation(request: &Value) -> Vec<Value> {
    let mut messages = request["messages"].as_array().unwrap().clone();
    let blocks = messages
        .iter_mut()
        .filter_map(|message| message["content"].as_array_mut())
        .flatten();
    for block in blocks {
        if let Some(block) = block.as_object_mut() {
            block.remove("cache_control");
        }
    }
    messages
}

pub(super) fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    let of_kind = |event: &&Value| event["type"] == kind;
    events.iter().filter(of_kind).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect()
}

#[test]
fn system_a_server_that_is_killed_at_any_event_of_a_turn_ends_it_once() {
    let count = HttpServer::start();
    let port = count.address().port();
    let pin = format!("count.test=127.0.0.1:{port}");
    let mut place = Place::new(turn(port), &["--sandbox-resolve", &pin]);
    let networking = json!({"type": "limited", "allowed_hosts": ["count.test"]});
    let environment = place.environment(&networking);
    // The control: nobody is killed, and there is this much to happen.
    let (events, cut) = Case::new(&mut place, &count, &environment).run(Moment::Never);
    assert_eq!(count.requests().len(), 2);
    assert!(events >= 20 && cut.is_empty(), "{events} {cut:?}");
    let moments = (1..=events).map(Moment::Event);
    let mut all_cut = Vec::new();
    for moment in moments.chain([Moment::Call(1), Moment::Call(2)]) {
        let (_, cut) = Case::new(&mut place, &count, &environment).run(moment);
        all_cut.extend(cut);
    }
    // It died over both.
    assert!(
        all_cut.contains(&"a request") && all_cut.contains(&"a call"),
        "{all_cut:?}"
    );
    assert_eq!(place.model.unscripted(), 0);
    place.up.stop();
}
