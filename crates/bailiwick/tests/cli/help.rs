//! `--help` of every command: what people read first.

use insta::{assert_snapshot, with_settings};

use crate::bailiwick;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["run"],
    &["up"],
    &["backup"],
    &["restore"],
    &["ps"],
    &["exec"],
    &["kill"],
    &["doctor"],
    &["policy"],
    &["policy", "check"],
    &["policy", "diff"],
    &["policy", "suggest"],
    &["policy", "presets"],
    &["apply"],
    &["environment"],
    &["environment", "validate"],
    &["environment", "show"],
    &["environment", "create"],
    &["environment", "list"],
    &["environment", "get"],
    &["environment", "update"],
    &["environment", "archive"],
    &["environment", "delete"],
    &["environment", "explain"],
    &["environment", "references"],
    &["environment", "revisions"],
    &["environment", "revision"],
    &["environment", "key"],
    &["environment", "key", "create"],
    &["agent"],
    &["agent", "create"],
    &["agent", "list"],
    &["agent", "get"],
    &["agent", "versions"],
    &["agent", "update"],
    &["agent", "archive"],
    &["vault"],
    &["vault", "create"],
    &["vault", "list"],
    &["vault", "get"],
    &["vault", "update"],
    &["vault", "archive"],
    &["vault", "delete"],
    &["vault", "credential"],
    &["vault", "credential", "create"],
    &["vault", "credential", "list"],
    &["vault", "credential", "get"],
    &["vault", "credential", "update"],
    &["vault", "credential", "validate"],
    &["vault", "credential", "archive"],
    &["vault", "credential", "delete"],
    &["member"],
    &["member", "add"],
    &["member", "list"],
    &["member", "get"],
    &["member", "role"],
    &["member", "roles"],
    &["member", "password"],
    &["member", "remove"],
    &["key"],
    &["key", "create"],
    &["key", "list"],
    &["key", "revoke"],
    &["audit-log"],
    &["audit-log", "export"],
    &["audit-log", "head"],
    &["audit-log", "verify"],
    &["image"],
    &["image", "build"],
    &["image", "list"],
    &["image", "show"],
    &["image", "log"],
    &["image", "lock"],
    &["image", "sbom"],
    &["image", "refresh"],
    &["image", "remove"],
    &["image", "gc"],
    &["completions"],
];

/// Those that only have commands of their own.
const GROUPS: &[&[&str]] = &[
    &[],
    &["policy"],
    &["environment"],
    &["environment", "key"],
    &["agent"],
    &["vault"],
    &["vault", "credential"],
    &["member"],
    &["key"],
    &["audit-log"],
    &["image"],
];

#[test]
fn every_command_explains_itself() {
    for command in COMMANDS {
        let outcome = bailiwick(&[*command, &["--help"]].concat());
        let name = ["help", &command.join("_")].join("_");
        with_settings!({ description => format!("bailiwick {} --help", command.join(" ")), omit_expression => true }, {
            assert_snapshot!(name.trim_end_matches('_'), outcome);
        });
    }
}

#[test]
fn every_command_that_does_something_has_examples() {
    for command in COMMANDS.iter().filter(|command| !GROUPS.contains(command)) {
        let help = bailiwick(&[*command, &["--help"]].concat()).stdout;
        assert!(help.contains("Examples:\n  bailiwick "), "{command:?}");
    }
}

#[test]
fn help_lists_every_command() {
    for parent in GROUPS {
        let help = bailiwick(&[*parent, &["--help"]].concat()).stdout;
        let listed = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty());
        for name in listed
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
        {
            let command = [*parent, &[name]].concat();
            assert!(
                COMMANDS.contains(&&command[..]),
                "the help of {command:?} is not tested"
            );
        }
    }
}

#[test]
fn without_a_command_the_help_is_shown_and_the_usage_is_wrong() {
    assert_eq!(bailiwick(&[]).code, Some(2));
    assert_eq!(
        bailiwick(&["--version"]).stdout,
        concat!("bailiwick ", env!("CARGO_PKG_VERSION"))
    );
}
