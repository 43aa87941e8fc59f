//! Models behind proxies, and what may be spent: a server, a scripted model, and clients that speak a provider's API.

mod parallel;
#[cfg(feature = "system-tests")]
mod sdks;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use bailiwick_testkit::{Bailiwick, ModelScript, ModelServer, ModelStep, Pace, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{PATIENCE, Up, machine};

const MODEL: &str = "claude-sonnet-4-5";
const SECRET_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";
/// All that the model stands for.
const MODELS: [&str; 3] = [MODEL, "claude-haiku-4-5", "gpt-5"];

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
    /// Reads it to its end.
    fn of(mut stream: BufReader<TcpStream>) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        Self {
            status,
            body: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

fn start(machine: &Bailiwick, model: &ModelServer) -> Up {
    start_on(machine, model, &[])
}

fn start_on(machine: &Bailiwick, model: &ModelServer, options: &[&str]) -> Up {
    let url = model.url();
    let variables = [
        ("ANTHROPIC_API_KEY", "sk-test"),
        ("ANTHROPIC_BASE_URL", url.as_str()),
        ("BAILIWICK_SECRET_KEY", SECRET_KEY),
    ];
    let pin = format!("models.test={}", model.address());
    let options = [&["--resolve", &pin], options].concat();
    Up::start_with(machine, &options, &variables)
}

impl Place {
    fn new(steps: Vec<ModelStep>, networking: &str) -> Self {
        Self::on(steps, networking, &[])
    }

    fn on(steps: Vec<ModelStep>, networking: &str, options: &[&str]) -> Self {
        let script = ModelScript {
            models: MODELS.map(str::to_owned).to_vec(),
            ..ModelScript::of(steps)
        };
        let (machine, model) = (machine(), ModelServer::start(script));
        let up = start_on(&machine, &model, options);
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

    /// The model, asked as OpenAI's is, for this one.
    fn has_an_upstream_of_openai(&self, model: &str) {
        self.machine.write("key", "sk-test\n");
        let url = format!("http://models.test:{}/v1", self.model.address().port());
        let made = ["model-upstream", "create", "openai", "--protocol", "openai"];
        let at = [
            "--base-url",
            &url,
            "--allow-plain-http",
            "--key-file",
            "key",
        ];
        let all = [&made[..], &at, &["--model", model]].concat();
        self.up.does(&self.machine, &all);
    }

    fn unrestricted(steps: Vec<ModelStep>) -> Self {
        Self::new(steps, "{type: unrestricted}")
    }

    fn sends(&self, request: &str) -> BufReader<TcpStream> {
        Self::sends_to(&self.up.url, request)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a client that can hang up in the middle of an answer"
    )]
    fn sends_to(url: &str, request: &str) -> BufReader<TcpStream> {
        let address = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    fn connect(&self, path: &str, key: &str, body: &Value) -> BufReader<TcpStream> {
        self.sends(&Self::post(path, key, body))
    }

    fn post(path: &str, key: &str, body: &Value) -> String {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: models\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn asks_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        Answer::of(self.connect(path, key, body))
    }

    fn gets(&self, path: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: models\r\nx-api-key: {}\r\nconnection: close\r\n\r\n",
            self.key
        );
        Answer::of(self.sends(&request))
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

#[test]
fn an_error_of_the_model_costs_nothing() {
    let steps = [500, 529, 400].map(|status| ModelStep::failure(status).always());
    for step in steps {
        let place = Place::unrestricted(vec![step]);
        let limit = ["limit", "create", "--environment", "dev", "--max-cost", "1"];
        let limit = [&limit[..], &["--window", "24h"]].concat();
        place.up.does(&place.machine, &limit);
        assert!(place.asks(100).status >= 400);
        let record = &place.waits_for_records(1)[0];
        assert_eq!(record["cost_usd"], "0.00", "{record}");
        let limits = place.up.json(&place.machine, &["limit", "list"]);
        assert_eq!(limits[0]["spent_usd"], "0.00");
    }
}

#[test]
fn a_proxy_lists_what_it_has_and_nothing_else() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    place.has_an_upstream_of_openai("gpt-5");
    let list = |provider: &str| {
        let path = format!("/llm/door/{provider}/models");
        let answer = place.gets(&path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let models = answer.json()["data"].as_array().unwrap().clone();
        models
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // It is asked for one model, whatever else it has.
    assert_eq!(list("openai/v1"), ["gpt-5"]);
    let of_server = list("anthropic/v1");
    assert!(of_server.len() > 1, "{of_server:?}");
    let narrowed = ["llm-proxy", "update", "door", "--model", &of_server[1]];
    place.up.does(&place.machine, &narrowed);
    let shown = eventually("another list", PATIENCE, || {
        let shown = list("anthropic/v1");
        (shown.len() == 1).then_some(shown)
    });
    assert_eq!(shown, [of_server[1].clone()]);
    assert_eq!(list("openai/v1"), Vec::<String>::new());
}

#[test]
fn what_an_api_does_not_have_is_told_in_its_own_form() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    for (path, kind) in [
        ("/llm/door/anthropic/v1/complete", "not_found_error"),
        ("/llm/door/anthropic/v1/messages", "not_found_error"),
        ("/llm/door/anthropic", "not_found_error"),
        (
            "/llm/door/openai/v1/images/generations",
            "invalid_request_error",
        ),
        ("/llm/door/openai/", "invalid_request_error"),
    ] {
        let answer = place.gets(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert_eq!(answer.json()["error"]["type"], kind, "{path}");
    }
    assert_eq!(place.model.requests().len(), 0);
}

#[test]
fn what_has_a_price_of_its_own_is_refused_under_a_limit_of_money() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    let mut body = question(100);
    body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let path = "/llm/door/anthropic/v1/messages";
    assert_eq!(place.asks_as(&place.key, path, &body).status, 200);
    let record = &place.waits_for_records(1)[0];
    assert_eq!(record["is_estimated"], true, "{record}");
    let limit = [
        "limit",
        "create",
        "--environment",
        "dev",
        "--max-cost",
        "30",
    ];
    let limit = [&limit[..], &["--window", "24h"]].concat();
    place.up.does(&place.machine, &limit);
    let refused = place.asks_as(&place.key, path, &body);
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(place.model.requests().len(), 1);
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
    let words = "Word after word. ".repeat(2000);
    let place = Place::unrestricted(vec![ModelStep::text(words).at(slow).always()]);
    let mut body = question(40_000);
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
    assert!(counted > 0 && counted < 8000, "{record}");
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
