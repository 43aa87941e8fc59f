//! What the guides of a server show is what happens.

use std::fs;
use std::path::Path;

use bailiwick_testkit::Bailiwick;
#[cfg(feature = "system-tests")]
use bailiwick_testkit::{ModelScript, ModelServer, ModelStep};

use crate::{Up, finish, machine};

/// Stands before what a step printed.
const MARK: &str = "\u{1e}";

/// A step of a guide.
enum Step {
    /// A file that the guide shows.
    File { name: String, text: String },
    /// A command, and what the guide shows of its answer.
    Command { line: String, shown: String },
}

/// Writes the files of a guide and runs its commands, in one shell and from top to bottom.
fn follow(guide: &str) {
    let machine = machine();
    let up = Up::start(&machine, &[]);
    follow_on(guide, &machine, &up);
}

fn follow_on(guide: &str, machine: &Bailiwick, up: &Up) {
    let steps = steps(guide);
    let mut script = String::from("exec 2>&1\n");
    let mut commands = Vec::new();
    for step in &steps {
        match step {
            Step::File { name, text } => {
                let write =
                    format!("mkdir -p \"$(dirname {name})\"; cat >{name} <<'FILE'\n{text}\nFILE\n");
                script.push_str(&write);
            }
            Step::Command { line, shown } => {
                // It may ask how the one before it ended.
                let run = format!("printf '{MARK}'; (exit ${{status:-0}})\n{line}\nstatus=$?\n");
                script.push_str(&run);
                commands.push((line, shown));
            }
        }
    }
    assert!(!commands.is_empty(), "{guide} has lost its commands");
    let mut shell = machine.shell(&script);
    up.is_asked_by(&mut shell);
    let printed = finish(&mut shell).stdout;
    let answers: Vec<&str> = printed.split(MARK).skip(1).collect();
    assert_eq!(answers.len(), commands.len(), "{printed}");
    for ((line, shown), answer) in commands.into_iter().zip(answers) {
        assert!(is_shown(shown, answer), "$ {line}\n{answer}");
    }
}

fn steps(guide: &str) -> Vec<Step> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = fs::read_to_string(docs.join(guide)).unwrap();
    let mut steps = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (language, block) = block.split_once('\n').unwrap();
        match language {
            "yaml" => {
                let name = block
                    .lines()
                    .next()
                    .and_then(|line| line.strip_prefix("# "));
                steps.push(Step::File {
                    name: name.expect("a file's name").to_owned(),
                    text: block.to_owned(),
                });
            }
            "console" => {
                for step in format!("\n{block}\n").split("\n$ ").skip(1) {
                    let (line, shown) = step.split_once('\n').unwrap_or((step, ""));
                    steps.push(Step::Command {
                        line: line.to_owned(),
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
    let Some(mut rest) = printed.trim().strip_prefix(first) else {
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
fn costs_are_what_the_guide_says() {
    follow("costs.md");
}

#[test]
fn tools_of_an_organization_are_what_the_guide_says() {
    follow("tools.md");
}

#[test]
fn what_environments_know_is_what_the_guide_says() {
    let machine = machine();
    let root = machine.workspace().display().to_string();
    machine.write("server.yaml", format!("knowledge_roots: [{root:?}]\n"));
    let up = Up::start(&machine, &["--config", "server.yaml"]);
    follow_on("knowledge.md", &machine, &up);
}

/// Its agent says what a script has, and its worker runs in sandboxes.
#[cfg(feature = "system-tests")]
#[test]
fn system_sessions_and_workers_do_what_the_guide_says() {
    let script = ModelScript::of([
        ModelStep::text("Hello."),
        ModelStep::text("Hello again."),
        ModelStep::tool("bash", serde_json::json!({"command": "id -un"})),
        ModelStep::text("Done."),
    ]);
    let model = ModelServer::start(script);
    let url = model.url();
    let variables = [
        ("ANTHROPIC_API_KEY", "sk-test"),
        ("ANTHROPIC_BASE_URL", url.as_str()),
    ];
    let machine = machine();
    let up = Up::start_with(&machine, &[], &variables);
    follow_on("sessions.md", &machine, &up);
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
