//! Sandboxes that run: listed, entered, ended, several at once, and what is left when their holder dies.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bailiwick_testkit::{Bailiwick, Child, eventually};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{everyone, in_workspace, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox in which a command runs that is known by this word.
fn start(bailiwick: &Bailiwick, options: &[&str], word: &str) -> (Child, String) {
    let script = format!(": {word}; echo ready; while :; do sleep 0.1; done");
    let child = run(bailiwick, options).start(["sh", "-c", &script]);
    child.wait_for("its start", |line| (line == "ready").then_some(()));
    let id = eventually("its entry", PATIENCE, || id_of(bailiwick, word));
    (child, id)
}

fn id_of(bailiwick: &Bailiwick, word: &str) -> Option<String> {
    let list: Value = serde_json::from_str(
        &bailiwick
            .execute(["ps", "--format", "json"])
            .success()
            .stdout,
    )
    .expect("JSON");
    let found = list.as_array()?.iter().find(|entry| {
        entry["command"]
            .as_str()
            .is_some_and(|command| command.contains(word))
    })?;
    Some(found["id"].as_str()?.to_owned())
}

#[test]
fn what_is_listed_for_programs_has_the_fields_that_the_guide_promises() {
    let (_leaks, all) = everyone();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/running.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, table) = guide.split_once("## Running sandboxes").unwrap();
    let field = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let promised: BTreeSet<_> = table.lines().filter_map(field).collect();
    for bailiwick in &all {
        let word = format!("fields-{}-{}", bailiwick.user().uid, std::process::id());
        bailiwick.write("environment.yaml", "name: listed\nconfig: {type: cloud}\n");
        let (mut child, id) = start(bailiwick, &["-f", "environment.yaml"], &word);
        let listed = bailiwick.execute(["ps", "--format", "json"]).success();
        let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
        let entry = listed.iter().find(|entry| entry["id"] == id.as_str());
        let entry = entry.unwrap().as_object().unwrap();
        let fields: BTreeSet<_> = entry.keys().cloned().collect();
        assert_eq!(fields, promised);
        assert_eq!(entry["environment"], "listed");
        let workspace = fs::canonicalize(bailiwick.workspace()).unwrap();
        assert_eq!(entry["work_directory"], workspace.to_str().unwrap());
        assert_eq!(entry["pid"], child.id());
        let started = entry["started_at"].as_str().unwrap();
        assert!(
            started.starts_with("20") && started.ends_with('Z'),
            "{started}"
        );
        bailiwick.execute(["kill", &id]).success();
        assert_eq!(child.wait(PATIENCE), 137);
    }
}

#[test]
fn a_running_sandbox_is_listed_entered_and_ended() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let word = format!("listed-{}-{}", bailiwick.user().uid, std::process::id());
        let (mut child, id) = start(bailiwick, &[], &word);
        let table = bailiwick.execute(["ps"]).success().stdout;
        assert!(
            table
                .lines()
                .any(|line| line.starts_with(&id) && line.contains(&word)),
            "{table}"
        );

        let exec = |argv: &[&str]| bailiwick.execute([&["exec", &id, "--"], argv].concat());
        exec(&["sh", "-c", "echo shared > /tmp/x"]).success();
        let seen = exec(&[
            "sh",
            "-c",
            "cat /tmp/x; pwd; id -un; ls /proc | grep -c '^[0-9]'",
        ])
        .success();
        assert!(
            seen.stdout.starts_with("shared\n/workspace\nagent\n"),
            "{}",
            seen.stdout
        );
        exec(&["sh", "-c", "exit 9"]).exits(9);
        exec(&["no-such-program"]).exits(127);
        exec(&["sh", "-c", "kill -KILL $$"]).exits(137);

        let ended = bailiwick.execute(["kill", &id]).success();
        assert_eq!(ended.stdout, format!("{id}\n"));
        assert_eq!(child.wait(PATIENCE), 137);
        assert_eq!(id_of(bailiwick, &word), None);
        bailiwick.execute(["exec", &id, "--", "true"]).exits(2);
        bailiwick.execute(["kill", &id]).exits(2);
    }
}

#[test]
fn a_command_that_enters_has_the_same_policy() {
    let (_leaks, all) = everyone();
    let server = bailiwick_testkit::HttpServer::start();
    for bailiwick in &all {
        let word = format!("entered-{}", bailiwick.user().uid);
        let script = format!(": {word}; echo ready; while :; do sleep 0.1; done");
        let options = bailiwick
            .run()
            .allowing(&["api.test"])
            .resolve("api.test", server.address())
            .resolve("other.test", server.address());
        let mut child = options.start(["sh", "-c", &script]);
        child.wait_for("its start", |line| (line == "ready").then_some(()));
        let id = eventually("its entry", PATIENCE, || id_of(bailiwick, &word));
        let get = |name: &str| {
            let url = format!("http://{name}:{}/", server.address().port());
            bailiwick
                .execute([
                    "exec",
                    &id,
                    "--",
                    "curl",
                    "--silent",
                    "--fail",
                    "--max-time",
                    "5",
                    &url,
                ])
                .code
        };
        assert_eq!(get("api.test"), 0);
        assert_ne!(get("other.test"), 0);
        bailiwick.execute(["kill", &id]).success();
        assert_eq!(child.wait(PATIENCE), 137);
    }
}

#[test]
fn two_sandboxes_share_a_work_directory_and_nothing_else() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let [first, second] =
            ["first", "second"].map(|word| format!("{word}-{}", bailiwick.user().uid));
        let (mut one, one_id) = start(bailiwick, &[], &first);
        let (mut two, two_id) = start(bailiwick, &[], &second);
        let exec = |id: &str, script: &str| {
            bailiwick
                .execute(["exec", id, "--", "sh", "-c", script])
                .stdout
        };
        exec(
            &one_id,
            "echo shared > /workspace/shared; echo own > /tmp/own",
        );
        assert_eq!(
            exec(&two_id, "cat /workspace/shared; cat /tmp/own"),
            "shared\n"
        );
        assert_eq!(exec(&two_id, "echo x > .envrc && echo written"), "");
        bailiwick.execute(["kill", &one_id]).success();
        one.wait(PATIENCE);
        // What the first took with it must not be the protection of the second.
        assert_eq!(
            exec(
                &two_id,
                "(echo x > .envrc || mkdir .vscode/x || mkdir .git/hooks) && echo written"
            ),
            ""
        );
        bailiwick.execute(["kill", &two_id]).success();
        two.wait(PATIENCE);
        assert_eq!(in_workspace(bailiwick), ["shared"]);
    }
}

#[test]
fn when_its_holder_is_killed_everything_inside_ends_and_the_next_start_cleans_up() {
    let (leaks, all) = everyone();
    for bailiwick in &all {
        let word = format!("killed-{}-{}", bailiwick.user().uid, std::process::id());
        let script = format!(
            ": {word}; setsid sleep 311 & trap '' TERM HUP INT; echo ready; while :; do sleep 0.1; done"
        );
        let limits: &[&str] = if bailiwick.user().is_root() {
            &["--memory", "256MiB"]
        } else {
            &[]
        };
        let mut child = run(bailiwick, limits).start(["sh", "-c", &script]);
        child.wait_for("its start", |line| (line == "ready").then_some(()));
        let id = eventually("its entry", PATIENCE, || id_of(bailiwick, &word));
        assert!(!processes_with(&word).is_empty());
        child.signal(Signal::KILL);
        assert_eq!(child.wait(PATIENCE), 137);
        eventually("the end of all processes", PATIENCE, || {
            processes_with(&word).is_empty().then_some(())
        });
        // A process that ends loses its name before its files, of which one holds the lock of the entry.
        eventually("what is over is not listed", PATIENCE, || {
            id_of(bailiwick, &word).is_none().then_some(())
        });

        bailiwick.run().command(["true"]).success();
        assert!(!bailiwick.sandboxes().join(&id).exists());
        assert_eq!(cgroups_named(&id), [] as [PathBuf; 0]);
        assert_eq!(
            in_workspace(bailiwick),
            [] as [&str; 0],
            "placeholders in the work directory"
        );
    }
    drop(leaks);
}

#[test]
fn alone_everything_inside_ends_within_a_second_of_its_holder() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let word = format!("quickly-{}-{}", bailiwick.user().uid, std::process::id());
        let (mut child, _) = start(bailiwick, &[], &word);
        assert!(!processes_with(&word).is_empty(), "control");
        child.signal(Signal::KILL);
        let begun = Instant::now();
        assert_eq!(child.wait(PATIENCE), 137);
        eventually("the end of all processes", PATIENCE, || {
            processes_with(&word).is_empty().then_some(())
        });
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        bailiwick.run().command(["true"]).success();
    }
}

/// Processes of this machine whose command line has this word.
fn processes_with(word: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    })
    .collect()
}

fn cgroups_named(id: &str) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(directory) = waiting.pop() {
        for path in fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
        {
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().contains(id))
            {
                found.push(path);
            } else if !path.is_symlink() {
                waiting.push(path);
            }
        }
    }
    found
}
