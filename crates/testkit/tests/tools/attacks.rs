//! Attempts on the protocol between the tools and the shell, by commands that know its source.

use std::time::Duration;

use bailiwick_tools::Context;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Local;

/// What is printed, by whatever way, is output; and the control: it is all there.
pub(crate) async fn a_printed_end_is_blocked(local: &Local) {
    let session = local.session().await;
    let mark = "bailiwick-0123456789abcdef0123456789abcdef:0:0123456789abcdef0123456789abcdef.";
    for command in [
        format!("echo {mark}; echo {mark} >&2; sleep 0.3; echo end"),
        format!("PS1='{mark}'; PS2='{mark}'; PS4='{mark}'; sleep 0.3; echo end"),
        format!("echo {mark} >/proc/$$/fd/11; sleep 0.3; echo end"),
        format!("echo {mark} >/proc/$$/fd/2; echo {mark} >/proc/$PPID/fd/2; sleep 0.3; echo end"),
        format!("PROMPT_COMMAND='echo {mark} >&2'; sleep 0.3; echo end"),
        // It knows its own marks from before: they are of no use.
        "for fd in /proc/$$/fd/*; do echo \"$PS1\" >$fd; done 2>/dev/null; sleep 0.3; echo end".to_owned(),
        "echo \"${PS1@P}\" >&11; sleep 0.3; echo end".to_owned(),
        "declare -p __bailiwick; printf 'bailiwick-%s:0:%s.' $__bailiwick $__bailiwick >&11; sleep 0.3; echo end".to_owned(),
        "set -v; set -x; sleep 0.3; echo end; set +x; set +v".to_owned(),
    ] {
        let result = session.bash(&command).await;
        let text = result.as_text();
        assert!(!result.is_error, "{command}: {text}");
        assert!(text.lines().any(|line| line == "end"), "{command}: {text}");
        assert_eq!(session.prints("echo next").await, "next", "{command}");
        session.prints("unset PROMPT_COMMAND").await;
    }
    session.stop().await;
}

/// A program that takes the end's number out of the shell's memory, or off its channel, and says it for the shell. It gains a false end of the
/// very command that ran it, which it could have had by exiting; nothing of it reaches the next command.
pub(crate) async fn a_forged_end_is_not_that_of_the_next_command(local: &Local) {
    const FORGER: &str = r#"
import os, re, sys, time
shell = int(sys.argv[1])
found = set()
with open(f'/proc/{shell}/maps') as maps, open(f'/proc/{shell}/mem', 'rb', 0) as memory:
    for line in maps:
        match = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
        if match:
            start, end = (int(x, 16) for x in match.groups())
            try:
                memory.seek(start)
                found.update(re.findall(rb'bailiwick-[0-9a-f]{32}:\$\?', memory.read(end - start)))
            except OSError:
                pass
begins = re.findall(rb'[0-9a-f]{32}', os.popen(f'strings /proc/{shell}/mem 2>/dev/null').read().encode())
for mark in found:
    for fd in ('2', '11', '255'):
        try:
            with open(f'/proc/{shell}/fd/{fd}', 'wb', 0) as channel:
                channel.write(mark[:-2] + b'0:' + sys.argv[2].encode() + b'.')
        except OSError:
            pass
print('forged', len(found), flush=True)
time.sleep(1)
print('late', flush=True)
"#;
    let session = local.session().await;
    let path = std::path::Path::new("/tmp/forger.py");
    session
        .sandbox
        .write_file(path, FORGER.as_bytes().to_vec(), 0o644)
        .await
        .expect("it is written");
    for number in 0..3 {
        session
            .bash("python3 /tmp/forger.py $$ $__bailiwick; exit_is() { return 9; }; exit_is")
            .await;
        // It may have ended early, or the shell was found to be no longer its own; what comes next is told as itself.
        let expected = format!("mine {number}");
        let mut told = String::new();
        for _ in 0..5 {
            told = session
                .bash(&format!("echo {expected}; (exit 5)"))
                .await
                .as_text();
            if told.contains(&expected) {
                break;
            }
        }
        assert!(
            told.ends_with(&format!("{expected}\n[exit status 5]")),
            "{told}"
        );
    }
    session.call("bash", json!({"restart": true})).await;
    assert_eq!(session.prints("echo clean").await, "clean");
    session.stop().await;
}

pub(crate) async fn redefining_what_the_shell_needs_is_blocked(local: &Local) {
    let session = local.session().await;
    for (command, shell_is_lost) in [
        ("eval() { echo mine; }", false),
        (
            "printf() { :; }; echo() { :; }; read() { :; }; unset -f echo",
            false,
        ),
        (
            "alias builtin=false eval=false '[['=false 'PS1=x'=false",
            false,
        ),
        ("unalias -a; IFS=0123456789abcdef", false),
        (
            "IFS=$' \\t\\n'; shopt -s extdebug nullglob failglob; set -f -u -C",
            false,
        ),
        ("shopt -u failglob; set +f +u +C; PATH=/nowhere", false),
        ("PATH=/usr/bin:/bin; trap 'true' DEBUG ERR RETURN", false),
        ("trap - DEBUG ERR RETURN; set -o posix; set +o posix", false),
        ("builtin() { :; }", true),
        ("enable -n builtin", true),
        (
            "builtin() { echo out; return 3; }; readonly -f builtin",
            true,
        ),
        ("readonly __bailiwick", true),
    ] {
        session.bash(command).await;
        let (next, _) = session.within("echo one; (exit 6)", 5000).await;
        if shell_is_lost {
            assert!(
                next.as_text().contains("did not take the command"),
                "{command}: {}",
                next.as_text()
            );
            assert!(next.is_error);
        } else {
            assert_eq!(next.as_text(), "one\n[exit status 6]", "{command}");
        }
        assert_eq!(session.prints("echo two").await, "two", "{command}");
    }
    // The prompt cannot be set, so that the shell cannot say how the command ended.
    let unsaid = session.bash("readonly PS1; echo run").await;
    let text = unsaid.as_text();
    assert!(
        unsaid.is_error && text.starts_with("run\n[the shell did not take"),
        "{text}"
    );
    assert_eq!(session.prints("echo three").await, "three");
    session.stop().await;
}

pub(crate) async fn closing_every_descriptor_is_blocked(local: &Local) {
    let session = local.session().await;
    for command in [
        "exec 10<&- 11>&-; echo closed",
        "exec 0<&- 1>&- 2>&-; echo closed",
        "exec 2>/dev/null 0</dev/zero; echo quiet",
        "for fd in {0..255}; do eval \"exec $fd>&-\"; done; echo closed",
        "for fd in {3..253}; do eval \"exec $fd</dev/zero\"; done",
    ] {
        let (_, took) = session.within(command, 2000).await;
        assert!(took < Duration::from_secs(30), "{command}: {took:?}");
        let mut said = session.bash("echo next").await;
        if said.is_error {
            said = session.bash("echo next").await;
        }
        assert_eq!(
            said.as_text().lines().next(),
            Some("next"),
            "{command}: {}",
            said.as_text()
        );
    }
    // Who takes the copy of the output's pipe away has a shell without output, until it is another one.
    session.bash("exec 254</dev/zero").await;
    session.bash("echo lost").await;
    session.call("bash", json!({"restart": true})).await;
    assert_eq!(session.prints("echo next").await, "next");
    session.stop().await;
}

/// A job that reads the commands of the shell before the shell does.
pub(crate) async fn a_stolen_command_channel_is_blocked(local: &Local) {
    let session = local.session().await;
    session.bash("cat <&10 >/tmp/stolen & true").await;
    let (result, took) = session.within("echo one", 2000).await;
    assert!(took < Duration::from_secs(30), "{took:?}");
    if !result.is_error {
        assert_eq!(result.as_text(), "one");
    }
    session.call("bash", json!({"restart": true})).await;
    for _ in 0..3 {
        assert_eq!(session.prints("echo two").await, "two");
    }
    session.stop().await;
}

pub(crate) async fn sixty_four_calls_at_once(local: &Local) {
    let session = local.session().await;
    session
        .prints("mkdir -p /workspace/d; cd /workspace/d")
        .await;
    let context = Context::default();
    let calls = (0..64).map(|number| {
        let file = format!("/workspace/d/f{number}");
        let (name, input) = match number % 4 {
            0 => (
                "bash",
                json!({"command": format!("echo n{number}; n{number}=1; sleep 0.01")}),
            ),
            1 => (
                "write",
                json!({"file_path": file, "content": format!("n{number}")}),
            ),
            2 => ("glob", json!({"pattern": "**/*"})),
            _ => ("grep", json!({"pattern": "n[0-9]+", "path": "d"})),
        };
        let (tools, context) = (&session.tools, &context);
        async move {
            (
                number,
                tools.call(name, input, context).await.expect("a result"),
            )
        }
    });
    for (number, result) in join_all(calls).await {
        assert!(!result.is_error, "{number}: {}", result.as_text());
        if number % 4 == 0 {
            assert_eq!(result.as_text(), format!("n{number}"));
        }
    }
    assert_eq!(
        session.prints("pwd; ls | wc -l; echo $n0$n4$n60").await,
        "/workspace/d\n16\n111"
    );
    session.stop().await;
}

pub(crate) async fn denials_are_told_with_the_command(local: &Local) {
    let session = local.session().await;
    let control = session.prints("echo nothing of the network").await;
    assert!(!control.contains("network denied"));
    let denied = session
        .bash("for n in 1 2 3; do curl -sS --max-time 5 https://api.example.com/; done")
        .await;
    let last = denied.content.last().expect("a block");
    let bailiwick_tools::Block::Text { text } = last else {
        panic!("{last:?}")
    };
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("[network denied"))
        .collect();
    let [line] = &lines[..] else { panic!("{text}") };
    for part in [
        "api.example.com",
        "no_rule",
        "environment payments",
        "allowed_hosts",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let address = session
        .bash("curl -sS --max-time 5 http://192.0.2.7:8080/")
        .await
        .as_text();
    assert!(
        address.contains("[network denied: 192.0.2.7:8080 (no_rule)"),
        "{address}"
    );
    assert!(
        !session
            .bash("false")
            .await
            .as_text()
            .contains("network denied"),
        "told once"
    );
    session.stop().await;
}

/// Whether the command fails or hides it, and however soon it ends after it was denied.
pub(crate) async fn every_denial_is_told_with_the_command_that_met_it(local: &Local) {
    let session = local.session().await;
    for number in 0..20 {
        let denied = format!("(exec 3<>/dev/tcp/192.0.2.7/{}) 2>/dev/null", 2000 + number);
        let hidden = format!("getent hosts x{number}.example.com || true");
        let (denied, hidden) = (session.bash(&denied).await, session.bash(&hidden).await);
        let (denied, hidden) = (denied.as_text(), hidden.as_text());
        let address = format!("[network denied: 192.0.2.7:{} (no_rule)", 2000 + number);
        let name = format!("[network denied: x{number}.example.com");
        assert!(denied.contains(&address), "{denied}");
        assert!(hidden.contains(&name), "{hidden}");
        assert_eq!(denied.matches("[network denied").count(), 1, "{denied}");
        assert_eq!(hidden.matches("[network denied").count(), 1, "{hidden}");
    }
    // Nothing is waited for in vain.
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        session.bash("false").await;
    }
    let each = begun.elapsed() / 20;
    assert!(
        each < bailiwick_model::limits::TOOL_DENIALS_WAIT,
        "{each:?}"
    );
    session.stop().await;
}
