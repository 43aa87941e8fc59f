//! The caller's terminal: what is pushed into it, and what is shown on it.

use std::process::Command;

use bailiwick_testkit::{Bailiwick, LeakCheck};

use crate::support::{
    PYTHON, everyone, everyone_as_anyone, host_command, run_as, told, with_prelude,
};

/// Runs a command on a terminal of its own and returns what that showed, with line ends as in a file.
fn on_a_terminal(bailiwick: &Bailiwick, command: &Command) -> String {
    const DRIVER: &str =
        "import os, pty, sys\nos._exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut python = host_command(PYTHON, bailiwick.user());
    python
        .args(["-c", DRIVER])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(bailiwick.workspace());
    python.env_clear().envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = python.output().expect("Python");
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn keys_cannot_be_pushed_into_the_callers_terminal() {
    let _leaks = LeakCheck::begin();
    let probe = with_prelude(
        r#"
        def push(descriptor, request=0x5412):
            for key in b"echo pwned\n": syscall(16, descriptor, request, ctypes.byref(ctypes.c_char(key)))
        tell("terminal", lambda: os.isatty(0) and os.ttyname(0))
        for descriptor in range(3):
            tell(f"push {descriptor}", lambda: push(descriptor))
            tell(f"push {descriptor} with high bits", lambda: push(descriptor, (1 << 32) | 0x5412))
            tell(f"console {descriptor}", lambda: push(descriptor, 0x541c))
        tell("push controlling", lambda: push(os.open("/dev/tty", os.O_RDWR)))
        tell("size", lambda: len(fcntl.ioctl(0, 0x5413, b"x" * 8)))
        tell("other terminals", lambda: sorted(os.listdir("/dev/pts")))
        tell("same device", lambda: open("/proc/self/stat").read().split()[6] != "0")
    "#,
    );
    for (bailiwick, options) in everyone_as_anyone() {
        let run = run_as(&bailiwick, options);
        let shown = on_a_terminal(
            &bailiwick,
            &run.option("--quiet").prepared([PYTHON, "-c", &probe]),
        );
        let inside = told(&shown);
        inside
            .said("terminal", "ok /dev/pts/0")
            .said("size", "ok 8")
            .said("other terminals", "ok ['0', 'ptmx']");
        for name in inside
            .names()
            .filter(|name| name.starts_with("push") || name.starts_with("console"))
        {
            inside.failed(name, &["EPERM"]);
        }
        let mut control = host_command(PYTHON, bailiwick.user());
        control.args(["-c", &probe.replace("echo pwned", "")]);
        let outside = told(&on_a_terminal(&bailiwick, &control));
        // Kernels may have switched it off (dev.tty.legacy_tiocsti); then it fails, but not by the filter.
        outside.failed("push 0", &["ok", "EIO", "EPERM"]);
    }
}

#[test]
fn a_terminal_is_not_inherited_through_any_stream() {
    let _leaks = LeakCheck::begin();
    let probe = with_prelude(
        r#"
        tell("controlling", lambda: os.open("/dev/tty", os.O_RDWR))
        tell("session", lambda: os.getsid(0) == os.getpid() or os.getsid(0) == os.getppid())
        tell("steal", lambda: fcntl.ioctl(0, 0x540e, 1))
    "#,
    );
    for bailiwick in everyone() {
        let run = bailiwick
            .run()
            .option("--quiet")
            .prepared([PYTHON, "-c", &probe]);
        let mut shell = host_command("sh", bailiwick.user());
        shell
            .args(["-c", "\"$@\" </dev/null 2>/dev/null | cat", "sh"])
            .arg(run.get_program())
            .args(run.get_args());
        shell.env_clear().envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let inside = told(&on_a_terminal(&bailiwick, &shell));
        inside
            .failed("controlling", &["ENXIO"])
            .failed("steal", &["ENOTTY", "EPERM"])
            .said("session", "ok True");
        let mut control = host_command("sh", bailiwick.user());
        control.args(["-c", "\"$@\" </dev/null | cat", "sh", PYTHON, "-c", &probe]);
        told(&on_a_terminal(&bailiwick, &control)).worked("controlling");
    }
}

/// Characters that change a terminal rather than show on it.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || c == '\t' || !(c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')))
}

#[test]
fn what_a_sandbox_names_is_printed_without_controlling_the_terminal() {
    let _leaks = LeakCheck::begin();
    let evil = "\u{1b}]52;c;cm0gLXJmIH4K\u{7}\u{1b}]0;title\u{7}\u{9b}31m\u{202e}";
    let probe = with_prelude(
        r#"
        evil = "\x1b]52;c;x\x07\x9b31m\u202e"
        for name in [f"{evil}.test", "\x1b[31mred.test", "a\nb.test", "ordinary.test", "x\u202e.test"]:
            tell("ask", lambda: ask([label.encode() for label in name.split(".")]))
        for header in [f"Host: {evil}", "Host: \x1b]0;t\x07"]:
            tell("http", lambda: say("192.0.2.77", 80, f"GET /{evil} HTTP/1.1\r\n{header}\r\n\r\n".encode()))
        tell("sni", lambda: say("192.0.2.77", 443, b"\x16\3\1\0\5\x1b]0;t\x07"))
    "#,
    );
    for bailiwick in everyone() {
        let outcome = bailiwick
            .run()
            .allowing(&[])
            .option("-e")
            .option(format!("EVIL={evil}"))
            .command([PYTHON, "-c", &probe])
            .success();
        assert!(is_harmless(&outcome.stderr), "{:?}", outcome.stderr);
        assert!(
            outcome.stderr.contains("ordinary.test"),
            "control: names are printed; {}",
            outcome.stderr
        );
        let flows = outcome
            .flows
            .iter()
            .map(|flow| serde_json::to_string(flow).unwrap());
        flows.for_each(|flow| assert!(is_harmless(&flow), "{flow:?}"));

        // The command, the work directory and the environment are named by `ps`, by errors and by `--dry-run`.
        let child = bailiwick
            .run()
            .start(["sh", "-c", "echo $BAILIWICK_SANDBOX; sleep 30", evil]);
        let id = child.wait_for("its id", |line| Some(line.to_owned()));
        let listed = bailiwick.execute(["ps"]).success().stdout;
        assert!(is_harmless(&listed) && listed.contains(&id), "{listed:?}");
        bailiwick.execute(["kill", &id]).success();
        let directory = bailiwick.workspace().join(format!("d{evil}"));
        bailiwick.write(directory.join("file"), "");
        let missing = bailiwick.execute(["run", "-w", directory.to_str().unwrap(), "--", evil]);
        assert!(
            missing.code == 127 && is_harmless(&missing.stderr),
            "{missing:?}"
        );
        for arguments in [
            vec!["run", "-f", evil, "--", "true"],
            vec!["run", "-w", evil, "--", "true"],
            vec![
                "run",
                "--dry-run",
                "-w",
                directory.to_str().unwrap(),
                "--",
                "true",
            ],
        ] {
            let outcome = bailiwick.execute(&arguments);
            assert!(
                is_harmless(&outcome.stderr) && is_harmless(&outcome.stdout),
                "{arguments:?}: {outcome:?}"
            );
        }
    }
}
