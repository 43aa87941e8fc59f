//! What the guides of a server show is what happens.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bailiwick_testkit::Bailiwick;

use crate::{Up, finish, machine};

/// Stands before what a step printed.
const MARK: &str = "\u{1e}";

/// A step of a guide: a command, and what the guide shows of its answer.
struct Step {
    command: String,
    shown: String,
}

/// Runs the console blocks of a guide, in one shell and from top to bottom, and writes its files.
fn follow(guide: &str) {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    let steps = steps(&machine, guide);
    assert!(!steps.is_empty(), "{guide} has lost its commands");
    let mut script = String::from("exec 2>&1\n");
    for Step { command, .. } in &steps {
        // A guide's command may fail, and what it printed says so.
        writeln!(script, "printf '{MARK}'\n{command}").unwrap();
    }
    let mut shell = machine.shell(&script);
    up.is_asked_by(&mut shell);
    let printed = finish(&mut shell).stdout;
    let answers: Vec<&str> = printed.split(MARK).skip(1).collect();
    assert_eq!(answers.len(), steps.len(), "{printed}");
    for (Step { command, shown }, answer) in steps.iter().zip(answers) {
        assert!(is_shown(shown, answer), "$ {command}\n{answer}");
    }
}

fn steps(machine: &Bailiwick, guide: &str) -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(guide);
    let text = fs::read_to_string(path).unwrap();
    let mut steps = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (language, block) = block.split_once('\n').unwrap();
        match language {
            "yaml" => {
                let name = block
                    .lines()
                    .next()
                    .and_then(|line| line.strip_prefix("# "));
                machine.write(name.expect("a file's name"), block);
            }
            "console" => {
                for step in format!("\n{block}\n").split("\n$ ").skip(1) {
                    let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
                    steps.push(Step {
                        command: command.to_owned(),
                        shown: shown.to_owned(),
                    });
                }
            }
            // What is only told, and what the tests of the SDKs run.
            "text" | "python" => {}
            other => panic!("nobody runs {other}"),
        }
    }
    steps
}

/// Whether what was printed is what the guide shows, in which `…` stands for anything in a line.
fn is_shown(shown: &str, printed: &str) -> bool {
    let lines = |text: &str| text.trim_end().lines().count();
    lines(shown) == lines(printed)
        && shown
            .trim_end()
            .lines()
            .zip(printed.lines())
            .all(|(shown, printed)| fits(shown, printed))
}

fn fits(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    is_open || rest.trim().is_empty()
}

#[test]
fn getting_started_does_what_it_says() {
    follow("getting-started.md");
}

#[test]
fn permissions_do_what_the_guide_says() {
    follow("permissions.md");
}

#[test]
fn the_api_does_what_the_guide_says() {
    follow("api.md");
}

#[test]
fn declarations_do_what_the_guide_says() {
    follow("apply.md");
}

#[test]
fn a_guide_shows_what_is_printed_and_nothing_else() {
    assert!(is_shown("ID … NAME\nenv_…  a\n", "ID     NAME\nenv_1  a\n"));
    assert!(is_shown("its head is …", "its head is 3:ab\n"));
    assert!(!is_shown("200", "404\n"));
    assert!(!is_shown("a", "a\nb\n"));
    assert!(!is_shown("a …  b", "a x c\n"));
    assert!(is_shown("", ""));
}
