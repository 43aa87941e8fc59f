//! `--help` of every command: what people read first.

use insta::{assert_snapshot, with_settings};

use crate::bailiwick;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["run"],
    &["ps"],
    &["exec"],
    &["kill"],
    &["doctor"],
    &["policy"],
    &["policy", "check"],
    &["policy", "diff"],
    &["policy", "suggest"],
    &["policy", "presets"],
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
    &["environment"],
    &["environment", "validate"],
    &["environment", "show"],
    &["environment", "create"],
    &["environment", "list"],
    &["environment", "get"],
    &["environment", "update"],
    &["environment", "archive"],
    &["environment", "delete"],
    &["environment", "policy"],
    &["environment", "explain"],
    &["environment", "impact"],
    &["environment", "references"],
    &["environment", "revisions"],
    &["environment", "revision"],
    &["environment", "key"],
    &["environment", "key", "create"],
    &["apply"],
    &["agent"],
    &["agent", "create"],
    &["agent", "list"],
    &["agent", "get"],
    &["agent", "versions"],
    &["agent", "update"],
    &["agent", "archive"],
    &["session"],
    &["session", "create"],
    &["session", "list"],
    &["session", "get"],
    &["session", "send"],
    &["session", "stream"],
    &["session", "attach"],
    &["session", "interrupt"],
    &["session", "archive"],
    &["session", "delete"],
    &["session", "tighten"],
    &["vault"],
    &["vault", "create"],
    &["vault", "list"],
    &["vault", "get"],
    &["vault", "update"],
    &["vault", "archive"],
    &["vault", "delete"],
    &["vault", "connect"],
    &["vault", "finish"],
    &["vault", "credential"],
    &["vault", "credential", "create"],
    &["vault", "credential", "list"],
    &["vault", "credential", "get"],
    &["vault", "credential", "update"],
    &["vault", "credential", "validate"],
    &["vault", "credential", "archive"],
    &["vault", "credential", "delete"],
    &["file"],
    &["file", "upload"],
    &["file", "list"],
    &["file", "get"],
    &["file", "download"],
    &["file", "delete"],
    &["skill"],
    &["skill", "create"],
    &["skill", "list"],
    &["skill", "get"],
    &["skill", "update"],
    &["skill", "versions"],
    &["skill", "download"],
    &["skill", "delete"],
    &["organization"],
    &["organization", "get"],
    &["organization", "policy"],
    &["organization", "floor"],
    &["organization", "credentials"],
    &["member"],
    &["member", "add"],
    &["member", "list"],
    &["member", "get"],
    &["member", "role"],
    &["member", "password"],
    &["member", "remove"],
    &["knowledge"],
    &["knowledge", "search"],
    &["knowledge-connector"],
    &["knowledge-connector", "create"],
    &["knowledge-connector", "list"],
    &["knowledge-connector", "get"],
    &["knowledge-connector", "update"],
    &["knowledge-connector", "sync"],
    &["knowledge-connector", "cancel"],
    &["knowledge-connector", "documents"],
    &["knowledge-connector", "delete"],
    &["llm-proxy"],
    &["llm-proxy", "create"],
    &["llm-proxy", "list"],
    &["llm-proxy", "get"],
    &["llm-proxy", "update"],
    &["llm-proxy", "delete"],
    &["llm-proxy", "key"],
    &["llm-proxy", "key", "create"],
    &["llm-proxy", "key", "list"],
    &["llm-proxy", "key", "revoke"],
    &["mcp-catalog"],
    &["mcp-catalog", "create"],
    &["mcp-catalog", "import"],
    &["mcp-catalog", "list"],
    &["mcp-catalog", "get"],
    &["mcp-catalog", "tools"],
    &["mcp-catalog", "logs"],
    &["mcp-catalog", "update"],
    &["mcp-catalog", "delete"],
    &["mcp-gateway"],
    &["mcp-gateway", "create"],
    &["mcp-gateway", "list"],
    &["mcp-gateway", "get"],
    &["mcp-gateway", "update"],
    &["mcp-gateway", "delete"],
    &["mcp-gateway", "key"],
    &["mcp-gateway", "key", "create"],
    &["mcp-gateway", "key", "list"],
    &["mcp-gateway", "key", "revoke"],
    &["limit"],
    &["limit", "create"],
    &["limit", "list"],
    &["limit", "get"],
    &["limit", "update"],
    &["limit", "delete"],
    &["limit", "alerts"],
    &["usage"],
    &["usage", "report"],
    &["usage", "records"],
    &["usage", "settings"],
    &["usage", "configure"],
    &["model-upstream"],
    &["model-upstream", "create"],
    &["model-upstream", "list"],
    &["model-upstream", "get"],
    &["model-upstream", "update"],
    &["model-upstream", "delete"],
    &["team"],
    &["team", "create"],
    &["team", "list"],
    &["team", "members"],
    &["team", "add"],
    &["team", "remove"],
    &["team", "delete"],
    &["role"],
    &["role", "create"],
    &["role", "list"],
    &["role", "update"],
    &["role", "delete"],
    &["grant"],
    &["grant", "create"],
    &["grant", "list"],
    &["grant", "delete"],
    &["service-account"],
    &["service-account", "create"],
    &["service-account", "list"],
    &["service-account", "delete"],
    &["service-account", "key"],
    &["service-account", "key", "create"],
    &["key"],
    &["key", "create"],
    &["key", "list"],
    &["key", "revoke"],
    &["oauth-grant"],
    &["oauth-grant", "list"],
    &["oauth-grant", "revoke"],
    &["whoami"],
    &["audit-log"],
    &["audit-log", "export"],
    &["audit-log", "head"],
    &["audit-log", "list"],
    &["audit-log", "verify"],
    &["flow"],
    &["flow", "list"],
    &["retention"],
    &["retention", "get"],
    &["retention", "set"],
    &["up"],
    &["worker"],
    &["backup"],
    &["restore"],
    &["completions"],
];

/// Those that only have commands of their own.
const GROUPS: &[&[&str]] = &[
    &[],
    &["policy"],
    &["image"],
    &["environment"],
    &["environment", "key"],
    &["agent"],
    &["session"],
    &["vault"],
    &["vault", "credential"],
    &["file"],
    &["skill"],
    &["organization"],
    &["member"],
    &["knowledge"],
    &["knowledge-connector"],
    &["llm-proxy"],
    &["llm-proxy", "key"],
    &["mcp-catalog"],
    &["mcp-gateway"],
    &["mcp-gateway", "key"],
    &["limit"],
    &["usage"],
    &["model-upstream"],
    &["team"],
    &["role"],
    &["grant"],
    &["service-account"],
    &["service-account", "key"],
    &["key"],
    &["oauth-grant"],
    &["audit-log"],
    &["flow"],
    &["retention"],
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
            .take_while(|line| !line.is_empty())
            // What is told of a command may go on in the next line.
            .filter(|line| !line.starts_with("   "));
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

/// `bailiwick run` is read without the other commands, which takes less time.
#[test]
fn run_is_the_same_command_as_among_all_others() {
    let alone = bailiwick(&["run", "--help"]);
    assert_eq!(alone.stdout, bailiwick(&["help", "run"]).stdout);
    assert_eq!(alone.code, Some(0));
    let wrong = bailiwick(&["run", "--no-such-option"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("Usage: bailiwick run"), "{wrong}");
}

#[test]
fn without_a_command_the_help_is_shown_and_the_usage_is_wrong() {
    assert_eq!(bailiwick(&[]).code, Some(2));
    assert_eq!(
        bailiwick(&["--version"]).stdout,
        concat!("bailiwick ", env!("CARGO_PKG_VERSION"))
    );
}
