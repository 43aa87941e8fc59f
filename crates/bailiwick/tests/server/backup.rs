//! `bailiwick backup` and `bailiwick restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_testkit::{Bailiwick, eventually};

use crate::{Ended, Up, finish, machine};

fn execute(machine: &Bailiwick, arguments: &[&str]) -> Ended {
    finish(&mut machine.command(arguments))
}

fn backup(machine: &Bailiwick, file: &str) -> Ended {
    execute(machine, &["backup", file, "--data", "data"])
}

fn restore(machine: &Bailiwick, file: &str, options: &[&str]) -> Ended {
    execute(
        machine,
        &[&["restore", file, "--data", "data"], options].concat(),
    )
}

fn names(machine: &Bailiwick, up: &Up) -> Vec<String> {
    let all = up.json(machine, &["environment", "list"]);
    let name = |one: &serde_json::Value| one["name"].as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_copy_made_under_writes_has_all_that_was_acknowledged_and_its_chain_holds() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let (made, enough) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let before = std::thread::scope(|scope| {
        for writer in 0..2 {
            let (machine, up, made, enough) = (&machine, &up, &made, &enough);
            scope.spawn(move || {
                for number in 0.. {
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("w{writer}-{number}");
                    up.does(machine, &["environment", "create", "--name", &name]);
                    made.lock().unwrap().push(name);
                }
            });
        }
        let wait_for = |count: usize| {
            eventually("writes", Duration::from_secs(60), || {
                (made.lock().unwrap().len() >= count).then_some(())
            });
        };
        wait_for(10);
        let before = made.lock().unwrap().clone();
        backup(&machine, "copy.db").exits(0);
        let during = made.lock().unwrap().len();
        wait_for(during + 5);
        enough.store(true, Ordering::Relaxed);
        before
    });
    let key = up.key.clone();
    up.stop();
    let mode = fs::metadata(machine.workspace().join("copy.db"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    restore(&machine, "copy.db", &["--replace"]).exits(0);
    let mut up = Up::start(&machine, &[]);
    up.key = key;
    let there = names(&machine, &up);
    for name in &before {
        assert!(
            there.contains(name),
            "{name} was acknowledged and is not in {there:?}"
        );
    }
    let all = made.lock().unwrap().len();
    assert!(
        there.len() <= all,
        "the copy has {}, of {all}: it is not what was restored",
        there.len()
    );
    up.does(&machine, &["audit-log", "verify"]);
    up.does(&machine, &["environment", "create", "--name", "after"]);
    up.does(&machine, &["audit-log", "verify"]);
}

#[test]
fn nothing_is_restored_under_a_running_server_and_nothing_is_overwritten_unasked() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let key = up.key.clone();
    backup(&machine, "copy.db").exits(0);
    let again = backup(&machine, "copy.db").exits(125);
    assert!(
        again.stderr.contains("is there already"),
        "{}",
        again.stderr
    );
    up.does(&machine, &["environment", "create", "--name", "later"]);
    let refused = restore(&machine, "copy.db", &["--replace"]).exits(125);
    assert!(
        refused.stderr.contains("in use by a running server"),
        "{}",
        refused.stderr
    );
    let second = execute(
        &machine,
        &["up", "--listen", "127.0.0.1:0", "--data", "data"],
    )
    .exits(125);
    assert!(
        second.stderr.contains("in use by a running server"),
        "{}",
        second.stderr
    );
    assert!(names(&machine, &up).contains(&"later".to_owned()));
    up.stop();
    let refused = restore(&machine, "copy.db", &[]).exits(125);
    assert!(refused.stderr.contains("--replace"), "{}", refused.stderr);
    let done = restore(&machine, "copy.db", &["--replace"]).exits(0);
    let kept = done
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("what was there is "));
    let kept = kept
        .and_then(|line| line.strip_suffix(" now"))
        .expect("where it is")
        .to_owned();
    let mut up = Up::start(&machine, &[]);
    up.key.clone_from(&key);
    assert!(!names(&machine, &up).contains(&"later".to_owned()));
    up.stop();
    // What was there is there, under the name that was told, with its log.
    let old = format!("sqlite:{kept}");
    execute(&machine, &["backup", "old.db", "--database-url", &old]).exits(0);
    restore(&machine, "old.db", &["--replace"]).exits(0);
    let mut up = Up::start(&machine, &[]);
    up.key = key;
    assert!(names(&machine, &up).contains(&"later".to_owned()));
}

#[test]
fn what_is_no_copy_is_refused_and_what_was_there_stays() {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let key = up.key.clone();
    backup(&machine, "copy.db").exits(0);
    up.stop();
    let copy = fs::read(machine.workspace().join("copy.db")).unwrap();
    let mut damaged = copy.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0xa5);
    for (name, bytes) in [
        ("empty.db", Vec::new()),
        ("text.db", b"once upon a time".repeat(1000)),
        ("cut.db", copy[..copy.len() / 2].to_vec()),
        ("damaged.db", damaged),
    ] {
        machine.write(name, bytes);
        restore(&machine, name, &["--replace"]).exits(125);
        restore(&machine, "missing.db", &["--replace"]).exits(2);
        let left: Vec<_> = fs::read_dir(machine.workspace().join("data"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.') || name.contains("replaced"))
            .collect();
        assert_eq!(left, [""; 0], "{name}");
    }
    let mut up = Up::start(&machine, &[]);
    up.key = key;
    assert_eq!(names(&machine, &up), ["Default"]);
    up.stop();
    let elsewhere = ["restore", "copy.db", "--data", "fresh"];
    execute(&machine, &elsewhere).exits(0);
    let postgres = [
        "backup",
        "x.db",
        "--database-url",
        "postgres://u:secret@h/d",
    ];
    let refused = execute(&machine, &postgres).exits(125);
    assert!(
        refused.stderr.contains("pg_dump") && !refused.stderr.contains("secret"),
        "{}",
        refused.stderr
    );
}
