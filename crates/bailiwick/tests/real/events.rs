//! What a program reads of an image's making where something outside fails: events and nothing else, the failure last.

use bailiwick_testkit::{Authority, Bailiwick, FreePort, GitHttpsServer, GitRepository, Outcome};
use serde_json::Value;

use crate::support::everyone;

const NAME: &str = "git.example.com";

/// Every line of standard error, each of which has to be an event.
#[track_caller]
fn events(outcome: &Outcome) -> Vec<Value> {
    let event = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}: {outcome:#?}"))
    };
    outcome.stderr.lines().map(event).collect()
}

/// `image COMMAND` with these options, told of in this form.
fn image(bailiwick: &Bailiwick, command: &str, form: &[&str], options: &[&str]) -> Outcome {
    bailiwick.execute(["image", command].iter().chain(form).chain(options))
}

/// Requires that it failed, and that its last event says so.
#[track_caller]
fn failed(outcome: &Outcome, says: &str) {
    assert_eq!(outcome.code, 125, "{outcome:#?}");
    let told = events(outcome);
    let last = told.last().expect("an event");
    assert_eq!(last["event"], "failed", "{outcome:#?}");
    assert!(
        last["message"].as_str().is_some_and(|m| m.contains(says)),
        "{last}"
    );
}

#[test]
fn a_repository_that_does_not_answer_is_told_of_in_the_form_that_was_asked_for() {
    let (_leaks, all) = everyone();
    let authority = Authority::new();
    for bailiwick in &all {
        let repository = GitRepository::new("app");
        let commit = repository.write("file", "x").commit("first");
        let server = GitHttpsServer::start(&authority, &[NAME], repository.root(), "");
        let port = server.address().port();
        let pin = format!("{NAME}={}", server.address());
        let ca = authority.certificate().display().to_string();
        let of = |url: &str, command: &str, form: &[&str]| {
            let options = ["--ca", &ca, "--resolve", &pin, "--project", url];
            image(bailiwick, command, form, &options)
        };
        let url = format!("https://{NAME}:{port}/app/.git");
        let json = ["--progress", "json"];
        let told = events(&of(&url, "build", &json).success());
        assert_eq!(told[0]["event"], "fetching", "{told:#?}");
        drop(server);

        let told = events(&of(&url, "build", &json).success());
        let unreachable = told.iter().find(|event| event["event"] == "unreachable");
        let unreachable = unreachable.expect("an event");
        assert_eq!(unreachable["repository"], url, "{told:#?}");
        assert_eq!(unreachable["commit"], commit, "{told:#?}");
        let quiet = of(&url, "build", &["--quiet"]).success();
        assert_eq!(quiet.stderr, "", "{quiet:#?}");
        let text = of(&url, "build", &[]).success();
        let says = format!("the project is what it was last, {commit}");
        assert!(text.stderr.contains(&says), "{text:#?}");

        // What was never fetched has no state to fall back on.
        let other = format!("https://{NAME}:{port}/other/.git");
        for command in ["build", "refresh"] {
            failed(&of(&other, command, &json), "other");
            let offline = of(&other, command, &["--progress", "json", "--offline"]);
            failed(&offline, "was never fetched here");
        }
    }
}

#[test]
fn a_registry_that_does_not_answer_is_a_failure_among_the_events_of_a_refresh() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let nobody = FreePort::find();
        let base = format!("oci:localhost:{}/a:1", nobody.number());
        let text = "name: plain\nconfig: {type: cloud}\n";
        let file = bailiwick.write(bailiwick.home().join("plain.yaml"), text);
        let file = file.to_str().expect("text");
        for command in ["build", "refresh"] {
            let options = ["--base", &base, "-f", file];
            let outcome = image(bailiwick, command, &["--progress", "json"], &options);
            failed(&outcome, "localhost");
        }
    }
}
