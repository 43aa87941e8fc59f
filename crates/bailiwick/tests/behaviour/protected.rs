//! What the host later runs or trusts cannot be written through the work directory.

use std::fs;

use bailiwick_testkit::Bailiwick;

use crate::support::{everyone, host_command, in_workspace, run};

/// A repository with one commit, made on the host.
fn repository(bailiwick: &Bailiwick) {
    bailiwick.write("file", "one\n");
    git(bailiwick, &["init", "--quiet", "--initial-branch=main"]);
    git(bailiwick, &["add", "."]);
    git(bailiwick, &["commit", "--quiet", "-m", "first"]);
}

#[track_caller]
fn git(bailiwick: &Bailiwick, arguments: &[&str]) -> String {
    use std::os::unix::process::CommandExt;
    let mut git = host_command("git");
    git.args(["-c", "user.name=host", "-c", "user.email=host@example.com"])
        .args(arguments);
    git.current_dir(bailiwick.workspace())
        .env("HOME", bailiwick.home());
    if bailiwick.user().uid != rustix::process::getuid().as_raw() {
        git.uid(bailiwick.user().uid).gid(bailiwick.user().gid);
    }
    let output = git.output().expect("git");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

const COMMIT: &str = "git config --global user.name agent && git config --global user.email agent@example.com && echo two >> file && \
    git add . && git commit --quiet -m second && git switch --quiet -c branch && git log --oneline | wc -l";

#[test]
fn git_works_in_an_existing_repository() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        repository(bailiwick);
        let outcome = bailiwick.run().script(COMMIT).success();
        assert_eq!(outcome.stdout.trim(), "2", "{}", outcome.stderr);
        assert_eq!(git(bailiwick, &["log", "--format=%an"]), "agent\nhost\n");
        assert_eq!(git(bailiwick, &["status", "--porcelain"]), "");
        assert_eq!(git(bailiwick, &["fsck"]), "");
    }
}

#[test]
fn hooks_and_settings_of_a_repository_cannot_be_written() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        repository(bailiwick);
        bailiwick.write(".envrc", "export A=1\n");
        bailiwick.write(".vscode/tasks.json", "{}");
        let before = fs::read_to_string(bailiwick.workspace().join(".git/config")).expect("text");
        let attempts = [
            "echo x > .git/hooks/pre-commit",
            "git config core.pager 'touch /tmp/x'",
            "echo x >> .git/config",
            "mv .git/config .git/other",
            "rm -rf .git/hooks && mkdir .git/hooks",
            "mv .git .elsewhere",
            "echo x > .git/config.worktree",
            "echo ../other > .git/commondir",
            "mkdir -p .git/modules/x",
            "echo x >> .envrc",
            "rm .envrc",
            "mv .envrc .other",
            "echo x > .vscode/tasks.json",
            "echo x > .vscode/settings.json",
            "mv .vscode .other",
            "echo x > .idea/workspace.xml",
            "echo x > .claude/settings.json",
            "echo x > .mcp.json",
        ];
        for options in [&[][..], &["--root"]] {
            for attempt in attempts {
                let outcome = run(bailiwick, options).script(attempt);
                assert_ne!(outcome.code, 0, "{attempt} worked: {outcome:#?}");
            }
        }
        assert_eq!(
            fs::read_to_string(bailiwick.workspace().join(".git/config")).expect("text"),
            before
        );
        assert!(!bailiwick.workspace().join(".git/hooks/pre-commit").exists());
        assert_eq!(
            in_workspace(bailiwick),
            [".envrc", ".git", ".vscode", "file"],
            "nothing else is left"
        );
    }
}

#[test]
fn with_writable_meta_they_can_be() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        repository(bailiwick);
        let script = "git config core.pager less && echo x > .git/hooks/pre-commit && echo x > .envrc && mkdir .vscode && rmdir .vscode";
        run(bailiwick, &["--writable-meta"])
            .script(script)
            .success();
        assert_eq!(git(bailiwick, &["config", "core.pager"]), "less\n");
    }
}

#[test]
fn they_cannot_be_made_where_they_are_not_and_nothing_stays_in_their_place() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        for attempt in [
            "git init",
            "mkdir -p .git/hooks",
            "echo x > .envrc",
            "mkdir -p .vscode/x",
            "echo x > .mcp.json",
            "ln -s /tmp .idea",
        ] {
            let outcome = bailiwick.run().script(attempt);
            assert_ne!(outcome.code, 0, "{attempt} worked: {outcome:#?}");
            assert_eq!(in_workspace(bailiwick), [] as [&str; 0], "after {attempt}");
        }
        bailiwick.run().script("echo x > free").success();
        assert_eq!(in_workspace(bailiwick), ["free"]);
    }
}

#[test]
fn a_settings_file_that_is_a_link_is_refused() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("elsewhere/x", "");
        std::os::unix::fs::symlink("elsewhere", bailiwick.workspace().join(".vscode"))
            .expect("a link");
        let outcome = bailiwick.run().command(["true"]);
        assert!(
            outcome.code == 2 && outcome.stderr.contains("--writable-meta"),
            "{outcome:#?}"
        );
    }
}
