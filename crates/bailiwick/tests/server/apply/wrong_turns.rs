//! What goes wrong, and what is said and done then.

use insta::assert_snapshot;
use serde_json::json;

use super::{Applied, Asking, PAYMENTS, REVIEWER, whole};
use crate::finish;

#[test]
fn all_that_is_wrong_is_said_with_its_place_before_anything_is_written() {
    let applied = Applied::new(&[
        ("all/a.yaml", "name: a\ncolour: red\n"),
        ("all/b.yaml", "name: fine\n---\nkind: Agent\nname: b\n"),
        (
            "all/c.json",
            "{\"name\": \"fine\", \"metadata\": {\"apply-set\": \"x\"}}\n",
        ),
    ]);
    let ended = applied.asks("apply -f all --yes");
    assert_snapshot!(whole(&ended), @r#"
    2
    --- stdout
    --- stderr
      × all/a.yaml has 1 problem

    Error: unknown_field

      × an environment has no field "colour"
       ╭─[all/a.yaml:2:1]
     1 │ name: a
     2 │ colour: red
       · ───┬──
       ·    ╰── here
       ╰────
      help: known are `name`, `description`, `scope`, `config`, `metadata`
      × all/b.yaml has 1 problem

    Error: missing_field

      × model: `model` is needed
       ╭─[all/b.yaml:3:1]
     2 │ ---
     3 │ kind: Agent
       · ▲
       · ╰── here
     4 │ name: b
       ╰────
      help: add `model`
    error: all/c.json:1:10: environment "fine" has the key "apply-set" in its metadata, which `apply` writes itself: remove it, and give --set NAME
    error: 2 files and 1 document cannot be used; nothing was written
    "#);
    assert_eq!(applied.writes(), 0);
}

#[test]
fn one_name_is_declared_once() {
    let applied = Applied::new(&[
        (
            "all/a.yaml",
            "name: a\n---\nkind: Agent\nname: a\nmodel: m\n",
        ),
        (
            "all/b.yaml",
            "---\nname: A\n---\nkind: Agent\nname: a\nmodel: m\n",
        ),
    ]);
    let ended = applied.asks("apply -f all --yes");
    assert_snapshot!(whole(&ended), @r#"
    2
    --- stdout
    --- stderr
    error: all/b.yaml:2:7: environment "A" stands in all/a.yaml:1:7 already: keep one of the two
    error: all/b.yaml:5:7: agent "a" stands in all/a.yaml:4:7 already: keep one of the two
    error: 2 documents cannot be used; nothing was written
    "#);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let applied = Applied::new(&[("empty/README.md", "")]);
    for (path, text) in [
        ("nowhere.yaml", "cannot read nowhere.yaml"),
        ("empty", "empty has nothing to apply"),
        ("/dev/null", "empty"),
    ] {
        let ended = applied.asks(&format!("apply -f {path} --yes")).exits(2);
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
    }
    applied.machine.write("p.yaml", PAYMENTS);
    for options in [
        "--prune",
        "--take-over",
        "--set a/b",
        "--set x --prune --yes --dry-run",
        "",
    ] {
        let file = if options.is_empty() { "" } else { "-f p.yaml" };
        applied.asks(&format!("apply {file} {options}")).exits(2);
    }
}

#[test]
fn a_wrong_key_and_no_server_write_nothing() {
    let applied = Applied::new(&[("p.yaml", PAYMENTS)]);
    let apply = || applied.command("apply -f p.yaml --yes");
    let wrong = finish(apply().env("BAILIWICK_API_KEY", "wrong")).exits(2);
    assert!(
        wrong.stderr.contains("[unauthenticated]"),
        "{}",
        wrong.stderr
    );
    let nowhere = finish(apply().env("BAILIWICK_SERVER", "http://127.0.0.1:1")).exits(125);
    assert!(
        nowhere.stderr.contains("cannot reach http://127.0.0.1:1"),
        "{}",
        nowhere.stderr
    );
    assert_eq!(applied.writes(), 0);
}

#[test]
fn who_cannot_be_asked_says_so_before() {
    let applied = Applied::new(&[("p.yaml", PAYMENTS)]);
    for options in ["", "-o json"] {
        let ended = finish(
            applied
                .command(&format!("apply -f p.yaml {options}"))
                .stdin(std::process::Stdio::null()),
        )
        .exits(2);
        assert!(ended.stderr.contains("--yes"), "{}", ended.stderr);
    }
    assert_eq!(applied.writes(), 0);
}

#[test]
fn a_plan_that_cannot_be_says_why_for_each_document() {
    let applied = Applied::new(&[
        ("a.yaml", PAYMENTS),
        (
            "b.yaml",
            "name: payments\n---\nkind: Agent\nname: reviewer\nmodel: m\nenvironment: nowhere\n---\nname: farm\n---\nkind: Agent\nname: twice\nmodel: m\n",
        ),
        ("twice.yaml", "name: twice\nmodel: m\n"),
    ]);
    applied.does("apply -f a.yaml --set a --yes");
    applied.does("environment create --name farm --self-hosted");
    applied.does("agent create -f twice.yaml");
    applied.does("agent create -f twice.yaml");
    let writes = applied.writes();
    let ended = applied.asks("apply -f b.yaml --set b --yes");
    assert_snapshot!(whole(&ended), @r#"
    2
    --- stdout
    --- stderr
    error: b.yaml:1:7: environment "payments" belongs to the set "a": apply it there, or take it over with --set and --take-over
    error: b.yaml:8:7: environment "farm" is of type "self_hosted" on the server, which cannot become "cloud": archive it first, or choose another name
    error: b.yaml:4:7: agent "reviewer" is placed in the environment "nowhere", which is neither declared nor on the server
    error: b.yaml:11:7: agent "twice" may be any of agent_ID, agent_ID: archive or rename all but one
    error: 4 documents cannot be applied; nothing was written
    "#);
    assert_eq!(applied.writes(), writes);
}

#[test]
fn a_change_of_somebody_else_meanwhile_ends_it_and_what_was_done_is_said() {
    let applied = Applied::new(&[
        ("a.yaml", "name: first\n"),
        ("p.yaml", PAYMENTS),
        ("r.yaml", REVIEWER),
    ]);
    applied.does("environment create --name payments");
    let asking = Asking::start(&applied, "apply -f a.yaml -f p.yaml -f r.yaml");
    applied.does("environment update payments --description mine");
    let ended = asking.answer("y\n");
    assert_snapshot!(whole(&ended), @r#"
    3
    --- stdout
    + environment first
        + config.type: "cloud"
        + inherits_policy: true
    ~ environment payments (env_ID)
        + config.networking.allow_mcp_servers: false
        + config.networking.allow_package_managers: false
        + config.networking.allowed_hosts: "api.example.com"
        + config.networking.type: "limited"
        + description: "what pays"
        ~ inherits_policy: true -> false
        + metadata.team: "pay"
    + agent reviewer
        + execution_identity.type: "service_account"
        + model.effort.type: "high"
        + model.id: "claude-sonnet-4-5"
        + model.speed: "standard"
        + environment: "payments"
    2 to create, 1 to update
    created environment first (env_ID)
    --- stderr
    Do it? [y/N] error: environment "payments": the environment was changed by somebody else: read it again [stale]
    done:
      create environment first
    failed:
      update environment payments
    not done:
      create agent reviewer
    apply again to see what is left to do
    "#);
    assert_eq!(
        applied.json("environment get payments")["description"],
        "mine"
    );
    assert_eq!(applied.json("agent list"), json!([]));
    // The next plan starts from what is there.
    applied.does("apply -f a.yaml -f p.yaml -f r.yaml --yes");
    assert_eq!(
        applied.json("environment get payments")["description"],
        "what pays"
    );
}

#[test]
fn what_was_changed_meanwhile_is_not_archived() {
    let applied = Applied::new(&[
        ("p.yaml", PAYMENTS),
        ("r.yaml", REVIEWER),
        ("rest.yaml", "name: rest\n"),
    ]);
    applied.does("apply -f p.yaml -f r.yaml --set a --yes");
    let asking = Asking::start(&applied, "apply -f rest.yaml --set a --prune");
    applied.does("apply -f p.yaml -f r.yaml --set b --take-over --yes");
    let ended = asking.answer("y\n");
    assert_snapshot!(whole(&ended), @r#"
    3
    --- stdout
    + environment rest
        + config.type: "cloud"
        + inherits_policy: true
        + metadata.apply-set: "a"
    - agent reviewer (agent_ID): is archived
    - environment payments (env_ID): is archived
    1 to create, 2 to archive
    created environment rest (env_ID)
    --- stderr
    Do it? [y/N] error: agent "reviewer": it was changed by somebody else since the plan was made [stale]
    done:
      create environment rest
    failed:
      prune agent reviewer
    not done:
      prune environment payments
    apply again to see what is left to do
    "#);
    assert_eq!(applied.json("agent list").as_array().unwrap().len(), 1);
    assert_eq!(applied.json("environment get payments")["state"], "active");
}

#[test]
fn an_agent_that_was_made_and_not_placed_is_placed_the_next_time() {
    let applied = Applied::new(&[("r.yaml", REVIEWER)]);
    applied.does("environment create --name payments");
    let asking = Asking::start(&applied, "apply -f r.yaml --set a");
    applied.does("environment archive payments");
    let ended = asking.answer("y\n");
    assert_snapshot!(whole(&ended), @r#"
    3
    --- stdout
    + agent reviewer
        + execution_identity.type: "service_account"
        + metadata.apply-set: "a"
        + model.effort.type: "high"
        + model.id: "claude-sonnet-4-5"
        + model.speed: "standard"
        + environment: "payments"
    1 to create
    --- stderr
    Do it? [y/N] error: agent "reviewer": agent_ID was made, and not placed in "payments": the environment is archived [environment_archived]
    done: nothing
    failed:
      create agent reviewer
    not done: nothing
    apply again to see what is left to do
    "#);
    applied.does("environment create --name payments");
    applied.does("apply -f r.yaml --set a --yes");
    assert_eq!(applied.json("agent list").as_array().unwrap().len(), 1);
    assert!(applied.json("agent get reviewer")["environment_id"].is_string());
}

#[test]
fn a_server_that_ends_meanwhile_is_told_from_one_that_refuses() {
    let applied = Applied::new(&[("p.yaml", PAYMENTS)]);
    let asking = Asking::start(&applied, "apply -f p.yaml");
    applied.up.process.signal(rustix::process::Signal::KILL);
    let ended = asking.answer("y\n").exits(125);
    for text in [
        "environment \"payments\": cannot reach",
        "done: nothing\nfailed:\n  create environment payments\nnot done: nothing\n",
    ] {
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
    }
}

#[test]
fn who_may_not_change_is_refused_with_nothing_done() {
    let applied = Applied::new(&[
        ("p.yaml", PAYMENTS),
        ("password", "a long enough password\n"),
    ]);
    applied.does("member add ada@example.com --name Ada --role member --password-file password");
    let account = applied.service_account("member");
    let ended = finish(
        applied
            .command("apply -f p.yaml --yes")
            .env("BAILIWICK_API_KEY", account),
    )
    .exits(3);
    assert_snapshot!(whole(&ended), @r#"
    3
    --- stdout
    + environment payments
        + config.networking.allowed_hosts: "api.example.com"
        + config.networking.type: "limited"
        + config.type: "cloud"
        + description: "what pays"
        + metadata.team: "pay"
    1 to create
    --- stderr
    error: environment "payments": the permission environment:admin is needed (an administrator can give you a role that has it) [forbidden]
    done: nothing
    failed:
      create environment payments
    not done: nothing
    apply again to see what is left to do
    "#);
}
