//! Models behind proxies, and what may be spent: a server, a scripted model, and clients that speak a provider's API.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use bailiwick_testkit::{Bailiwick, ModelScript, ModelServer, ModelStep, Pace, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{PATIENCE, Up, machine};

const MODEL: &str = "claude-sonnet-4-5";

/// A server with one proxy, in an environment whose policy is this.
struct Place {
    machine: Bailiwick,
    model: ModelServer,
    up: Up,
    key: String,
}

/// What was answered.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

fn start(machine: &Bailiwick, model: &ModelServer) -> Up {
    let url = model.url();
    let variables = [
        ("ANTHROPIC_API_KEY", "sk-test"),
        ("ANTHROPIC_BASE_URL", url.as_str()),
    ];
    Up::start_with(machine, &[], &variables)
}

impl Place {
    fn new(steps: Vec<ModelStep>, networking: &str) -> Self {
        let (machine, model) = (machine(), ModelServer::start(ModelScript::of(steps)));
        let up = start(&machine, &model);
        let environment = format!("name: dev\nconfig: {{type: cloud, networking: {networking}}}\n");
        machine.write("dev.yaml", &environment);
        up.does(&machine, &["environment", "create", "-f", "dev.yaml"]);
        up.does(
            &machine,
            &["llm-proxy", "create", "door", "--environment", "dev"],
        );
        let made = up.json(
            &machine,
            &["llm-proxy", "key", "create", "door", "--name", "ci"],
        );
        let key = made["key"].as_str().unwrap().to_owned();
        Self {
            machine,
            model,
            up,
            key,
        }
    }

    fn unrestricted(steps: Vec<ModelStep>) -> Self {
        Self::new(steps, "{type: unrestricted}")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a client that can hang up in the middle of an answer"
    )]
    fn connect(&self, path: &str, key: &str, body: &Value) -> BufReader<TcpStream> {
        let address = self.up.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    fn asks_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        let mut text = String::new();
        self.connect(path, key, body)
            .read_to_string(&mut text)
            .unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status,
            body: body.to_owned(),
        }
    }

    fn asks(&self, most: u64) -> Answer {
        self.asks_as(
            &self.key,
            "/llm/door/anthropic/v1/messages",
            &question(most),
        )
    }

    fn records(&self) -> Vec<Value> {
        let records = self.up.json(&self.machine, &["usage", "records"]);
        records.as_array().unwrap().clone()
    }

    /// Until so many requests are accounted for.
    fn waits_for_records(&self, many: usize) -> Vec<Value> {
        eventually("records of usage", PATIENCE, || {
            let records = self.records();
            (records.len() == many).then_some(records)
        })
    }
}

fn question(most: u64) -> Value {
    json!({
        "model": MODEL,
        "max_tokens": most,
        "messages": [{"role": "user", "content": "Say something."}],
    })
}

#[test]
fn what_is_asked_through_a_proxy_is_answered_and_accounted_for_as_the_model_counts() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    let answer = place.asks(100);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["content"][0]["text"], "Something.");
    let record = &place.waits_for_records(1)[0];
    let counted = place.model.usage();
    assert_eq!(record["kind"], "told");
    assert_eq!(record["input_tokens"], counted.input_tokens);
    assert_eq!(record["output_tokens"], counted.output_tokens);
    assert_eq!(record["model"], MODEL);
    assert_eq!(record["status"], 200);
    // The key that was shown went no further.
    let asked = place.model.requests();
    assert_eq!(asked[0].headers["x-api-key"], "sk-test");
    assert!(!format!("{asked:?}").contains(&place.key));
}

#[test]
fn nobody_asks_without_a_key_of_the_proxy_and_a_key_of_the_proxy_opens_nothing_else() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    let path = "/llm/door/anthropic/v1/messages";
    let refused = place.asks_as("bwv_wrong", path, &question(100));
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"]["type"], "authentication_error");
    place.up.does(
        &place.machine,
        &["llm-proxy", "create", "other", "--environment", "dev"],
    );
    let other = "/llm/other/anthropic/v1/messages";
    assert_eq!(place.asks_as(&place.key, other, &question(100)).status, 404);
    let api = place.asks_as(&place.key, "/api/environments", &json!({"name": "mine"}));
    assert_eq!(api.status, 403);
    // Whoever may use proxies has a way in too.
    let own = place.asks_as(&place.up.key, other, &question(100));
    assert_eq!(own.status, 200, "{}", own.body);
    let listed = place
        .up
        .json(&place.machine, &["llm-proxy", "key", "list", "door"]);
    let id = listed[0]["id"].as_str().unwrap();
    place
        .up
        .does(&place.machine, &["llm-proxy", "key", "revoke", "door", id]);
    assert_eq!(place.asks(100).status, 401);
    assert_eq!(place.model.requests().len(), 1);
}

#[test]
fn a_proxy_asks_nobody_whom_the_policy_of_its_environment_denies() {
    let place = Place::new(
        vec![ModelStep::text("Something.").always()],
        "{type: limited, allowed_hosts: [api.example.com]}",
    );
    place.machine.write("key", "sk-example\n");
    let made = [
        "model-upstream",
        "create",
        "own",
        "--protocol",
        "anthropic",
        "--base-url",
        "https://models.example.com",
        "--model",
        MODEL,
        "--key-file",
        "key",
    ];
    place.up.does(&place.machine, &made);
    let denied = place.asks(100);
    assert_eq!(denied.status, 502, "{}", denied.body);
    assert_eq!(denied.json()["error"]["code"], "upstream_denied");
    let record = &place.waits_for_records(1)[0];
    assert_eq!(record["cost_usd"], "0.00");
}

#[test]
fn a_budget_that_is_used_up_is_told_in_the_provider_s_form_and_nothing_more_is_asked() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    // A request of a hundred tokens of output and some bytes of input fits once.
    let limit = [
        "limit",
        "create",
        "--environment",
        "dev",
        "--max-cost",
        "0.05",
        "--window",
        "24h",
    ];
    place.up.does(&place.machine, &limit);
    assert_eq!(place.asks(100).status, 200);
    let refused = place.asks(5000);
    assert_eq!(refused.status, 402, "{}", refused.body);
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "token_cost_limit_exceeded");
    assert_eq!(error["limit"]["window"], "24h");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("$0.05 in any 24h"),
        "{error}"
    );
    assert_eq!(place.model.requests().len(), 1);
    let path = "/llm/door/openai/v1/chat/completions";
    let other = place.asks_as(&place.key, path, &question(5000));
    // Before it is found that the server's upstream does not speak that.
    assert_eq!(other.status, 402, "{}", other.body);
}

#[test]
fn an_answer_that_nobody_waits_for_counts_as_what_was_streamed() {
    let slow = Pace {
        event_ms: 50,
        ..Pace::default()
    };
    let words = "Word after word. ".repeat(200);
    let place = Place::unrestricted(vec![ModelStep::text(words).at(slow).always()]);
    let mut body = question(4000);
    body["stream"] = json!(true);
    let mut answer = place.connect("/llm/door/anthropic/v1/messages", &place.key, &body);
    let mut line = String::new();
    while !line.contains("content_block_delta") {
        line.clear();
        assert_ne!(answer.read_line(&mut line).unwrap(), 0);
    }
    drop(answer);
    let record = &place.waits_for_records(1)[0];
    assert_eq!(record["kind"], "streamed");
    let sent = place.model.usage();
    assert_eq!(record["input_tokens"], sent.input_tokens);
    let counted = record["output_tokens"].as_u64().unwrap();
    assert!(counted > 0 && counted < 4000, "{record}");
}

#[test]
fn what_a_server_was_asking_when_it_was_killed_is_told_by_the_next_one() {
    let slow = Pace {
        head_ms: 30_000,
        ..Pace::default()
    };
    let steps = vec![
        ModelStep::text("Something."),
        ModelStep::text("Late.").at(slow),
    ];
    let mut place = Place::unrestricted(steps);
    let limit = [
        "limit",
        "create",
        "--organization",
        "--max-tokens",
        "100000",
        "--window",
        "24h",
    ];
    place.up.does(&place.machine, &limit);
    assert_eq!(place.asks(100).status, 200);
    let waiting = place.connect(
        "/llm/door/anthropic/v1/messages",
        &place.key,
        &question(500),
    );
    eventually("the model to be asked", PATIENCE, || {
        (place.model.requests().len() == 2).then_some(())
    });
    place.up.process.signal(Signal::KILL);
    place.up.process.wait(PATIENCE);
    drop(waiting);
    let key = std::mem::take(&mut place.up.key);
    place.up = start(&place.machine, &place.model);
    place.up.key = key;
    let records = place.waits_for_records(2);
    let kinds: Vec<_> = records.iter().map(|record| &record["kind"]).collect();
    assert_eq!(kinds, ["expired", "told"]);
    // Its worst case: all the output that it allowed.
    assert_eq!(records[0]["output_tokens"], 500);
    let limits = place.up.json(&place.machine, &["limit", "list"]);
    let tokens = |record: &Value| {
        let fields = [
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_5m_tokens",
            "cache_1h_tokens",
        ];
        fields
            .iter()
            .map(|field| record[field].as_i64().unwrap())
            .sum::<i64>()
    };
    let sum: i64 = records.iter().map(tokens).sum();
    assert_eq!(limits[0]["spent_tokens"], sum);
    assert_eq!(limits[0]["reserved_tokens"], 0);
}

#[test]
fn a_thousand_requests_at_once_spend_no_more_than_their_budget() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    // In its worst case a request takes 1000 tokens of output at 15 dollars a million: 66 fit into a dollar.
    let limit = [
        "limit",
        "create",
        "--environment",
        "dev",
        "--max-cost",
        "1",
        "--window",
        "24h",
    ];
    place.up.does(&place.machine, &limit);
    let answered: usize = thread::scope(|scope| {
        let clients = (0..20).map(|_| {
            scope.spawn(|| {
                let statuses = (0..50).map(|_| place.asks(1000).status);
                statuses
                    .filter(|status| {
                        assert!([200, 402].contains(status), "{status}");
                        *status == 200
                    })
                    .count()
            })
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    let records = place.waits_for_records(answered);
    let limits = place.up.json(&place.machine, &["limit", "list"]);
    let spent: f64 = limits[0]["spent_usd"].as_str().unwrap().parse().unwrap();
    assert!(spent <= 1.0, "{spent}");
    let told: f64 = records
        .iter()
        .map(|record| record["cost_usd"].as_str().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((told - spent).abs() < 1e-6, "{told} {spent}");
    let counted = place.model.usage();
    let output: u64 = records
        .iter()
        .map(|record| record["output_tokens"].as_u64().unwrap())
        .sum();
    assert_eq!(output, counted.output_tokens);
    assert_eq!(place.model.requests().len(), answered);
}
