//! The official SDKs, with a virtual key, a limit, and a server between them and the model.

use bailiwick_testkit::{ModelStep, Sdk};

use super::Place;

const OPENAI: &str = "3.57.0";
const ANTHROPIC: &str = "2.12.0";

/// Runs a script against a proxy with a budget; what was recorded is what the model counted.
fn drives(place: &Place, sdk: &Sdk, script: &str, base: &str, answered: usize) {
    let limit = ["limit", "create", "--environment", "dev"];
    let amount = ["--max-cost", "0.1", "--window", "24h"];
    place
        .up
        .does(&place.machine, &[&limit[..], &amount].concat());
    let url = format!("{}/llm/door{base}", place.up.url);
    let printed = sdk.run(script, &[&url, &place.key]);
    assert!(printed.starts_with("done"), "{printed}");
    // Not tried again, as often as the SDK otherwise would.
    let log = place.up.process.complained();
    let refused = log.lines().filter(|line| line.contains("402"));
    assert_eq!(refused.count(), 1, "{log}");
    let records = place.waits_for_records(answered);
    let output: u64 = records
        .iter()
        .map(|record| {
            assert_eq!(record["kind"], "told");
            record["output_tokens"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(output, place.model.usage().output_tokens);
}

#[test]
fn the_openai_sdk_streams_through_a_proxy_and_does_not_try_again_what_a_limit_refuses() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    place.has_an_upstream_of_openai("gpt-5");
    let sdk = Sdk::openai_python(OPENAI);
    let script = include_str!("openai.py");
    drives(&place, &sdk, script, "/openai/v1", 2);
}

#[test]
fn the_anthropic_sdk_streams_through_a_proxy_and_does_not_try_again_what_a_limit_refuses() {
    let place = Place::unrestricted(vec![ModelStep::text("Something.").always()]);
    let sdk = Sdk::python(ANTHROPIC);
    let script = include_str!("anthropic.py");
    drives(&place, &sdk, script, "/anthropic", 1);
}
