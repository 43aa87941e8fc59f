//! docs/apply.md does what it says.

use std::fs;
use std::path::Path;

use super::Applied;
use crate::Ended;

/// A block of the guide: its language, and its lines.
struct Block {
    language: String,
    text: String,
}

fn blocks(guide: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line
            .strip_prefix("```")
            .filter(|language| !language.is_empty())
        else {
            continue;
        };
        let text: String = lines
            .by_ref()
            .take_while(|line| !line.starts_with("```"))
            .map(|line| format!("{line}\n"))
            .collect();
        let language = language.to_owned();
        blocks.push(Block { language, text });
    }
    blocks
}

/// Whether what was printed is what the guide shows, in which `…` stands for anything in a line.
fn is_shown(shown: &str, printed: &str) -> bool {
    let fits = |(shown, printed): (&str, &str)| {
        let mut rest = printed;
        let mut parts = shown.split('…');
        let Some(begin) = parts.next().and_then(|first| rest.strip_prefix(first)) else {
            return false;
        };
        rest = begin;
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = if part.is_empty() {
                ""
            } else {
                &rest[at + part.len()..]
            };
        }
        rest.is_empty()
    };
    shown.lines().count() == printed.lines().count() && shown.lines().zip(printed.lines()).all(fits)
}

/// Runs a line of the guide; `echo "exit code $?"` shows how the one before it ended.
fn run(applied: &Applied, line: &str, last: &mut Ended) -> String {
    if line == "echo $?" {
        return format!("{}\n", last.code);
    }
    let words = line
        .strip_prefix("bailiwick ")
        .unwrap_or_else(|| panic!("{line} is no command of ours"));
    *last = applied.asks(words);
    format!("{}{}", last.stderr, last.stdout)
}

#[test]
fn every_command_of_the_guide_answers_as_the_guide_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/apply.md");
    let guide = fs::read_to_string(path).unwrap();
    let applied = Applied::new(&[]);
    let mut last = Ended {
        code: 0,
        stdout: String::new(),
        stderr: String::new(),
    };
    let mut commands = 0;
    for Block { language, text } in blocks(&guide) {
        match language.as_str() {
            "yaml" => {
                let name = text
                    .lines()
                    .next()
                    .and_then(|line| line.strip_prefix("# "))
                    .expect("a file's name");
                applied.machine.write(name, &text);
            }
            "console" => {
                for step in text.split("$ ").skip(1) {
                    let (line, shown) = step.split_once('\n').unwrap();
                    let printed = run(&applied, line, &mut last);
                    assert!(is_shown(shown, &printed), "$ {line}\n{printed}");
                    commands += 1;
                }
            }
            other => panic!("nobody runs {other}"),
        }
    }
    assert!(commands >= 5, "the guide has lost its commands");
}
