//! `bailiwick worker` for a `bailiwick up`, with real sandboxes, beside the worker of the official SDK.

use std::process::Command;

use bailiwick_testkit::{Child, HttpServer, ModelStep, Sdk, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::work::{Place, bash, id};
use crate::{PATIENCE, finish};

/// The official SDK's worker, until the test ends it. Arguments: URL, environment, key.
const SDK_WORKER: &str = "
import asyncio, sys, tempfile, anthropic
url, environment, key = sys.argv[1:4]
client = anthropic.AsyncAnthropic(base_url=url, api_key='unused')
with tempfile.TemporaryDirectory() as directory:
    worker = client.beta.environments.work.worker(
        environment_id=environment, environment_key=key, workdir=directory, max_idle=0.1
    )
    asyncio.run(worker.run())
";

/// A self-hosted environment: its id, and a key of it.
struct Farm {
    id: String,
    key: String,
}

fn farm(place: &Place, name: &str) -> Farm {
    let create = ["environment", "create", "--name", name, "--self-hosted"];
    let made = place.up.json(&place.machine, &create);
    let create = ["environment", "key", "create", name, "--name", "rack"];
    let key = place.up.json(&place.machine, &create);
    Farm {
        id: made["id"].as_str().unwrap().to_owned(),
        key: key["key"].as_str().unwrap().to_owned(),
    }
}

fn command(place: &Place, farm: &Farm, options: &[&str]) -> Command {
    let usual = [
        "worker",
        "--lease",
        "2s",
        "--max-idle",
        "200ms",
        "--sandbox-hosts",
        "1",
    ];
    let mut command = place.machine.command([&usual, options].concat());
    command
        .env("ANTHROPIC_BASE_URL", &place.up.url)
        .env("ANTHROPIC_ENVIRONMENT_ID", &farm.id)
        .env("ANTHROPIC_ENVIRONMENT_KEY", &farm.key);
    command
}

fn worker(place: &Place, farm: &Farm, options: &[&str]) -> Child {
    Child::start(&mut command(place, farm, options))
}

fn ends(mut worker: Child) -> String {
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(PATIENCE), 0, "{}", worker.complained());
    worker.complained()
}

/// What workers have answered.
fn results(events: &[Value]) -> Vec<String> {
    let results = events
        .iter()
        .filter(|event| event["type"] == "user.tool_result");
    let text = |event: &Value| event["content"][0]["text"].as_str().unwrap().to_owned();
    results.map(text).collect()
}

/// Waits until so many turns of a session have ended.
fn turns(place: &Place, session: &str, times: usize) {
    eventually("the turns to end", PATIENCE, || {
        let events = place.events(session);
        let ended = events.iter().filter(|event| {
            event["type"] == "session.status_idle" && event["stop_reason"]["type"] == "end_turn"
        });
        (ended.count() == times).then_some(())
    });
}

/// Says something, without waiting for anything.
fn says(place: &Place, session: &str) {
    let event = json!({"type": "user.message", "content": [{"type": "text", "text": "Go on."}]});
    let path = format!("/v1/sessions/{session}/events");
    place.asks("POST", &path, &json!({"events": [event]}));
}

fn waits_for(worker: &Child, words: &str) {
    eventually(words, PATIENCE, || {
        worker.complained().contains(words).then_some(())
    });
}

#[test]
fn system_a_session_is_finished_alike_by_this_worker_and_the_sdk_s() {
    let script = || {
        [
            bash("echo served"),
            bash("echo twice >&2; exit 3"),
            ModelStep::text("Done."),
        ]
    };
    let place = Place::new(script().into_iter().chain(script()), &["--no-sandboxes"]);
    let farm = farm(&place, "alike");
    let mut seen = Vec::new();
    for is_own in [true, false] {
        let session = place.session(&farm.id, &Value::Null);
        let own = is_own.then(|| worker(&place, &farm, &[]));
        let sdk = (!is_own).then(|| {
            let mut command = Sdk::python("2.12.0").command(SDK_WORKER);
            Child::start(command.args([&place.up.url, &farm.id, &farm.key]))
        });
        // It waits for the worker twice, and then is done.
        place.says(&session, "Go.");
        eventually("the turn to end", PATIENCE, || {
            let events = place.events(&session);
            let last = events.last().unwrap();
            (last["stop_reason"]["type"] == "end_turn").then_some(())
        });
        if let Some(own) = own {
            ends(own);
        }
        if let Some(mut sdk) = sdk {
            sdk.signal(Signal::KILL);
            sdk.wait(PATIENCE);
        }
        let events = place.events(&session);
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        let errors: Vec<_> = events
            .iter()
            .filter(|event| event["type"] == "user.tool_result")
            .map(|event| event["is_error"].clone())
            .collect();
        let results = results(&events);
        assert!(
            results[0].contains("served") && results[1].contains("twice"),
            "{results:?}"
        );
        seen.push((kinds, errors));
    }
    assert_eq!(seen[0], seen[1]);
    place.up.stop();
}

#[test]
fn system_skills_of_an_agent_are_where_the_sdk_s_worker_puts_them() {
    let script = || {
        [
            bash("cat skills/notes/SKILL.md; skills/notes/scripts/say"),
            ModelStep::text("Done."),
        ]
    };
    let place = Place::new(script().into_iter().chain(script()), &["--no-sandboxes"]);
    let farm = farm(&place, "skilled");
    let manifest = "---\nname: notes\ndescription: keeps notes\n---\nKeep them.\n";
    place.machine.write("notes/SKILL.md", manifest);
    let script = "#!/bin/sh\necho it says so\n";
    place.machine.write("notes/scripts/say", script);
    let create = ["skill", "create", "notes", "--name", "Notes"];
    let skill = id(&place.up.json(&place.machine, &create));
    let agent = json!({
        "name": "note taker",
        "model": "claude-sonnet-4-5",
        "tools": [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_allow"}}}],
        "skills": [{"type": "custom", "skill_id": skill, "version": "latest"}],
    });
    let agent = id(&place.asks("POST", "/v1/agents", &agent));
    for is_own in [true, false] {
        let session = place.session(&farm.id, &json!({"agent": agent}));
        let mut at_work = if is_own {
            worker(&place, &farm, &[])
        } else {
            let mut command = Sdk::python("2.12.0").command(SDK_WORKER);
            Child::start(command.args([&place.up.url, &farm.id, &farm.key]))
        };
        place.says(&session, "Go.");
        let results = eventually("its result", PATIENCE, || {
            let results = results(&place.events(&session));
            (!results.is_empty()).then_some(results)
        });
        for expect in ["Keep them.", "it says so"] {
            assert!(results[0].contains(expect), "{is_own}: {results:?}");
        }
        eventually("the turn to end", PATIENCE, || {
            let events = place.events(&session);
            let last = events.last().unwrap();
            (last["stop_reason"]["type"] == "end_turn").then_some(())
        });
        if is_own {
            ends(at_work);
        } else {
            at_work.signal(Signal::KILL);
            at_work.wait(PATIENCE);
        }
    }
    place.up.stop();
}

#[test]
fn system_a_worker_s_calls_are_under_the_policy_of_its_own_file() {
    let server = HttpServer::start();
    let port = server.address().port();
    let place = Place::new(
        [
            bash(&format!(
                "id -un; pwd; curl -sS -m 20 http://allowed.test:{port}/here; env"
            )),
            bash(&format!(
                "curl -sS -m 20 http://denied.test:{port}/there; curl -sS -m 5 $(echo {})/readyz; echo over",
                "http://127.0.0.1:1"
            )),
            ModelStep::text("Done."),
        ],
        &["--no-sandboxes"],
    );
    let farm = farm(&place, "policy");
    place.machine.write("farm.yaml", "name: farm\nconfig:\n  type: cloud\n  networking: {type: limited, allowed_hosts: [allowed.test]}\n");
    let pins = ["allowed.test", "denied.test"].map(|name| format!("{name}=127.0.0.1:{port}"));
    let worker = worker(
        &place,
        &farm,
        &[
            "-f",
            "farm.yaml",
            "--resolve",
            &pins[0],
            "--resolve",
            &pins[1],
        ],
    );
    let session = place.session(&farm.id, &Value::Null);
    place.says(&session, "Go.");
    eventually("the turn to end", PATIENCE, || {
        (place.count(&session, "user.tool_result") == 2).then_some(())
    });
    let events = place.events(&session);
    let whole = Value::from(events.clone()).to_string();
    let results = results(&events);
    assert!(
        results[0].contains("agent\n/workspace\n") && results[0].contains("GET /here"),
        "{results:#?}"
    );
    assert!(
        whole.contains("network denied: denied.test"),
        "{results:#?}"
    );
    assert!(!whole.contains(&farm.key), "the key is seen inside");
    assert_eq!(server.connections(), 1);
    ends(worker);
    place.up.stop();
}

#[test]
fn system_a_call_of_a_worker_that_was_killed_is_reported_and_not_run_again() {
    let place = Place::new(
        [
            bash("echo begun; sleep 321"),
            bash("pgrep -f 'sleep 321' || echo none"),
            ModelStep::text("Done."),
        ],
        &["--no-sandboxes"],
    );
    let farm = farm(&place, "killed");
    let name = place.name();
    let first = ["--name", name.as_str()];
    let mut killed = worker(&place, &farm, &first);
    let session = place.session(&farm.id, &Value::Null);
    place.says(&session, "Go.");
    waits_for(&killed, "a call begins");
    std::thread::sleep(std::time::Duration::from_secs(1));
    killed.signal(Signal::KILL);
    killed.wait(PATIENCE);
    // Of the same name, so it knows what had begun.
    let next = worker(&place, &farm, &first);
    eventually("both results", PATIENCE, || {
        (place.count(&session, "user.tool_result") == 2).then_some(())
    });
    let results = results(&place.events(&session));
    assert!(results[0].contains("was not run again"), "{results:#?}");
    assert!(results[1].contains("none"), "{results:#?}");
    ends(next);
    place.up.stop();
}

#[test]
fn system_of_two_workers_one_has_the_session() {
    let place = Place::new(
        [bash("echo served"), ModelStep::text("Done.")],
        &["--no-sandboxes"],
    );
    let farm = farm(&place, "two");
    let workers = ["one", "two"].map(|name| worker(&place, &farm, &["--name", name]));
    for worker in &workers {
        waits_for(worker, "polls for work");
    }
    let session = place.session(&farm.id, &Value::Null);
    place.says(&session, "Go.");
    eventually("the result", PATIENCE, || {
        (place.count(&session, "user.tool_result") > 0).then_some(())
    });
    let logs = workers.map(ends).concat();
    assert_eq!(logs.matches("a call begins").count(), 1, "{logs}");
    assert_eq!(place.count(&session, "user.tool_result"), 1);
    place.up.stop();
}

#[test]
fn system_a_key_of_another_environment_and_none_are_refused() {
    let place = Place::new([], &["--no-sandboxes"]);
    let (own, other) = (farm(&place, "own"), farm(&place, "other"));
    let wrong = Farm {
        id: own.id.clone(),
        key: other.key,
    };
    let ended = finish(&mut command(&place, &wrong, &[]));
    assert!(
        ended.stderr.contains("cannot take work of"),
        "{}",
        ended.stderr
    );
    ended.exits(125);
    let mut without = command(&place, &own, &[]);
    without.env_remove("ANTHROPIC_ENVIRONMENT_KEY");
    finish(&mut without).exits(2);
    let far = ["--base-url", "http://agents.example.com"];
    finish(&mut command(&place, &own, &far)).exits(2);
    place.machine.write(
        "based.yaml",
        "name: based\nconfig: {type: cloud}\nbase: debian:trixie\n",
    );
    let ended = finish(&mut command(&place, &own, &["-f", "based.yaml"]));
    ended.exits(2);
    place.up.stop();
}

/// Which environment is worked for is not the sandbox's to know: what a worker holds is not inside, and calls end with it.
#[test]
fn system_a_worker_that_is_asked_to_end_leaves_nothing_and_the_next_goes_on() {
    let place = Place::new(
        [
            bash("echo kept > ~/file; word=remembered; export word"),
            ModelStep::text("Done."),
            bash("cat ~/file; echo $word"),
            ModelStep::text("Done."),
        ],
        &["--no-sandboxes"],
    );
    let farm = farm(&place, "kept");
    let name = place.name();
    let options = ["--name", name.as_str()];
    let first = worker(&place, &farm, &options);
    let session = place.session(&farm.id, &Value::Null);
    place.says(&session, "Go.");
    turns(&place, &session, 1);
    ends(first);
    place.waits_until_none_runs();
    let second = worker(&place, &farm, &options);
    says(&place, &session);
    turns(&place, &session, 2);
    let results = results(&place.events(&session));
    assert!(results[1].contains("kept\nremembered"), "{results:#?}");
    ends(second);
    place.up.stop();
}

#[test]
fn system_what_a_worker_kept_and_is_damaged_is_told_and_the_session_goes_on() {
    let steps = (0..3).flat_map(|_| {
        [
            bash("cat ~/file; echo kept > ~/file"),
            ModelStep::text("Done."),
        ]
    });
    let place = Place::new(steps, &["--no-sandboxes"]);
    let farm = farm(&place, "damaged");
    let name = place.name();
    let session = place.session(&farm.id, &Value::Null);
    let goes_on = |turn: usize| {
        let worker = worker(&place, &farm, &["--name", name.as_str()]);
        says(&place, &session);
        turns(&place, &session, turn);
        ends(worker);
    };
    goes_on(1);
    goes_on(2);
    let servers = place.machine.servers();
    let state = servers.parent().unwrap();
    let record = state.join(format!("workers/{}/{name}/{session}.json", farm.id));
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let archive = record["sandbox"]["kept"]["checkpoint"].as_str().unwrap();
    let archive = state.join("checkpoints").join(archive);
    let whole = std::fs::metadata(&archive).unwrap().len();
    let file = std::fs::File::options().write(true).open(&archive);
    file.unwrap().set_len(whole - 1).unwrap();
    goes_on(3);
    let events = place.events(&session);
    let told = results(&events);
    assert!(told[0].contains("No such file"), "{told:#?}");
    assert!(told[1].starts_with("kept"), "control: {told:#?}");
    assert!(told[2].contains("No such file"), "{told:#?}");
    let last = events
        .iter()
        .rfind(|event| event["type"] == "user.tool_result");
    let last = last.unwrap()["content"].to_string();
    assert!(last.contains("started anew"), "{last}");
    assert!(!archive.exists());
    place.up.stop();
}
