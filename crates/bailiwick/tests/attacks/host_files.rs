//! Files of the work directory that the host runs or trusts later, and traps that one run leaves for the next.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Child, LeakCheck, eventually};

use crate::support::{
    PYTHON, everyone, everyone_as_anyone, host_command, inside, run_as, with_prelude,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// What a write to a covered file, or the removal of its cover, ends with.
const COVERED: &[&str] = &["EROFS", "EBUSY", "EXDEV", "EPERM", "EACCES", "ENOENT"];

/// Runs git on the host as the user, and returns what it printed.
fn git(bailiwick: &Bailiwick, arguments: &[&str]) -> String {
    let mut git = host_command("git", bailiwick.user());
    git.args(arguments).current_dir(bailiwick.workspace());
    git.env("HOME", bailiwick.home())
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let output = git.output().expect("git");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_the_host_runs_cannot_be_changed_renamed_or_replaced() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        def append(path):
            with open(path, "a") as file: file.write("x")
        tell("ordinary", lambda: append("ordinary"))
        tell("index", lambda: append(".git/index"))
        tell("config", lambda: append(".git/config"))
        tell("hook", lambda: append(".git/hooks/pre-commit"))
        tell("rename repository", lambda: os.rename(".git", "elsewhere"))
        tell("rename hooks", lambda: os.rename(".git/hooks", ".git/hooks2"))
        tell("rename over config", lambda: os.rename(".git/HEAD.new", ".git/config"))
        tell("unlink config", lambda: os.unlink(".git/config"))
        tell("rmdir hooks", lambda: os.rmdir(".git/hooks"))
        os.mkdir("other")
        tell("exchange", lambda: syscall(316, -100, b".git", -100, b"other", 2))
        tell("truncate", lambda: os.truncate(".git/config", 0))
        tell("chmod", lambda: os.chmod(".git/hooks", 0o777))
        tell("link", lambda: os.link("ordinary", ".git/hooks/post-commit"))
        tell("symlink", lambda: os.symlink("/workspace/ordinary", ".git/hooks/post-commit"))
        tell("worktree", lambda: os.mkdir(".git/worktrees/x"))
        tell("module", lambda: os.mkdir(".git/modules/x"))
        def keep(path):
            # What stands in for a file may swallow what is written.
            append(path)
            return open(path).read()[0]
        tell("envrc", lambda: keep(".envrc"))
        tell("tools", lambda: keep(".mcp.json"))
        tell("editor", lambda: append(".vscode/tasks.json"))
        tell("agent", lambda: append(".claude/settings.json"))
        tell("through the descriptor", lambda: append(f"/proc/self/fd/{os.open('.git/config', os.O_RDONLY)}"))
        tell("unmount", lambda: syscall(166, b".git/hooks", 2))
    "#;
    for (bailiwick, options) in everyone_as_anyone() {
        git(&bailiwick, &["init", "-q", "."]);
        let before = git(&bailiwick, &["config", "--list", "--local"]);
        let run = || run_as(&bailiwick, options);
        inside(run(), probe)
            .worked("ordinary")
            .worked("index")
            .all_failed_but(&["ordinary", "index"], &[COVERED, &["IndexError"]].concat());
        assert_eq!(git(&bailiwick, &["config", "--list", "--local"]), before);
        for placeholder in [".envrc", ".mcp.json", ".vscode", ".claude"] {
            assert!(
                !bailiwick.workspace().join(placeholder).exists(),
                "{placeholder} was left behind"
            );
        }
        fs::remove_dir(bailiwick.workspace().join("other")).unwrap();
        let told = inside(run().option("--writable-meta"), probe);
        told.worked("hook")
            .worked("config")
            .worked("envrc")
            .worked("tools");
    }
}

#[test]
fn the_host_may_replace_a_covered_file_without_uncovering_it() {
    let _leaks = LeakCheck::begin();
    let probe = with_prelude(
        r#"
        def append(path):
            with open(path, "a") as file: file.write("[core]\n\tfsmonitor = evil\n")
        tell("before", lambda: append(".git/config"))
        tell("ordinary", lambda: append("ordinary"))
        sys.stdin.readline()
        for _ in range(300):
            if os.path.exists("replaced"): break
            time.sleep(0.05)
        time.sleep(0.3)
        tell("after", lambda: append(".git/config"))
        "#,
    );
    for bailiwick in everyone() {
        git(&bailiwick, &["init", "-q", "."]);
        let child = bailiwick.run().start([PYTHON, "-c", &probe]);
        child.wait_for("the probe", |line| {
            line.starts_with("ordinary\tok").then_some(())
        });
        assert!(
            child.printed().contains("before\tEROFS"),
            "{}",
            child.printed()
        );
        // Writes .git/config.lock and renames it over .git/config, which takes away every mount on it.
        git(&bailiwick, &["config", "user.email", "me@example.test"]);
        bailiwick.write("replaced", "");
        // A sandbox that is ended at once is as good as one in which the cover holds.
        let mut child: Child = child;
        child.wait(PATIENCE);
        assert!(
            !child.printed().contains("after\tok"),
            "{}",
            child.printed()
        );
        assert!(!git(&bailiwick, &["config", "--list", "--local"]).contains("evil"));
    }
}

/// What a program does that waits for its moment: write, take the place of the file (whose inode number may be free again), and stand in the way of
/// what would undo it.
const PATIENT: &[&str] = &[
    "write(os.open('.git/config', os.O_WRONLY | os.O_APPEND))",
    "os.unlink('.git/config'); [write(os.open(name, os.O_WRONLY | os.O_CREAT)) for name in ['.git/config', '.git/a', '.git/b']]; [os.rename('.git/a', '.git/config') for _ in range(2)]",
    "os.makedirs(f'.git/config.replaced-{identity}/x', exist_ok=True); write(os.open('.git/config', os.O_WRONLY | os.O_APPEND))",
    "write(os.open('.git/evil', os.O_WRONLY | os.O_CREAT)); os.rename('.git/evil', '.git/config')",
];

#[test]
fn not_even_a_busy_loop_gets_through_while_the_host_replaces_a_file() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        for what in PATIENT.iter().cycle().take(12) {
            let probe = with_prelude(&format!(
                r#"
                identity = os.environ["BAILIWICK_SANDBOX"]
                def write(config):
                    os.write(config, b"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = evil\n")
                    os.close(config)
                os.fork()
                tell("started", lambda: None)
                end = time.monotonic() + 3
                while time.monotonic() < end:
                    try: {what}
                    except OSError: pass
                "#
            ));
            let _ = fs::remove_dir_all(bailiwick.workspace().join(".git"));
            git(&bailiwick, &["init", "-q", "."]);
            let config = bailiwick.workspace().join(".git/config");
            let before = fs::read_to_string(&config).unwrap();
            let mut child = bailiwick.run().start([PYTHON, "-c", &probe]);
            child.wait_for("the probe", |line| {
                line.starts_with("started").then_some(())
            });
            git(&bailiwick, &["config", "user.email", "me@example.test"]);
            child.wait(PATIENCE);
            let after = fs::read_to_string(&config).unwrap_or_default();
            let complaint = child.complained();
            assert!(after == before, "{what} left {after:.200}; {complaint}");
        }
    }
}

#[test]
fn the_file_that_says_what_is_allowed_cannot_be_changed_from_inside() {
    let _leaks = LeakCheck::begin();
    let file = "name: test\nconfig:\n  type: cloud\n  networking:\n    type: limited\n";
    for (bailiwick, options) in everyone_as_anyone() {
        for path in ["environment.yaml", "config/deep/environment.yaml"] {
            bailiwick.write(path, file);
            bailiwick.write("config/other.yaml", "");
            let run = run_as(&bailiwick, options);
            let told = inside(
                run.option("-f").option(path),
                &format!(
                    r#"
                def append(path):
                    with open(path, "a") as file: file.write("x")
                def replace(path):
                    append("new")
                    os.rename("new", path)
                tell("other", lambda: append("config/other.yaml"))
                tell("append", lambda: append("{path}"))
                tell("replace", lambda: replace("{path}"))
                tell("unlink", lambda: os.unlink("{path}"))
                if "/" in "{path}":
                    tell("rename parent", lambda: os.rename("config/deep", "config/deep2"))
                    tell("rename grandparent", lambda: os.rename("config", "config2"))
            "#
                ),
            );
            told.worked("other").all_failed_but(&["other"], COVERED);
            assert_eq!(
                fs::read_to_string(bailiwick.workspace().join(path)).unwrap(),
                file
            );
        }
    }
}

/// Makes the directory a bare repository that runs a program at the next `git status`.
fn planted(marker: &Path) -> String {
    format!(
        r#"
        def plant(path, text):
            with open(path, "w") as file: file.write(text)
        tell("objects", lambda: os.mkdir("objects"))
        tell("refs", lambda: os.mkdir("refs"))
        tell("HEAD", lambda: plant("HEAD", "ref: refs/heads/main\n"))
        tell("config", lambda: plant("config", "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = \"touch {}; false\"\n"))
    "#,
        marker.display()
    )
}

#[test]
fn a_work_directory_cannot_be_made_a_repository_of_the_attackers() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let marker = bailiwick.home().join("marker");
        let status = |bailiwick: &Bailiwick| {
            let mut git = host_command("git", bailiwick.user());
            git.args(["status", "-s"])
                .current_dir(bailiwick.workspace())
                .env("HOME", bailiwick.home());
            let _ = git.output().expect("git");
            fs::remove_file(&marker).is_ok()
        };
        let told = inside(
            bailiwick.run(),
            &format!(
                "{}\n        tell('init', lambda: os.mkdir('.git/objects'))\n        tell('link', lambda: os.symlink('x', '.git'))",
                planted(&marker)
            ),
        );
        told.failed("init", COVERED)
            .failed("link", &["EEXIST", "EROFS"]);
        let ran = status(&bailiwick);
        // The control: the same files, written by the user, are what git runs.
        crate::support::outside(
            &bailiwick,
            &planted(&marker).replace("os.mkdir", "os.makedirs"),
        );
        assert!(status(&bailiwick), "control: git runs what is configured");
        assert!(!ran, "git on the host ran a program of the sandbox's");
    }
}

#[test]
fn a_damaged_repository_does_not_make_its_directory_another_one() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let git = |arguments: &[&str]| {
            let mut git = host_command("git", bailiwick.user());
            git.args(arguments)
                .current_dir(bailiwick.workspace())
                .env("HOME", bailiwick.home());
            git.output().expect("git")
        };
        git(&["init", "-q"]);
        let marker = bailiwick.home().join("marker");
        let damage = r#"tell("damage", lambda: plant(".git/HEAD", "garbage"))"#;
        let told = inside(
            bailiwick.run(),
            &format!("{}\n        {damage}", planted(&marker)),
        );
        told.said("damage", "ok").failed("HEAD", COVERED);
        git(&["status", "-s"]);
        let ran = marker.exists();
        // The control: with a HEAD of the user's own, git does fall back to the directory itself.
        let head = r#"tell("HEAD", lambda: open("HEAD", "w").write("ref: refs/heads/main\n"))"#;
        crate::support::outside(&bailiwick, head);
        git(&["status", "-s"]);
        assert!(marker.exists(), "control: git runs what is configured");
        assert!(!ran, "git on the host ran a program of the sandbox's");
    }
}

#[test]
fn links_that_a_run_left_behind_lead_the_next_one_nowhere() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let victim = bailiwick.write(bailiwick.home().join("victim"), "precious");
        let target = victim.to_str().unwrap();
        inside(
            bailiwick.run(),
            &format!(
                r#"
            tell("flows", lambda: os.symlink("{target}", "flows.jsonl"))
            tell("directory", lambda: os.symlink("{}", "logs"))
            tell("ordinary", lambda: os.mkdir("real"))
        "#,
                bailiwick.home().display()
            ),
        )
        .worked("flows")
        .worked("directory");
        let run = |flows: &str| {
            let mut command = bailiwick
                .run()
                .option("--flows")
                .option(flows)
                .prepared(["true"]);
            command.status().expect("bailiwick").code()
        };
        assert_ne!(run("flows.jsonl"), Some(0));
        assert_ne!(run("logs/victim"), Some(0));
        assert_eq!(run("real/flows.jsonl"), Some(0), "control");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

        fs::create_dir(bailiwick.workspace().join("elsewhere")).unwrap();
        for name in [".vscode", ".git", ".envrc"] {
            let link = bailiwick.workspace().join(name);
            symlink("elsewhere", &link).unwrap();
            assert_ne!(
                bailiwick.execute(["run", "--", "true"]).code,
                0,
                "{name} is a link and was covered"
            );
            fs::remove_file(&link).unwrap();
        }
        bailiwick.execute(["run", "--", "true"]).success();
    }
}

#[test]
fn a_link_in_the_work_directory_leads_to_the_sandboxs_own_files() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let secret = bailiwick.write(bailiwick.home().join("secret"), "of the host");
        let secret = secret.to_str().unwrap();
        for (name, target) in [
            ("absolute", secret),
            ("relative", "../home/secret"),
            ("process", "/proc/1/root/etc/shadow"),
            ("shadow", "/etc/shadow"),
        ] {
            symlink(target, bailiwick.workspace().join(name)).unwrap();
        }
        let probe = r#"
            for name in ["absolute", "relative", "process", "shadow"]:
                tell(name, lambda: len(open(name).read()))
            tell("ordinary", lambda: len(open("/etc/passwd").read()))
        "#;
        let run = run_as(&bailiwick, options);
        inside(run, probe)
            .worked("ordinary")
            .all_failed_but(&["ordinary"], &["ENOENT", "EACCES"]);
        crate::support::outside(&bailiwick, probe)
            .worked("absolute")
            .worked("relative");
    }
}

#[test]
fn a_work_directory_with_a_socket_of_the_host_is_refused() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        bailiwick.execute(["run", "--", "true"]).success();
        fs::create_dir_all(bailiwick.workspace().join("deep/er")).unwrap();
        let path = bailiwick.workspace().join("deep/er/agent.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(bailiwick.user().uid), None).unwrap();
        let refused = bailiwick.execute(["run", "--", "true"]);
        assert!(
            refused.code != 0 && refused.stderr.contains("agent.sock"),
            "{refused:?}"
        );
        let run = bailiwick.run().option("--allow-sockets");
        inside(
            run,
            "tell('control', lambda: socket.socket(AF_UNIX).connect('deep/er/agent.sock'))",
        )
        .worked("control");
    }
}

#[test]
fn a_directory_that_holds_more_than_a_project_is_refused() {
    for bailiwick in everyone() {
        let home = bailiwick.home();
        for wide in [
            Path::new("/"),
            Path::new("/home"),
            home.as_path(),
            home.parent().unwrap(),
            bailiwick.sandboxes().parent().unwrap(),
        ] {
            if wide.exists() {
                let outcome =
                    bailiwick.execute(["run", "-w", wide.to_str().unwrap(), "--", "true"]);
                assert_ne!(outcome.code, 0, "{} was taken", wide.display());
            }
        }
        bailiwick.execute(["run", "--", "true"]).success();
    }
}

#[test]
fn a_repository_that_the_host_uses_at_the_same_time_stays_usable() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        git(&bailiwick, &["init", "-q", "."]);
        let mut child = bailiwick.run().start(["sh", "-c", "echo started; git -c safe.directory=* -c user.name=a -c user.email=a@b.test commit -q --allow-empty -m inside && echo committed"]);
        child.wait_for("the commit", |line| (line == "committed").then_some(()));
        eventually("the end", PATIENCE, || {
            (child.wait(PATIENCE) == 0).then_some(())
        });
        assert!(git(&bailiwick, &["log", "--oneline"]).contains("inside"));
    }
}
