//! Commands that do not end by themselves.

use std::time::{Duration, Instant};

use bailiwick_tools::{Context, ToolResult};
use serde_json::json;

use crate::harness::{Local, Session};

/// More than any of the ways to end a command takes on a machine with other work.
const SOON: Duration = Duration::from_secs(30);

fn expect_interrupted(result: &ToolResult, how: &str) {
    let text = result.as_text();
    assert!(result.is_error && text.contains(how), "{text}");
}

pub(crate) async fn a_command_ends_at_its_time_and_the_shell_goes_on(local: &Local) {
    let session = local.session().await;
    session.prints("n=5; f() { while :; do :; done; }").await;
    for command in [
        "echo begun; sleep 1000; echo never",
        "echo begun; while :; do :; done; echo never",
        "echo begun; f; echo never",
        "echo begun; sleep 1000 | cat | cat; echo never",
        "echo begun; (cd /; sleep 1000); echo never",
        "echo begun; echo $(sleep 1000); echo never",
        "echo begun; read -t 1000 <>/tmp/fifo$(mkfifo /tmp/fifo); echo never",
        "echo begun; wait $(:) ; sleep 1000 & wait; echo never",
        "echo begun; sh -c 'sh -c \"sleep 1000; :\"; :'; echo never",
    ] {
        let (result, took) = session.within(command, 300).await;
        assert!(took < SOON, "{command}: {took:?}");
        expect_interrupted(&result, "interrupted after 300 ms");
        expect_interrupted(&result, "the shell goes on");
        let text = result.as_text();
        assert!(
            text.starts_with("begun") && !text.contains("never"),
            "{command}: {text}"
        );
        assert_eq!(session.prints("echo $n").await, "5", "{command}");
    }
    let (control, _) = session.within("sleep 0.2; echo in time", 20_000).await;
    assert_eq!(control.as_text(), "in time");
    session.stop().await;
}

pub(crate) async fn a_stubborn_command_is_killed_and_the_shell_goes_on(local: &Local) {
    let session = local.session().await;
    session.prints("n=5; sleep 777 & true").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for command in [
        "sh -c 'trap \"\" INT; sleep 1001; sleep 1002'",
        "sh -c 'trap \"\" INT TERM QUIT HUP; while :; do sleep 1001; done'",
        "setsid -w sh -c 'trap \"\" INT; while :; do sleep 1001; done'",
        "kill -STOP $BASHPID & sh -c 'kill -STOP $$'",
    ] {
        let (result, took) = session.within(command, 300).await;
        assert!(took < SOON, "{command}: {took:?}");
        expect_interrupted(&result, "was killed; the shell goes on");
        assert_eq!(session.prints("echo $n").await, "5", "{command}");
        session.until_gone("sleep 100").await;
    }
    assert!(
        session.processes().await.contains("sleep 777"),
        "what was there before stays"
    );
    session.stop().await;
}

pub(crate) async fn a_stubborn_shell_is_killed_and_has_a_directory(local: &Local) {
    let session = local.session().await;
    for command in [
        "cd /usr/lib; trap '' INT; while :; do :; done",
        "cd /usr/lib; trap '' INT; while :; do sleep 1001; done",
        "cd /usr/lib; kill -STOP $$",
        "cd /usr/lib; trap 'while :; do :; done' INT; while :; do sleep 1; done",
    ] {
        let (result, took) = session.within(command, 300).await;
        assert!(took < SOON, "{command}: {took:?}");
        expect_interrupted(&result, "killed with its shell");
        assert_eq!(session.prints("pwd").await, "/usr/lib", "{command}");
        session.until_gone("sleep 1001").await;
    }
    session.stop().await;
}

/// Runs a command, and cancels it when it has said so.
async fn cancelled(session: &Session, command: &str) -> (ToolResult, Duration) {
    let context = Context::default();
    let cancel = context.cancel.clone();
    let script = format!("echo >/tmp/ready; {command}");
    let running = session
        .tools
        .call("bash", json!({"command": script}), &context);
    let cancelling = async {
        let ready = std::path::Path::new("/tmp/ready");
        while session.sandbox.read_file(ready, 10).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
        Instant::now()
    };
    let (result, at) = tokio::join!(running, cancelling);
    let took = at.elapsed();
    session.prints("rm -f /tmp/ready").await;
    (result.expect("a result"), took)
}

pub(crate) async fn an_interrupt_ends_a_command_with_its_children(local: &Local) {
    let session = local.session().await;
    for command in [
        "sleep 1001",
        "sh -c 'sleep 1001 & sleep 1001; wait'",
        "sh -c '(trap \"\" INT; sh -c \"sleep 1001; :\") & wait'",
        "trap 'echo cleaned' EXIT; sh -c 'sleep 1001; :'",
    ] {
        let (result, took) = cancelled(&session, command).await;
        assert!(took < SOON, "{command}: {took:?}");
        expect_interrupted(&result, "interrupted by the user");
        session.until_gone("sleep 1001").await;
    }
    // One that waits for its turn is not begun.
    let context = Context::default();
    context.cancel.cancel();
    let input = json!({"command": "echo begun >/tmp/begun"});
    let result = session
        .tools
        .call("bash", input, &context)
        .await
        .expect("a result");
    expect_interrupted(&result, "interrupted before it began");
    assert!(session.bash("cat /tmp/begun").await.is_error);
    session.stop().await;
}

pub(crate) async fn a_call_that_is_given_up_ends_its_command(local: &Local) {
    let session = local.session().await;
    session.prints("cd /etc").await;
    let input = json!({"command": "sleep 1001; echo >/tmp/after"});
    let context = Context::default();
    let call = session.tools.call("bash", input, &context);
    let given_up = tokio::time::timeout(Duration::from_millis(300), call).await;
    assert!(given_up.is_err());
    session.until_gone("sleep 1001").await;
    assert_eq!(
        session
            .prints("ls /tmp/after 2>&1 || echo none")
            .await
            .lines()
            .last(),
        Some("none")
    );
    session.stop().await;
}

pub(crate) async fn a_fork_bomb_ends_at_its_time(local: &Local) {
    let mut spec = local.spec();
    // For an ordinary user without a control group, the shell is limited by itself.
    let is_root = rustix::process::geteuid().is_root();
    spec.limits.processes = is_root.then_some(200);
    let session = local.session_of(spec, |_| {}).await;
    for bomb in [
        "b() { b | b & }; b; sleep 1000",
        "b() { b & b & wait; }; b",
        "b() { setsid sh -c 'sleep 100 & sleep 100' & }; while :; do b; done",
    ] {
        let limit = if is_root { ":" } else { "ulimit -u 200" };
        let (result, took) = session.within(&format!("{limit}; {bomb}"), 1000).await;
        assert!(result.is_error, "{bomb}: {}", result.as_text());
        assert!(took < 3 * SOON, "{bomb}: {took:?}");
        session.call("bash", json!({"restart": true})).await;
        assert_eq!(session.prints("echo alive").await, "alive", "{bomb}");
    }
    session.stop().await;
}

pub(crate) async fn an_output_bomb_ends_at_its_time(local: &Local) {
    let session = local.session().await;
    let (result, took) = session.within("yes 0123456789", 1000).await;
    assert!(took < SOON, "{took:?}");
    expect_interrupted(&result, "interrupted after 1000 ms");
    expect_interrupted(&result, "[output truncated]");
    assert!(result.as_text().len() < 20_000);
    let (result, _) = session.within("yes >&2 & yes", 1000).await;
    expect_interrupted(&result, "interrupted after 1000 ms");
    session.bash("kill $!").await;
    assert!(
        session
            .bash("echo alive")
            .await
            .as_text()
            .ends_with("alive")
    );
    session.stop().await;
}

fn descriptors() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("the descriptors of this process");
    open.count()
}

/// How many jobs are left of shells that ended.
async fn sleeping(session: &Session) -> usize {
    let jobs = session.processes().await;
    let jobs = jobs.lines().filter(|line| line.contains("sleep 1001"));
    jobs.count()
}

/// Each shell leaves a job that holds both of its pipes, and has printed as much as is kept.
pub(crate) async fn shells_that_end_themselves_leave_nothing_open_outside(local: &Local) {
    const SHELLS: usize = 20;
    let session = local.session().await;
    session.prints("true").await;
    let before = descriptors();
    for _ in 0..SHELLS {
        let jobs = "(head -c 2097152 /dev/zero | tr '\\0' x; exec sleep 1001) &";
        let result = session.bash(&format!("{jobs} kill -9 $$")).await;
        assert!(result.is_error, "{}", result.as_text());
    }
    // A shell again, as before.
    session.prints("true").await;
    let begun = Instant::now();
    // As a control, the other ends are open.
    while sleeping(&session).await < SHELLS {
        assert!(begun.elapsed() < SOON, "{}", session.processes().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while descriptors() > before {
        assert!(begun.elapsed() < SOON, "{} of {before}", descriptors());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    session.stop().await;
}
