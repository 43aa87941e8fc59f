//! Programs.

use std::num::NonZeroU16;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Harness, programs, run, started, stop, within};
use crate::{Command, Error, ExitStatus, Signal, StandardStreams, Streams, TerminalSize, Verb};

/// 0 and another one.
pub async fn exit_codes_come_back<H: Harness>(harness: &H) {
    let running = started(harness).await;
    assert_eq!(
        run(&running, &programs::TRUE, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    assert_eq!(
        run(&running, &programs::EXIT_3, |_| {}).await.0,
        ExitStatus::Exited(3)
    );
    stop(running).await;
}

/// The signal that was sent is the one that is told, however often one asks.
pub async fn signals_end_programs<H: Harness>(harness: &H) {
    let running = started(harness).await;
    for signal in [Signal::Terminate, Signal::Kill, Signal::Interrupt] {
        let sleeping = running
            .sandbox
            .exec(Command::new(programs::SLEEP))
            .await
            .expect("it starts");
        sleeping.control.signal(signal).await.expect("it is sent");
        for _ in 0..2 {
            let status = within(sleeping.control.wait()).await.expect("a status");
            assert_eq!(status, ExitStatus::Signaled(signal.number()));
        }
        sleeping
            .control
            .signal(signal)
            .await
            .expect("one that has ended is no error");
    }
    stop(running).await;
}

/// [`Command::timeout`](crate::Command::timeout).
pub async fn a_timeout_ends_a_program<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let (status, ..) = run(&running, &programs::SLEEP, |command| {
        command.timeout = Some(Duration::from_millis(200));
    })
    .await;
    assert_eq!(status, ExitStatus::TimedOut);
    let (status, ..) = run(&running, &programs::EXIT_3, |command| {
        command.timeout = Some(super::SOON);
    })
    .await;
    assert_eq!(
        status,
        ExitStatus::Exited(3),
        "control: a program that is quick enough"
    );
    stop(running).await;
}

/// A shell's 127.
pub async fn a_missing_program_is_told_apart<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let missing = running
        .sandbox
        .exec(Command::new(programs::MISSING))
        .await
        .err();
    assert!(
        matches!(missing, Some(Error::CommandNotFound(_))),
        "{missing:?}"
    );
    let empty = running.sandbox.exec(Command::new([""; 0])).await.err();
    assert!(
        matches!(empty, Some(Error::InvalidSpec { .. })),
        "{empty:?}"
    );
    stop(running).await;
}

/// More bytes than a pipe holds, and every one of the 256.
pub async fn what_goes_in_comes_out<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 256) as u8).collect();
    let execution = running
        .sandbox
        .exec(Command::new(programs::CAT))
        .await
        .expect("it starts");
    let Streams::Pipes {
        mut stdin,
        mut stdout,
        ..
    } = execution.streams
    else {
        panic!("pipes were asked for");
    };
    let mut received = Vec::new();
    within(async {
        let write = async {
            stdin.write_all(&sent).await.expect("it reads");
            drop(stdin);
        };
        let (read, ()) = tokio::join!(stdout.read_to_end(&mut received), write);
        read.expect("it writes");
    })
    .await;
    assert!(
        received == sent,
        "{} bytes went in, {} came out",
        sent.len(),
        received.len()
    );
    assert_eq!(
        within(execution.control.wait()).await.expect("a status"),
        ExitStatus::Exited(0)
    );
    stop(running).await;
}

/// Standard output and standard error are two.
pub async fn both_outputs_are_apart<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let (status, out, err) = run(&running, &programs::BOTH_OUTPUTS, |_| {}).await;
    assert_eq!(
        (status, &out[..], &err[..]),
        (ExitStatus::Exited(0), &b"out"[..], &b"err"[..])
    );
    stop(running).await;
}

/// The command's variable wins over the sandbox's.
pub async fn variables_and_directory_reach_the_program<H: Harness>(harness: &H) {
    let mut spec = super::spec(harness);
    spec.env.insert("PROBE".into(), "of the sandbox".into());
    let running = harness
        .runtime()
        .start(spec)
        .await
        .expect("a sandbox starts");
    let (_, out, _) = run(&running, &programs::VARIABLE_AND_DIRECTORY, |_| {}).await;
    assert_eq!(String::from_utf8_lossy(&out), "of the sandbox /tmp");
    let (_, out, _) = run(&running, &programs::VARIABLE_AND_DIRECTORY, |command| {
        command.env.insert("PROBE".into(), "of the command".into());
        command.directory = Some("/".into());
    })
    .await;
    assert_eq!(String::from_utf8_lossy(&out), "of the command /");
    stop(running).await;
}

/// A terminal, or a backend that says that it has none.
pub async fn a_terminal_is_given_only_when_asked_for<H: Harness>(harness: &H) {
    let running = started(harness).await;
    assert_eq!(
        run(&running, &programs::IS_TERMINAL, |_| {}).await.0,
        ExitStatus::Exited(1)
    );
    let terminal = StandardStreams::Terminal(TerminalSize {
        rows: 24,
        columns: 80,
    });
    if harness.runtime().supports(Verb::Terminal) {
        let (status, ..) = run(&running, &programs::IS_TERMINAL, |command| {
            command.streams = terminal;
        })
        .await;
        assert_eq!(status, ExitStatus::Exited(0));
    } else {
        let mut command = Command::new(programs::IS_TERMINAL);
        command.streams = terminal;
        assert!(matches!(
            running.sandbox.exec(command).await.err(),
            Some(Error::Unsupported(Verb::Terminal))
        ));
    }
    stop(running).await;
}

/// One does not wait for another.
pub async fn many_programs_run_at_once<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let mut sleeping = Vec::new();
    for _ in 0..8 {
        sleeping.push(
            running
                .sandbox
                .exec(Command::new(programs::SLEEP))
                .await
                .expect("it starts"),
        );
    }
    assert_eq!(
        run(&running, &programs::EXIT_3, |_| {}).await.0,
        ExitStatus::Exited(3)
    );
    for execution in &sleeping {
        execution
            .control
            .signal(Signal::Kill)
            .await
            .expect("it is sent");
        assert_eq!(
            within(execution.control.wait()).await.expect("a status"),
            ExitStatus::Signaled(9)
        );
    }
    stop(running).await;
}

/// Connecting fails at once, or the backend says that it cannot; a sandbox that has stopped is gone.
pub async fn a_port_where_nothing_listens_is_told_as_such<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let port = NonZeroU16::new(8_765).expect("a number");
    let failed = within(running.sandbox.connect(port)).await.err();
    if harness.runtime().supports(Verb::Connect) {
        assert!(
            matches!(failed, Some(Error::NotListening(told)) if told == port),
            "{failed:?}"
        );
        let sandbox = std::sync::Arc::clone(&running.sandbox);
        stop(running).await;
        let gone = sandbox.connect(port).await.err();
        assert!(matches!(gone, Some(Error::Gone(_))), "{gone:?}");
    } else {
        assert!(
            matches!(failed, Some(Error::Unsupported(Verb::Connect))),
            "{failed:?}"
        );
        stop(running).await;
    }
}
