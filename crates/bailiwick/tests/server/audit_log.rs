//! `bailiwick audit-log`.

use bailiwick_testkit::Bailiwick;

use crate::{Ended, Up, finish, machine};

/// The administrator's key, so that a server that is started again can be asked.
const KEY: &str = "bwk_0123456789012345678901234567890123456789";

fn start(machine: &Bailiwick) -> Up {
    let mut up = Up::start_with(machine, &[], &[("BAILIWICK_BOOTSTRAP_KEY", KEY)]);
    KEY.clone_into(&mut up.key);
    up
}

/// A log of six entries in `audit.jsonl`, of a server that is gone; its head.
fn exported(machine: &Bailiwick) -> String {
    let up = start(machine);
    for name in ["a", "b", "c", "d"] {
        up.does(
            machine,
            &[
                "environment",
                "create",
                "--name",
                name,
                "--description",
                "caf\u{e9} \"\\\"",
            ],
        );
    }
    up.does(machine, &["environment", "update", "a", "--name", "aa"]);
    let whole = up.does(machine, &["audit-log", "verify"]);
    let printed = up.does(machine, &["audit-log", "export", "audit.jsonl"]);
    let head = |text: &str| text.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(head(&whole), head(&printed));
    up.stop();
    head(&printed)
}

fn verify(machine: &Bailiwick, options: &[&str]) -> Ended {
    finish(&mut machine.command([&["audit-log", "verify", "audit.jsonl"], options].concat()))
}

#[test]
fn an_exported_log_is_verified_without_a_server_and_a_forged_one_is_refused_with_the_entry() {
    let machine = machine();
    let head = exported(&machine);
    let text = std::fs::read_to_string(machine.workspace().join("audit.jsonl")).unwrap();
    let ended = verify(&machine, &["--head", &head]).exits(0);
    assert!(ended.stdout.contains("6 entries"), "{}", ended.stdout);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 7);
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let without = |index: usize| joined(&[&lines[..index], &lines[index + 1..]].concat());
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    let twice = [&lines[..3], &lines[2..]].concat();
    for (what, forged, entry) in [
        (
            "changed",
            text.replacen("\"name\":\"b\"", "\"name\":\"x\"", 1),
            "entry 3",
        ),
        (
            "changed actor",
            text.replacen("\"kind\":\"user\"", "\"kind\":\"system\"", 1),
            "entry 2",
        ),
        ("first removed", without(0), "entry 1"),
        ("one removed", without(3), "entry 4"),
        ("last removed", without(5), "entry 6"),
        ("end removed", without(6), "entry 7"),
        (
            "cut in a line",
            text[..text.len() - 200].to_owned(),
            "entry ",
        ),
        ("reordered", joined(&swapped), "entry 3"),
        ("twice", joined(&twice), "entry 4"),
        ("followed", text.clone() + lines[5] + "\n", "entry 6"),
        ("nonsense", text.replacen(lines[4], "{}", 1), "entry 5"),
        (
            "a line of 40 MB",
            text.replacen(lines[1], &"x".repeat(40 << 20), 1),
            "entry 2",
        ),
        ("empty", String::new(), "entry 1"),
    ] {
        assert_ne!(forged, text, "{what}");
        machine.write("audit.jsonl", forged);
        let ended = verify(&machine, &[]).exits(3);
        assert!(ended.stderr.contains(entry), "{what}: {}", ended.stderr);
    }
    let mut bytes = text.into_bytes();
    bytes[300] = 0xff;
    machine.write("audit.jsonl", bytes);
    let ended = verify(&machine, &[]).exits(3);
    assert!(ended.stderr.contains("is not text"), "{}", ended.stderr);
}

#[test]
fn a_log_that_was_written_anew_shows_where_its_head_was_kept() {
    let machine = machine();
    let head = exported(&machine);
    std::fs::rename(
        machine.workspace().join("data"),
        machine.workspace().join("old"),
    )
    .unwrap();
    std::fs::remove_file(machine.workspace().join("audit.jsonl")).unwrap();
    exported(&machine);
    verify(&machine, &[]).exits(0);
    let ended = verify(&machine, &["--head", &head]).exits(3);
    assert!(
        ended.stderr.contains("entry 6 is another than it was"),
        "{}",
        ended.stderr
    );
    let later = head.replacen("6:", "9:", 1);
    let ended = verify(&machine, &["--head", &later]).exits(3);
    assert!(ended.stderr.contains("cut at entry 7"), "{}", ended.stderr);
    let up = start(&machine);
    let asked = |head: &str| up.asks(&machine, &["audit-log", "verify", "--head", head]);
    let there = up.does(&machine, &["audit-log", "verify"]);
    asked(there.trim().rsplit(' ').next().unwrap()).exits(0);
    asked(&head).exits(3);
    asked(&later).exits(3);
    verify(&machine, &["--head", "6:short"]).exits(2);
}

/// The head of a server's log, in `head.json`, and the key that signed it.
fn signed_head(machine: &Bailiwick, up: &Up) -> String {
    let printed = up.does(machine, &["audit-log", "head"]);
    machine.write("head.json", &printed);
    let head: serde_json::Value = serde_json::from_str(&printed).unwrap();
    head["public_key"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_is_held_against_a_signed_head_without_a_server() {
    let machine = machine();
    exported(&machine);
    let up = start(&machine);
    let key = signed_head(&machine, &up);
    up.stop();
    let signed = ["--signed-head", "head.json", "--public-key", &key];
    verify(&machine, &signed).exits(0);
    let stranger = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let ended = verify(
        &machine,
        &["--signed-head", "head.json", "--public-key", stranger],
    );
    assert!(ended.exits(3).stderr.contains("another key"));
    let head = std::fs::read_to_string(machine.workspace().join("head.json")).unwrap();
    let forged = head.replacen("\"entries\": 6", "\"entries\": 5", 1);
    assert_ne!(head, forged);
    machine.write("head.json", forged);
    let ended = verify(&machine, &signed).exits(3);
    assert!(
        ended.stderr.contains("not of this head"),
        "{}",
        ended.stderr
    );
    machine.write("head.json", head);
    // A log that goes on has no end, and must reach as far as the head does.
    let path = machine.workspace().join("audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    machine.write("audit.jsonl", lines[..6].join("\n") + "\n");
    verify(&machine, &signed).exits(0);
    verify(&machine, &[]).exits(3);
    machine.write("audit.jsonl", lines[..5].join("\n") + "\n");
    let ended = verify(&machine, &signed).exits(3);
    assert!(ended.stderr.contains("cut at entry 6"), "{}", ended.stderr);
}

#[test]
fn a_server_exports_its_log_as_it_goes_on_and_says_at_the_start_what_cannot_be() {
    let machine = machine();
    let log = machine.workspace().join("log.jsonl");
    let export = format!("audit=file:{}", log.display());
    let variables = [("BAILIWICK_BOOTSTRAP_KEY", KEY)];
    for round in 0..2 {
        let mut up = Up::start_with(&machine, &["--export", &export], &variables);
        KEY.clone_into(&mut up.key);
        let name = format!("e{round}");
        up.does(&machine, &["environment", "create", "--name", &name]);
        let begun = std::time::Instant::now();
        let lines = || {
            std::fs::read_to_string(&log)
                .unwrap_or_default()
                .lines()
                .count()
        };
        while lines() < 2 + round {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let key = signed_head(&machine, &up);
        up.stop();
        assert_eq!(lines(), 2 + round);
        let signed = ["--signed-head", "head.json", "--public-key", &key];
        let file = log.to_str().unwrap();
        let arguments = [&["audit-log", "verify", file], signed.as_slice()].concat();
        finish(&mut machine.command(arguments)).exits(0);
    }
    for (options, said) in [
        (vec!["--export", "events=file:/tmp/x"], "no records"),
        (vec!["--export", "audit=ftp://x"], "a destination is"),
        (vec!["--export", "audit=file:/missing/x"], "cannot write"),
        (
            vec!["--export", "audit=https://logs.example.com/x"],
            "needs a secret",
        ),
        (vec!["--export", &export, "--export", &export], "twice"),
        (vec!["--allow-host-path", "bases"], "--allow-host-path"),
    ] {
        let arguments = [
            vec!["up", "--listen", "127.0.0.1:0", "--data", "data"],
            options,
        ];
        let ended = finish(&mut machine.command(arguments.concat()));
        assert_ne!(ended.code, 0, "{said}");
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}
