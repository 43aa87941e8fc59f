//! What a shell does from command to command.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_runtime::Base;
use bailiwick_tools::{Block, Context};
use serde_json::json;

use crate::harness::{Local, Session};

pub(crate) async fn a_shell_stays_from_command_to_command(local: &Local) {
    let session = local.session().await;
    assert_eq!(session.prints("pwd").await, "/workspace");
    let set = "cd /usr/lib; number=5; export given='a b'; f() { echo \"f of $1\"; }; alias ll='echo listed'; \
               exec 3>/tmp/three; umask 077; list=(x 'y z'); sleep 1234 & echo $$ >/tmp/shell";
    session.bash(set).await;
    assert_eq!(
        session
            .prints("pwd; echo $number; f it; printenv given; echo ${list[1]}; umask")
            .await,
        "/usr/lib\n5\nf of it\na b\ny z\n0077"
    );
    assert_eq!(session.prints("ll\nll x").await, "listed\nlisted x");
    assert_eq!(
        session.prints("echo to three >&3; cat /tmp/three").await,
        "to three"
    );
    assert_eq!(
        session
            .prints("[ $$ = $(cat /tmp/shell) ] && echo the same")
            .await,
        "the same"
    );
    assert!(session.prints("jobs").await.contains("sleep 1234"));
    session.prints("kill %1; wait").await;
    assert_eq!(session.prints("echo 'a!b' \"x!y\"").await, "a!b x!y");
    session.stop().await;
}

pub(crate) async fn output_and_errors_come_in_order(local: &Local) {
    let session = local.session().await;
    let both = "for n in 1 2 3; do echo out $n; echo err $n >&2; done";
    assert_eq!(
        session.prints(both).await,
        "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3"
    );
    assert_eq!(session.prints("true").await, "(no output)");
    assert_eq!(session.prints("echo; echo ' '").await, "(no output)");
    assert_eq!(
        session.prints("printf 'a\\0\\033[1m\\377'").await,
        "a␀␛[1m\u{fffd}"
    );
    let failed = session.bash("echo said; (exit 7)").await;
    assert!(failed.is_error);
    let texts = ["said", "[exit status 7]"].map(|text| Block::Text {
        text: text.to_owned(),
    });
    assert_eq!(failed.content, texts);
    let killed = session.bash("sh -c 'kill -SEGV $$'").await.as_text();
    assert!(killed.contains("[exit status 139, SIGSEGV]"), "{killed}");
    assert!(!killed.contains("tcsetattr"), "{killed}");
    session.stop().await;
}

pub(crate) async fn a_command_that_cannot_be_parsed_leaves_the_shell(local: &Local) {
    let session = local.session().await;
    session.prints("kept=yes").await;
    for command in [
        "echo \"unbalanced",
        "if true",
        "echo 'x",
        "echo )",
        "cat <<END",
        "$(",
        "${",
        "}",
        "; ;",
        "\\",
        "'\"'\"\\",
        "echo $((1+))",
        "#",
        "${nothing:?there}",
        "exec /nothing",
    ] {
        session.bash(command).await;
        assert_eq!(session.prints("echo $kept").await, "yes", "{command}");
    }
    let told = session.bash("echo \"unbalanced").await;
    assert!(told.is_error && told.as_text().contains("unexpected EOF"));
    assert_eq!(session.prints("cat <<END\na $kept\nEND").await, "a yes");
    session.stop().await;
}

pub(crate) async fn standard_input_is_empty(local: &Local) {
    let session = local.session().await;
    assert_eq!(
        session
            .prints("cat; read line; echo \"[$line]\"; cat - </dev/stdin | wc -c")
            .await,
        "[]\n0"
    );
    assert!(session.bash("cat </dev/tty").await.is_error);
    assert_eq!(session.prints("echo still here").await, "still here");
    session.stop().await;
}

/// `exit`, `set -e` and `exec` end the shell; what can be kept of it is.
pub(crate) async fn a_shell_that_ends_has_an_heir(local: &Local) {
    let session = local.session().await;
    session
        .prints("cd /etc; n=5; declare -A map=([a]='b\nc'); f() { echo f; }; export E=e; readonly R=r; shopt -s nullglob")
        .await;
    let ended = session.bash("echo before; exit 3").await;
    assert!(ended.is_error);
    assert_eq!(
        ended.as_text(),
        "before\n[the shell ended with status 3: `exit`, `exec` or `set -e`. The next command has a new one, with the same \
         directory, variables, functions and options]"
    );
    let kept = "pwd; echo $n \"${map[a]}\" $R; f; printenv E; echo /nothing*";
    assert_eq!(session.prints(kept).await, "/etc\n5 b\nc r\nf\ne");
    let failed = session.bash("set -e; n=6; false; echo never").await;
    assert!(
        failed.as_text().contains("ended with status 1"),
        "{}",
        failed.as_text()
    );
    assert_eq!(
        session.prints("set +e; echo $n; false; echo on").await,
        "6\non"
    );
    let replaced = session.bash("n=7; exec sh -c 'echo other; exit 4'").await;
    assert!(
        replaced
            .as_text()
            .starts_with("other\n[the shell ended with status 4")
    );
    assert_eq!(session.prints("echo \"[$n]\"; pwd").await, "[]\n/workspace");
    let killed = session.bash("kill -9 $$").await;
    assert!(
        killed.as_text().contains("status 137"),
        "{}",
        killed.as_text()
    );
    assert_eq!(session.prints("echo new").await, "new");
    session.stop().await;
}

pub(crate) async fn a_long_output_is_put_into_a_file(local: &Local) {
    let session = local.session().await;
    let result = session.bash("seq 1 100000; echo the end").await;
    assert!(!result.is_error);
    let [Block::Text { text }, Block::Text { text: note }] = &result.content[..] else {
        panic!("{result:?}")
    };
    assert!(text.starts_with("[output truncated]\n") && text.ends_with("100000\nthe end"));
    assert!(text.len() < 11_000, "{}", text.len());
    let file = note
        .split_whitespace()
        .find(|word| word.starts_with("/tmp/"));
    let file = file.expect("a file").trim_end_matches(',');
    let whole = session.read(file).await;
    assert!(whole.starts_with(b"1\n2\n3\n") && whole.ends_with(b"99999\n100000\nthe end\n"));
    let shown = session
        .call("read", json!({"file_path": file, "view_range": [500, 501]}))
        .await;
    assert_eq!(shown.as_text(), "500\n501\n");

    // Megabytes without a line feed, of which only the end is kept.
    let result = session
        .bash("head -c 5000000 /dev/zero | tr '\\0' x; echo z")
        .await;
    let text = result.as_text();
    assert!(
        text.contains("5000002 bytes") && text.contains("the last 2097152 bytes"),
        "{}",
        &text[..200]
    );
    session.stop().await;
}

pub(crate) async fn background_jobs_hold_nothing_up_and_are_heard_later(local: &Local) {
    let session = local.session().await;
    let begun = Instant::now();
    session
        .prints("(sleep 0.5; echo from behind) & echo begun")
        .await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = session.prints("echo now").await;
    assert_eq!(
        later,
        "[printed by background jobs since the last command]\nfrom behind\n[printed by this command]\nnow"
    );
    // A job that prints without end neither stops nor fills anything.
    session.prints("yes & echo $! >/tmp/job").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.bash("kill $(cat /tmp/job); wait").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.bash("true").await;
    assert_eq!(session.prints("echo quiet").await, "quiet");
    session.stop().await;
}

pub(crate) async fn output_is_seen_while_a_command_runs(local: &Local) {
    let session = local.session().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let begun = Instant::now();
    let noted = Arc::clone(&seen);
    let context = Context {
        live: Some(Arc::new(move |bytes: &[u8]| {
            noted
                .lock()
                .unwrap()
                .push((begun.elapsed(), bytes.to_vec()));
        })),
        ..Context::default()
    };
    let command = json!({"command": "echo first; sleep 1; echo second"});
    session
        .tools
        .call("bash", command, &context)
        .await
        .expect("a result");
    let seen = seen.lock().unwrap().clone();
    let [(first, a), (second, b)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (a.as_slice(), b.as_slice()),
        (&b"first\n"[..], &b"second\n"[..])
    );
    assert!(*second - *first > Duration::from_millis(500));
    session.stop().await;
}

/// As around a checkpoint: the file is all that goes from one sandbox to the next.
pub(crate) async fn the_state_of_a_shell_is_kept_and_restored(local: &Local) {
    let file = Path::new("/workspace/.state");
    let first = local.session().await;
    assert!(
        !first.tools.save_state(file).await.expect("an answer"),
        "there is no shell"
    );
    first
        .prints("mkdir /workspace/d; cd /workspace/d; a='x\n\"y\" $z'; g() { echo g; }; alias gg=g; set -u; IFS=:; PS1=mine")
        .await;
    assert!(first.tools.save_state(file).await.expect("an answer"));
    assert_eq!(
        first.prints("echo \"$a\"").await,
        "x\n\"y\" $z",
        "it goes on"
    );
    let state = first.read("/workspace/.state").await;
    first.stop().await;

    let second = local.session().await;
    let written = second.sandbox.write_file(file, state.clone(), 0o600).await;
    written.expect("it is written");
    second
        .sandbox
        .write_file(Path::new("/workspace/d/x"), Vec::new(), 0o600)
        .await
        .expect("a directory");
    assert!(second.tools.restore_state(file).await);
    assert_eq!(
        second
            .prints("pwd; echo \"$a\"; g; gg; echo \"$IFS\"; echo $-")
            .await,
        "/workspace/d\nx\n\"y\" $z\ng\ng\n:\nhiuBs"
    );
    // What is not whole is not taken.
    let half = state[..state.len() / 2].to_vec();
    second
        .sandbox
        .write_file(file, half, 0o600)
        .await
        .expect("it is written");
    assert!(!second.tools.restore_state(file).await);
    assert_eq!(
        second.prints("pwd; echo ${a-none}").await,
        "/workspace\nnone"
    );
    second.stop().await;
}

pub(crate) async fn variables_of_the_control_plane_are_not_there(local: &Local) {
    let mut spec = local.spec();
    for name in [
        "ANTHROPIC_API_KEY",
        "BAILIWICK_KEY",
        "ANTHROPIC_GIVEN",
        "OTHER",
    ] {
        spec.env.insert(name.into(), "value".into());
    }
    let session = local
        .session_of(spec, |options| {
            let given = ("ANTHROPIC_GIVEN".to_owned(), "it's \"given\"".to_owned());
            options.variables = vec![given];
        })
        .await;
    let names = "env | grep -E '^(ANTHROPIC|BAILIWICK|OTHER)' | sort";
    let expected = "ANTHROPIC_GIVEN=it's \"given\"\nOTHER=value";
    assert_eq!(session.prints(names).await, expected);
    session.bash("exit 1").await;
    assert_eq!(
        session.prints(names).await,
        expected,
        "after the heir took over"
    );
    session.stop().await;
}

pub(crate) async fn a_restart_begins_anew(local: &Local) {
    let session = local.session().await;
    session
        .prints("cd /etc; n=5; sleep 4321 & setsid sleep 4322 & sh -c '(sleep 4323 &)'")
        .await;
    let restarted = session.call("bash", json!({"restart": true})).await;
    assert_eq!(
        (restarted.as_text().as_str(), restarted.is_error),
        ("bash session restarted", false)
    );
    assert_eq!(session.prints("pwd; echo \"[$n]\"").await, "/workspace\n[]");
    for sleeping in ["4321", "4322", "4323"] {
        session.until_gone(sleeping).await;
    }
    session.stop().await;
}

/// Measured: the times are printed.
pub(crate) async fn a_hundred_commands_take_little_time(local: &Local) {
    let session = local.session().await;
    let begun = Instant::now();
    session.prints("true").await;
    let first = begun.elapsed();
    let mut times = Vec::new();
    for number in 0..100 {
        let begun = Instant::now();
        assert_eq!(
            session.prints(&format!("echo {number}")).await,
            number.to_string()
        );
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "first command {first:?}; 100 more: median {:?}, longest {:?}",
        times[50], times[99]
    );
    assert!(times[50] < Duration::from_secs(1));
    session.stop().await;
}

pub(crate) async fn an_image_without_bash_is_told(local: &Local) {
    let root = tempfile::tempdir_in("/tmp").expect("a directory");
    for directory in [
        "bin",
        "tmp",
        "etc",
        "usr/bin",
        "proc",
        "dev",
        "workspace",
        "home",
    ] {
        std::fs::create_dir_all(root.path().join(directory)).expect("a directory");
    }
    let mut spec = local.spec();
    spec.image.base = Base::Directory(root.path().to_owned());
    let session: Session = local.session_of(spec, |_| {}).await;
    let told = session.bash("true").await;
    assert!(told.is_error);
    assert!(
        told.as_text().contains("no /bin/bash"),
        "{}",
        told.as_text()
    );
    session.stop().await;
}
