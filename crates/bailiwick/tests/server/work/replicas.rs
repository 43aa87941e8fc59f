//! Two servers on one PostgreSQL, of which one dies in the middle of a turn.

use std::cell::RefCell;

use bailiwick_testkit::{HttpServer, ModelScript, ModelServer, ModelStep, Postgres, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::killed::{Stream, of_kind};
use super::{Place, bash};
use crate::{PATIENCE, Up, machine};

const KEY: &str = "replicas-0123456789-0123456789-0123456789";
const SECRET_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

impl Place {
    /// A server on this database, with a model of its own.
    pub(super) fn replica(database: &Postgres, steps: Vec<ModelStep>, options: &[&str]) -> Self {
        let model = ModelServer::start(ModelScript::of(steps));
        let machine = machine();
        let (database, upstream) = (database.url(), model.url());
        let options = [options, &["--database-url", &database]].concat();
        let variables = [
            ("ANTHROPIC_API_KEY", "sk-test"),
            ("ANTHROPIC_BASE_URL", upstream.as_str()),
            ("BAILIWICK_BOOTSTRAP_KEY", KEY),
            ("BAILIWICK_SECRET_KEY", SECRET_KEY),
        ];
        let up = Up::start_with(&machine, &options, &variables);
        let options = options.iter().copied().map(str::to_owned).collect();
        Self {
            machine,
            up: Up {
                key: KEY.to_owned(),
                ..up
            },
            model,
            options,
            answers: RefCell::default(),
        }
    }
}

/// A turn that calls two tools; the first takes long.
fn turn(port: u16) -> Vec<ModelStep> {
    let call = |name: &str| format!("curl -sS -m 20 http://count.test:{port}/{name}");
    vec![
        bash(&format!("{} && sleep 600", call("first"))).in_round(0),
        bash(&call("second")).in_round(1),
        ModelStep::text("Done.").in_round(2),
    ]
}

#[test]
fn system_when_one_of_two_replicas_dies_in_a_turn_the_other_ends_it() {
    let (database, count) = (Postgres::start(), HttpServer::start());
    let port = count.address().port();
    let pin = format!("count.test=127.0.0.1:{port}");
    let replica = || Place::replica(&database, turn(port), &["--sandbox-resolve", &pin]);
    let mut replicas = [replica(), replica()];
    let [first, second] = &replicas;
    let networking = json!({"type": "limited", "allowed_hosts": ["count.test"]});
    let environment = first.environment(&networking);
    let session = first.session(&environment, &Value::Null);
    let mut streams = [first, second].map(|place| Stream::open(place, &session));
    second.tells(&session, "Go.");
    eventually("the first call", PATIENCE, || {
        (count.connections() == 1).then_some(())
    });
    let asked = replicas.each_ref().map(|place| place.model.asked().len());
    let (runner, other) = match asked {
        [1, 0] => (0, 1),
        [0, 1] => (1, 0),
        asked => panic!("not one of the two asked its model: {asked:?}"),
    };
    replicas[runner].up.process.signal(Signal::KILL);
    replicas[runner].up.process.wait(PATIENCE);
    let survivor = &replicas[other];
    survivor.rests(&session, 1);
    let events = survivor.events(&session);
    let results = of_kind(&events, "agent.tool_result");
    let [lost, done] = results[..] else {
        panic!("{events:#?}");
    };
    assert_eq!(lost["is_error"], true);
    assert!(lost.to_string().contains("was not run again"), "{lost}");
    assert!(done.to_string().contains("GET /second"), "{done}");
    let requests = count.requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert_eq!(events.last().unwrap()["stop_reason"]["type"], "end_turn");
    // Who watched the survivor has seen everything, once; the others, the beginning of it.
    let ids = |events: &[Value]| -> Vec<String> {
        let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
        events.iter().map(id).collect()
    };
    let listed = ids(&events);
    let seen: Vec<_> = std::iter::from_fn(|| streams[other].next())
        .take(listed.len())
        .collect();
    assert_eq!(ids(&seen), listed);
    let seen: Vec<_> = std::iter::from_fn(|| streams[runner].next()).collect();
    assert!(
        listed.starts_with(&ids(&seen)) && !seen.is_empty(),
        "{seen:#?}"
    );
    let [one, two] = replicas;
    let survivor = if other == 0 { one } else { two };
    survivor.up.stop();
}
