//! `bailiwick completions`.

use crate::bailiwick;

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef bailiwick"),
        ("fish", "complete -c bailiwick"),
    ] {
        let outcome = bailiwick(&["completions", shell]);
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(0), ""),
            "{shell}"
        );
        assert!(outcome.stdout.contains(mark), "{shell}");
        for word in [
            "run",
            "exec",
            "kill",
            "doctor",
            "policy",
            "environment",
            "apply",
            "take-over",
            "credential",
            "suggest",
            "trust-proxy-dns",
            "host-port",
        ] {
            assert!(
                outcome.stdout.contains(word),
                "{shell} does not know {word}"
            );
        }
    }
}

#[test]
fn another_shell_is_bad_input() {
    assert_eq!(bailiwick(&["completions", "command.com"]).code, Some(2));
}
