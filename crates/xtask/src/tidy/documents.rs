//! Documents: what they link to and what they tell people to type must exist.

use std::path::Path;

use clap::CommandFactory;

use super::Finding;

pub(super) fn check(root: &Path, file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let broken = links(line).filter(|link| !exists(root, file, link));
        findings.extend(
            broken.map(|link| Finding::new(file, number, format!("the link {link} leads nowhere"))),
        );
        let unknown = unknown_commands(root, line);
        findings.extend(
            unknown
                .into_iter()
                .map(|command| Finding::new(file, number, format!("there is no `{command}`"))),
        );
    }
    findings
}

/// The relative targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets.filter(|target| {
        !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
    })
}

fn exists(root: &Path, file: &Path, link: &str) -> bool {
    root.join(file)
        .parent()
        .is_some_and(|dir| dir.join(link).exists())
}

/// `cargo xtask X` must be a command of this program; `bailiwick X` must have its file.
fn unknown_commands(root: &Path, line: &str) -> Vec<String> {
    let commands = root.join("crates/bailiwick/src/command");
    let xtask = crate::Cli::command();
    let chores = after(line, "cargo xtask ").filter(|name| xtask.find_subcommand(name).is_none());
    let verbs = after(line, "bailiwick ")
        .filter(|_| typed(line) && commands.is_dir())
        .filter(|name| {
            let file = name.replace('-', "_");
            !commands.join(format!("{file}.rs")).is_file() && !commands.join(file).is_dir()
        });
    let chores = chores.map(|name| format!("cargo xtask {name}"));
    chores
        .chain(verbs.map(|name| format!("bailiwick {name}")))
        .collect()
}

/// The word after each occurrence of `command`, where it looks like a subcommand.
fn after<'a>(line: &'a str, command: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(command).filter_map(move |(at, _)| {
        let whole = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let word = line[at + command.len()..]
            .split(|c: char| !c.is_ascii_lowercase() && c != '-')
            .next()?;
        (whole && !word.is_empty() && !word.starts_with('-')).then_some(word)
    })
}

/// Whether the line shows something to type: prose says "bailiwick is", a command stands in backticks or behind a `$`.
fn typed(line: &str) -> bool {
    let command = line
        .trim_start()
        .trim_start_matches("$ ")
        .trim_start_matches("sudo ");
    command.starts_with("bailiwick ") || line.contains("`bailiwick ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        check(crate::workspace::root(), Path::new("README.md"), text)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn links_must_lead_somewhere() {
        assert_eq!(
            messages("[a](ARCHITECTURE.md#crates) [b](https://example.com/x) [c](#here)"),
            [""; 0]
        );
        assert_eq!(
            messages("[a](NOWHERE.md)"),
            ["the link NOWHERE.md leads nowhere"]
        );
    }

    #[test]
    fn documented_chores_exist() {
        assert_eq!(
            messages("run `cargo xtask check`, then `cargo xtask bench --quick`"),
            [""; 0]
        );
        assert_eq!(
            messages("run `cargo xtask polish`"),
            ["there is no `cargo xtask polish`"]
        );
    }
}
