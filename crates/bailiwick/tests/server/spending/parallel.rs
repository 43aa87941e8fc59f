//! Many requests at once, and a budget that not all of them fit into.

use std::thread;

use bailiwick_testkit::ModelStep;
#[cfg(feature = "system-tests")]
use bailiwick_testkit::Postgres;

use super::{Answer, Place, question};

/// Tokens of an answer: four bytes are one to the stand-in.
const TOKENS: u64 = 3000;
/// Dollars: some 660 answers.
const BUDGET: f64 = 30.0;

/// One long answer, always: 0.045 dollars at 15 a million, and 0.07 in the worst case of its request.
fn long() -> ModelStep {
    let bytes = usize::try_from(4 * TOKENS).unwrap();
    ModelStep::text("x".repeat(bytes)).always()
}

/// A thousand requests at once, to these servers in turns: what was spent, by all accounts, is in the budget.
fn spend_no_more_than_their_budget(place: &Place, urls: &[String]) {
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
    let path = "/llm/door/anthropic/v1/messages";
    let request = Place::post(path, &place.key, &question(TOKENS + 10));
    let asks = |number: usize| {
        let url = &urls[number % urls.len()];
        let status = Answer::of(Place::sends_to(url, &request)).status;
        assert!([200, 402].contains(&status), "{status}");
        usize::from(status == 200)
    };
    let answered: usize = thread::scope(|scope| {
        let asks = &asks;
        let client = |number| thread::Builder::new().spawn_scoped(scope, move || asks(number));
        let clients: Vec<_> = (0..1000).map(|number| client(number).unwrap()).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    let records = place.waits_for_records(answered);
    let limits = place.up.json(&place.machine, &["limit", "list"]);
    let spent: f64 = limits[0]["spent_usd"].as_str().unwrap().parse().unwrap();
    assert!(spent <= BUDGET, "{spent}");
    assert!(spent > BUDGET / 4.0, "much of it can be spent: {spent}");
    let cost = |record: &serde_json::Value| record["cost_usd"].as_str().unwrap().parse::<f64>();
    let told: f64 = records.iter().map(|record| cost(record).unwrap()).sum();
    assert!((told - spent).abs() < 1e-6, "{told} {spent}");
    let output = |record: &serde_json::Value| record["output_tokens"].as_u64().unwrap();
    let output: u64 = records.iter().map(output).sum();
    assert_eq!(output, place.model.usage().output_tokens);
    assert_eq!(place.model.requests().len(), answered);
}

#[test]
fn a_thousand_requests_at_once_spend_no_more_than_their_budget() {
    let place = Place::unrestricted(vec![long()]);
    let urls = [place.up.url.clone()];
    spend_no_more_than_their_budget(&place, &urls);
}

#[cfg(feature = "system-tests")]
#[test]
fn a_thousand_requests_at_once_to_two_servers_spend_no_more_than_their_budget() {
    let database = Postgres::start();
    let url = database.url();
    let place = Place::on(
        vec![long()],
        "{type: unrestricted}",
        &["--database-url", &url, "--data", "data"],
    );
    let other = super::start_on(
        &place.machine,
        &place.model,
        &["--database-url", &url, "--data", "other"],
    );
    let urls = [place.up.url.clone(), other.url.clone()];
    spend_no_more_than_their_budget(&place, &urls);
    other.stop();
}
