//! The examples for the official SDKs do what they say, as they stand, in each language and against agents that really work.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_testkit::{
    ModelAnswer, ModelFailure, ModelFault, ModelPiece, ModelReply, ModelStep, Pace, Sdk,
};
use serde_json::{Value, json};

use super::{Place, bash};
use crate::finish;

/// The current versions, and the last before the wire's second version.
const PYTHON: [&str; 2] = ["2.12.0", "0.125.0"];
const NODE: &str = "1.12.0";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// An example in Python, for a version of the SDK.
fn python(name: &str, version: &str) -> Command {
    let path = examples().join(format!("python/{name}.py"));
    let script = std::fs::read_to_string(path).unwrap();
    Sdk::python(version).command(&script)
}

/// An example in TypeScript.
fn typescript(name: &str) -> Command {
    let path = examples().join(format!("typescript/{name}.ts"));
    Sdk::node(NODE).typescript(&path)
}

/// Runs an example against a server, and returns what it printed.
fn printed(place: &Place, mut example: Command) -> String {
    example
        .env("ANTHROPIC_BASE_URL", &place.up.url)
        .env("ANTHROPIC_API_KEY", &place.up.key);
    finish(&mut example).exits(0).stdout
}

/// Runs an example in each language and version, each with a server and a script of its own, which it must use up.
fn runs(
    name: &str,
    steps: impl Fn() -> Vec<ModelStep>,
    versions: &[&str],
    check: impl Fn(&Place, &str),
) {
    let of_python = versions.iter().map(|version| python(name, version));
    for example in of_python.chain([typescript(name)]) {
        let place = Place::new(steps(), &[]);
        let printed = printed(&place, example);
        check(&place, &printed);
        assert_eq!(place.model.unscripted(), 0, "{printed}");
        place.up.stop();
    }
}

fn says(name: &str, steps: impl Fn() -> Vec<ModelStep>, shown: &str) {
    runs(name, steps, &PYTHON, |_, printed| {
        assert_eq!(printed, shown);
    });
}

/// The only session that there is, and all of its events.
fn only_session(place: &Place) -> (String, Vec<Value>) {
    let sessions = place.asks("GET", "/v1/sessions", &Value::Null);
    let session = sessions["data"][0]["id"].as_str().unwrap().to_owned();
    let events = place.events(&session);
    (session, events)
}

#[test]
fn system_the_quickstart_goes_from_an_agent_to_its_answer() {
    let steps = || {
        vec![
            bash("seq 2 30 | factor | awk 'NF == 2 { print $2 }' | head -10 > primes.txt"),
            bash("tail -1 primes.txt"),
            ModelStep::text("They are in primes.txt; the last one is 29."),
        ]
    };
    let shown = "tool: bash seq 2 30 | factor | awk 'NF == 2 { print $2 }' | head -10 > primes.txt\n\
                 result: (no output)\n\
                 tool: bash tail -1 primes.txt\n\
                 result: 29\n\
                 agent: They are in primes.txt; the last one is 29.\n\
                 over: end_turn\n";
    says("quickstart", steps, shown);
}

#[test]
fn system_a_call_runs_once_it_was_allowed_and_not_at_all_when_it_was_denied() {
    let steps = || {
        vec![
            bash("mkdir -p old && echo a > a.txt && ls"),
            bash("rm a.txt"),
            bash("mv a.txt old/ && find . -name a.txt"),
            ModelStep::text("Moved."),
        ]
    };
    let shown = "asked: mkdir -p old && echo a > a.txt && ls -> allow\n\
                 result: a.txt\nold\n\
                 asked: rm a.txt -> deny\n\
                 error: Nothing is removed here: move it to old/.\n\
                 asked: mv a.txt old/ && find . -name a.txt -> allow\n\
                 result: ./old/a.txt\n\
                 agent: Moved.\n\
                 over: end_turn\n";
    says("confirmation", steps, shown);
}

#[test]
fn system_the_model_is_told_what_a_tool_of_the_client_says() {
    let call = |article| ModelPiece::tool("stock", json!({"article": article}));
    let steps = || {
        vec![
            ModelStep::reply([call("nails"), call("screws")]),
            ModelStep::text("250 nails, and screws we do not sell."),
        ]
    };
    let shown = "tool: stock nails\ntool: stock screws\n\
                 agent: 250 nails, and screws we do not sell.\nover: end_turn\n";
    runs("custom_tool", steps, &PYTHON, |place, printed| {
        assert_eq!(printed, shown);
        let last = place.model.asked().pop().unwrap();
        let results = last["messages"][2]["content"].as_array().unwrap();
        let told: Vec<_> = results
            .iter()
            .map(|result| {
                let text = result["content"][0]["text"].as_str().unwrap();
                (text, result["is_error"] == true)
            })
            .collect();
        assert_eq!(told, [("250", false), ("there is no article screws", true)]);
    });
}

#[test]
fn system_an_interrupt_ends_the_command_that_runs() {
    let steps = || {
        vec![
            bash("sleep 600; echo built"),
            bash("pgrep -x sleep || echo nothing sleeps"),
            ModelStep::text("It is not built."),
        ]
    };
    runs("interrupt", steps, &PYTHON, |_, printed| {
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[0], "tool: bash sleep 600; echo built");
        let [stopped, rest @ ..] = &lines[1..] else {
            panic!("{printed}");
        };
        assert!(stopped.starts_with("error: "), "{printed}");
        assert!(!printed.contains("\nresult: built"), "{printed}");
        let rest = rest.join("\n");
        assert!(
            rest.ends_with(
                "over: end_turn\ntool: bash pgrep -x sleep || echo nothing sleeps\nresult: nothing sleeps\n\
                 agent: It is not built.\nover: end_turn"
            ),
            "{printed}"
        );
    });
}

/// A message that breaks off.
fn cut() -> ModelStep {
    ModelStep::text("This is never said whole.").with_fault(ModelFault::CutAfter(4))
}

#[test]
fn system_what_a_model_fails_with_is_told_and_tried_again_until_it_makes_no_sense() {
    let steps = || {
        let limited = ModelFailure {
            retry_after: Some("1".to_owned()),
            ..ModelFailure::of(429)
        };
        vec![
            ModelStep::answer(ModelAnswer::Failure(limited)),
            ModelStep::failure(500),
            ModelStep::failure(529),
            cut(),
            ModelStep::failure(529),
            ModelStep::failure(400),
            ModelStep::text("Here I am."),
        ]
    };
    let shown = "failed: model_rate_limited_error retrying\ntrying again\n\
                 failed: model_request_failed_error retrying\ntrying again\n\
                 failed: model_overloaded_error retrying\ntrying again\n\
                 failed: model_request_failed_error retrying\ntrying again\n\
                 failed: model_overloaded_error exhausted\n\
                 over: retries_exhausted\n\
                 failed: model_request_failed_error terminal\n\
                 over: retries_exhausted\n\
                 agent: Here I am.\nover: end_turn\n";
    runs("retries", steps, &PYTHON, |place, printed| {
        let (_, events) = only_session(place);
        assert_eq!(printed, shown);
        // Nothing of the answer that broke off is there.
        assert!(!json!(events).to_string().contains("This is never"));
        let started = events
            .iter()
            .filter(|event| event["type"] == "span.model_request_start");
        let ended = events
            .iter()
            .filter(|event| event["type"] == "span.model_request_end");
        assert_eq!(started.count(), ended.count());
    });
}

#[test]
fn system_a_session_stops_at_its_budget_and_goes_on_when_that_is_raised() {
    let steps = || {
        let costly = ModelReply {
            pieces: vec![ModelPiece::tool("bash", json!({"command": "echo found"}))],
            // At 15 dollars a million.
            output_tokens: Some(1000),
            ..ModelReply::default()
        };
        vec![
            ModelStep::answer(ModelAnswer::Reply(costly)),
            ModelStep::text("It was found."),
        ]
    };
    let shown = "tool: bash echo found\nover: budget_reached\nmore is not taken\n\
                 agent: It was found.\nover: end_turn\n";
    runs("budget", steps, &PYTHON, |place, printed| {
        assert_eq!(printed, shown);
        let (session, events) = only_session(place);
        let results = events
            .iter()
            .filter(|event| event["type"] == "agent.tool_result");
        assert_eq!(results.count(), 1, "{events:#?}");
        let shown = place.asks("GET", &format!("/v1/sessions/{session}"), &Value::Null);
        assert_eq!(shown["usage"]["list_cost"]["amount"], "2", "{shown:#}");
    });
}

#[test]
fn system_who_follows_sees_what_is_listed_each_once_and_in_order() {
    let steps = || {
        let slow = Pace {
            first_event_ms: 200,
            event_ms: 20,
            ..Pace::default()
        };
        vec![
            bash("echo 1").at(slow),
            bash("sleep 1; echo 2").at(slow),
            ModelStep::text("Two.").at(slow),
        ]
    };
    // Version 0 passes over the events that it does not know.
    runs("follow", steps, &PYTHON[..1], |place, printed| {
        let (_, events) = only_session(place);
        let word = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
        let listed: Vec<_> = events
            .iter()
            .map(|event| format!("{} {}", word(event, "type"), word(event, "id")))
            .collect();
        let followed: Vec<_> = printed.lines().collect();
        assert_eq!(followed, listed);
        // The control: there was something to lose.
        assert!(listed.len() > 15, "{listed:#?}");
    });
}

#[test]
fn system_an_answer_is_shown_while_it_is_written() {
    let story = "Once upon a time there was a queen.";
    let steps = || {
        let slow = Pace {
            event_ms: 30,
            ..Pace::default()
        };
        vec![ModelStep::text(story).at(slow)]
    };
    let shown = format!("Once upon a |time there w|as a queen.|\nwhole: {story}\n");
    runs("live", steps, &PYTHON[..1], |_, printed| {
        assert_eq!(printed, shown);
    });
}
