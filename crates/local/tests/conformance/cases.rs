//! What only this backend has: limits of the kernel, and attempts of the inside on the files that the outside asks for.

use std::num::NonZeroU16;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_policy::{InForce, Projections};
use bailiwick_runtime::conformance::Harness;
use bailiwick_runtime::{
    Access, CaptureLimits, Command, Error, Event, ExitStatus, Mount, MountSource, PathProblem,
    StandardStreams, StopReason, TerminalSize,
};

use tokio::io::AsyncReadExt as _;

use crate::harness::{Local, is_ready, run, shell, until_ready};

const GRACE: Duration = Duration::from_millis(100);
const ENOUGH: CaptureLimits = CaptureLimits {
    files: 100,
    bytes: 1 << 20,
    time: Duration::from_secs(60),
};

fn problem<T>(result: &Result<T, Error>) -> Option<PathProblem> {
    match result {
        Err(Error::Path { problem, .. }) => Some(*problem),
        Ok(_) | Err(_) => None,
    }
}

/// Where no control group can be used, the limit is refused by name.
pub(crate) async fn a_limit_on_memory_is_told_as_such(local: &Local) {
    let mut spec = local.spec();
    spec.limits.memory_bytes = Some(64 << 20);
    let mut running = match local.runtime().start(spec).await {
        Ok(running) => running,
        Err(Error::Refused { feature, .. }) => {
            assert!(!rustix::process::geteuid().is_root(), "{feature}");
            return assert!(feature.contains("memory"), "{feature}");
        }
        Err(error) => panic!("{error}"),
    };
    let (status, _) = run(&running, Command::new(["sh", "-c", "kill -9 $$"])).await;
    assert_eq!(status, ExitStatus::Signaled(9), "control: not the kernel's");
    let (status, _) = run(&running, Command::new(["tail", "/dev/zero"])).await;
    assert_eq!(status, ExitStatus::OutOfMemory);
    running.sandbox.stop(GRACE).await.expect("it stops");
    let mut told = 0;
    while let Some(event) = running.events.recv().await {
        told += usize::from(event == Event::OutOfMemory);
    }
    assert_eq!(told, 1);
}

pub(crate) async fn a_lifetime_ends_a_sandbox(local: &Local) {
    // On a busy machine a short life is over before anything was started in it.
    for seconds in [0.3, 3.0, 30.0] {
        let mut spec = local.spec();
        spec.limits.lifetime = Some(Duration::from_secs_f32(seconds));
        let mut running = local.start(spec).await;
        let sleeping = running.sandbox.exec(Command::new(["sleep", "1000"])).await;
        let Ok(execution) = sleeping else { continue };
        let status = execution.control.wait().await.expect("a status");
        assert_eq!(status, ExitStatus::Signaled(9));
        let mut last = None;
        while let Some(event) = running.events.recv().await {
            last = Some(event);
        }
        return assert_eq!(last, Some(Event::Stopped(StopReason::Lifetime)));
    }
    panic!("nothing was ever started");
}

/// Children in process groups of their own, as an interactive shell makes them, included; what left the session is not.
pub(crate) async fn a_timeout_ends_the_whole_session(local: &Local) {
    let running = local.start(local.spec()).await;
    // On a busy machine a short time is over before all were started.
    for seconds in [0.5, 5.0, 50.0] {
        let script = "set -m; sleep 4321 & sleep 4322 & setsid sh -c 'echo >/tmp/ready; exec sleep 4323' & wait";
        let mut command = Command::new(["sh", "-c", script]);
        command.timeout = Some(Duration::from_secs_f32(seconds));
        let execution = running.sandbox.exec(command).await.expect("it starts");
        let status = execution.control.wait().await.expect("a status");
        assert_eq!(status, ExitStatus::TimedOut);
        if is_ready(&running).await {
            break;
        }
    }
    // What was killed is there until the kernel comes to it.
    let sleeping = "while :; do \
                        found=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep ^432 | sort -u); \
                        case $found in 4323 | '') break;; esac; sleep 0.05; \
                    done; echo $found";
    assert_eq!(shell(&running, sleeping).await.1, "4323\n");
    running.sandbox.stop(GRACE).await.expect("it stops");
}

/// SIGTERM comes first; who needs longer than the grace is killed; who does not is not waited for.
pub(crate) async fn stopping_asks_first(local: &Local) {
    for (script, expected, at_most) in [
        ("trap 'exit 7' TERM", ExitStatus::Exited(7), 10),
        ("trap '' TERM", ExitStatus::Signaled(9), 30),
    ] {
        let running = local.start(local.spec()).await;
        let script = format!("{script}; echo >/tmp/ready; while :; do sleep 0.05; done");
        let command = Command::new(["sh", "-c", &script]);
        let execution = running.sandbox.exec(command).await.expect("it starts");
        until_ready(&running).await;
        let grace = if expected == ExitStatus::Exited(7) {
            Duration::from_secs(60)
        } else {
            GRACE
        };
        let begun = Instant::now();
        running.sandbox.stop(grace).await.expect("it stops");
        assert!(begun.elapsed() < Duration::from_secs(at_most));
        assert_eq!(execution.control.wait().await.expect("a status"), expected);
    }
}

pub(crate) async fn a_terminal_has_the_size_that_was_asked_for(local: &Local) {
    let running = local.start(local.spec()).await;
    let mut command = Command::new(["stty", "size"]);
    command.streams = StandardStreams::Terminal(TerminalSize {
        rows: 33,
        columns: 99,
    });
    assert_eq!(run(&running, command.clone()).await.1, "33 99\r\n");

    command.argv = [
        "sh",
        "-c",
        "trap 'stty size; exit' WINCH; echo >/tmp/ready; while :; do sleep 0.05; done",
    ]
    .map(Into::into)
    .to_vec();
    let execution = running.sandbox.exec(command).await.expect("it starts");
    until_ready(&running).await;
    let size = TerminalSize {
        rows: 11,
        columns: 22,
    };
    execution.control.resize(size).await.expect("it is resized");
    let status = execution.control.wait().await.expect("a status");
    assert_eq!(status, ExitStatus::Exited(0));
    running.sandbox.stop(GRACE).await.expect("it stops");
}

/// Attack 52, and what only process 1 could read: the environment and program of whoever launched the sandbox.
pub(crate) async fn a_file_link_leads_nowhere_but_inside(local: &Local) {
    let outside = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
    std::fs::write(&outside, "of the host").expect("it is written");
    let outside = outside.path();
    let running = local.start(local.spec()).await;
    let script = format!(
        "echo inside >/tmp/file && ln -s file /tmp/near && ln -s {} /tmp/far && ln -s / /tmp/root \
         && ln -s ../../../../../../etc /tmp/up && for p in 1/environ self/environ 1/exe 1/maps 1/root/etc/passwd 1/fd; \
         do ln -s /proc/$p /tmp/$(echo $p | tr / _); done",
        outside.display()
    );
    assert_eq!(shell(&running, &script).await.0, ExitStatus::Exited(0));
    let read = async |path: String| running.sandbox.read_file(Path::new(&path), 1 << 20).await;

    let near = read("/tmp/near".into()).await.expect("control: a link");
    assert_eq!(near, b"inside\n");
    let root = read("/tmp/root/tmp/file".into()).await;
    assert_eq!(root.expect("the root inside"), b"inside\n");
    let hosts = read("/tmp/up/hosts".into()).await.expect("above the root");
    assert_ne!(hosts, std::fs::read("/etc/hosts").expect("the host's"));
    assert_eq!(
        problem(&read("/tmp/far".into()).await),
        Some(PathProblem::NotFound)
    );
    assert_eq!(
        problem(&read(format!("/tmp/root{}", outside.display())).await),
        Some(PathProblem::NotFound)
    );
    for link in [
        "1_environ",
        "self_environ",
        "1_exe",
        "1_maps",
        "1_root_etc_passwd",
        "1_fd",
    ] {
        let refused = problem(&read(format!("/tmp/{link}")).await);
        assert_eq!(refused, Some(PathProblem::PermissionDenied), "{link}");
    }
    running.sandbox.stop(GRACE).await.expect("it stops");
}

/// A pipe that nobody writes to would hold the reader for ever.
pub(crate) async fn what_is_no_file_is_not_opened(local: &Local) {
    let running = local.start(local.spec()).await;
    let script =
        "mkfifo /tmp/fifo && ln -s fifo /tmp/link && mkdir /tmp/closed && chmod 0 /tmp/closed";
    assert_eq!(shell(&running, script).await.0, ExitStatus::Exited(0));
    let sandbox = &running.sandbox;
    for path in ["/tmp/fifo", "/tmp/link", "/dev/zero", "/dev/tty"] {
        let path = Path::new(path);
        let not_a_file = Some(PathProblem::NotAFile);
        assert_eq!(problem(&sandbox.read_file(path, 10).await), not_a_file);
        let written = sandbox.write_file(path, b"x".to_vec(), 0o644).await;
        assert_eq!(problem(&written), not_a_file, "{}", path.display());
    }
    let denied = Some(PathProblem::PermissionDenied);
    let closed = sandbox.list_files(Path::new("/tmp/closed"), 10).await;
    assert_eq!(problem(&closed), denied);
    let read_only = sandbox.write_file(Path::new("/usr/new"), Vec::new(), 0o644);
    assert_eq!(problem(&read_only.await), denied);
    let huge = shell(&running, "truncate -s 1T /tmp/huge").await;
    assert_eq!(huge.0, ExitStatus::Exited(0));
    let too_large = sandbox.read_file(Path::new("/tmp/huge"), 1 << 20).await;
    assert_eq!(problem(&too_large), Some(PathProblem::TooLarge));
    sandbox.stop(GRACE).await.expect("it stops");
}

/// A directory that becomes a link while it is walked, over and over.
pub(crate) async fn a_swapped_directory_does_not_lead_a_capture_out(local: &Local) {
    let running = local.start(local.spec()).await;
    let script = "mkdir -p /tmp/out/deep /tmp/away && echo mine >/tmp/out/deep/file && echo other >/tmp/away/file; \
                  ln -s /tmp/away /tmp/link; echo >/tmp/ready; \
                  while :; do mv /tmp/out/deep /tmp/kept; mv /tmp/link /tmp/out/deep; \
                  mv /tmp/out/deep /tmp/link; mv /tmp/kept /tmp/out/deep; done";
    let swapping = Command::new(["sh", "-c", script]);
    let _swapping = running.sandbox.exec(swapping).await.expect("it starts");
    until_ready(&running).await;
    let roots = [Path::new("/tmp/out")];
    let mut found = 0;
    let begun = Instant::now();
    while found < 20 && begun.elapsed() < Duration::from_secs(20) {
        let captured = running.sandbox.capture(&roots, ENOUGH).await;
        for file in captured.expect("a capture") {
            assert_eq!(file.contents, b"mine\n", "{}", file.path.display());
            found += 1;
        }
    }
    assert!(found > 0, "control: the file is captured when it is there");
    running.sandbox.stop(GRACE).await.expect("it stops");
}

/// Its owner, its mode and its memory are the sandbox's, its directories too; no set-user-id bit comes in.
pub(crate) async fn a_written_file_belongs_to_the_sandbox(local: &Local) {
    let running = local.start(local.spec()).await;
    let path = Path::new("/workspace/a/b/tool");
    let contents = b"#!/bin/sh\necho works\n".to_vec();
    let written = running.sandbox.write_file(path, contents, 0o4755).await;
    written.expect("it is written");
    let seen = shell(
        &running,
        "/workspace/a/b/tool && stat -c '%a %U' /workspace/a /workspace/a/b/tool && ls -A /workspace/a/b",
    )
    .await;
    assert_eq!(seen.1, "works\n755 agent\n755 agent\ntool\n");
    running.sandbox.stop(GRACE).await.expect("it stops");
}

fn mount(source: &Path, target: &str, access: Access) -> Mount {
    Mount {
        source: MountSource::Host(source.to_owned()),
        target: target.into(),
        access,
    }
}

pub(crate) async fn a_read_only_mount_cannot_be_written(local: &Local) {
    let (shared, work) = (open_directory(), open_directory());
    std::fs::write(shared.path().join("file"), "shared").expect("it is written");
    let mut spec = local.spec();
    spec.mounts = vec![
        mount(work.path(), "/workspace", Access::ReadWrite),
        mount(shared.path(), "/srv/shared", Access::ReadOnly),
    ];
    spec.directory = "/workspace".into();
    let running = local.start(spec).await;
    let (status, seen) = shell(&running, "cat /srv/shared/file; echo x >/srv/shared/file").await;
    assert!(seen.starts_with("shared"), "{seen}");
    assert_ne!(status, ExitStatus::Exited(0));
    assert_eq!(
        shell(&running, "echo x >made").await.0,
        ExitStatus::Exited(0)
    );
    let made = std::fs::metadata(work.path().join("made")).expect("control: it is on the host");
    assert_eq!(made.uid(), rustix::process::geteuid().as_raw());
    running.sandbox.stop(GRACE).await.expect("it stops");
}

fn open_directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), everybody).expect("chmod");
    directory
}

pub(crate) async fn a_refused_mount_leaves_nothing(local: &Local) {
    let with_socket = open_directory();
    let _socket =
        std::os::unix::net::UnixListener::bind(with_socket.path().join("s")).expect("a socket");
    for (source, access) in [
        (Path::new("/"), Access::ReadOnly),
        (Path::new("/root"), Access::ReadOnly),
        (with_socket.path(), Access::ReadOnly),
        (with_socket.path(), Access::ReadWrite),
        (Path::new("/no/such/directory"), Access::ReadOnly),
    ] {
        let mut spec = local.spec();
        spec.mounts = vec![mount(source, "/workspace", access)];
        let refused = local.runtime().start(spec).await.err();
        assert!(
            matches!(refused, Some(Error::Refused { .. } | Error::Path { .. })),
            "{}: {refused:?}",
            source.display()
        );
        local.expect_nothing_left();
    }
}

pub(crate) async fn a_port_that_is_taken_leaves_nothing(local: &Local) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut spec = local.spec();
    spec.network.published_ports = vec![taken.local_addr().expect("its number").port()];
    let refused = local.runtime().start(spec).await.err();
    assert!(
        matches!(refused, Some(Error::Refused { .. })),
        "{refused:?}"
    );
    local.expect_nothing_left();
}

/// The same port is the host's as long as nobody listens inside, and is not reached.
pub(crate) async fn a_connection_reaches_the_sandboxs_own_loopback_and_nothing_else(local: &Local) {
    const LISTEN: &str = "use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or die; \
        bind(S, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die; listen(S, 5) or die; \
        open(R, '>', '/tmp/ready'); print R 1; close R; \
        while (accept(C, S)) { syswrite(C, 'inside'); close C; }";
    let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    outside.set_nonblocking(true).expect("a listener");
    let port = outside.local_addr().expect("its number").port();
    let port = NonZeroU16::new(port).expect("it is not 0");
    let running = local.start(local.spec()).await;
    let refused = running.sandbox.connect(port).await.err();
    assert!(
        matches!(refused, Some(Error::NotListening(_))),
        "{refused:?}"
    );
    let command = Command::new(["perl", "-e", LISTEN, &port.to_string()]);
    let listening = running.sandbox.exec(command).await.expect("it starts");
    until_ready(&running).await;
    for _ in 0..3 {
        let mut connection = running.sandbox.connect(port).await.expect("a connection");
        let mut said = String::new();
        let read = connection.read_to_string(&mut said);
        read.await.expect("it is closed");
        assert_eq!(said, "inside");
    }
    let accepted = outside.accept().map(|(_, from)| from);
    assert!(accepted.is_err(), "{accepted:?} came out");
    drop(listening);
    running.sandbox.stop(GRACE).await.expect("it stops");
}

pub(crate) async fn a_second_thread_is_refused(local: &Local) {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let refused = local.runtime().start(local.spec()).await.err();
    assert!(
        matches!(refused, Some(Error::Refused { .. })),
        "{refused:?}"
    );
    drop(done);
    let _ = thread.join();
    let control = local.start(local.spec()).await;
    control.sandbox.stop(GRACE).await.expect("it stops");
}

/// What a sandbox trusts is settled when it starts.
pub(crate) async fn credentials_come_to_a_sandbox_that_was_started_for_them_alone(local: &Local) {
    let with = || InForce {
        projections: Arc::new(Projections::new(Vec::new(), Vec::new())),
        ..local.policy()
    };
    for (started, is_taken) in [(local.policy(), false), (with(), true)] {
        let mut spec = local.spec();
        spec.network.policy = started;
        let running = local.start(spec).await;
        let applied = running.sandbox.apply_policy(with()).await;
        match applied {
            Ok(()) => assert!(is_taken),
            Err(Error::Refused { feature, .. }) => assert!(!is_taken, "{feature}"),
            Err(error) => panic!("{error}"),
        }
        let trusts = "grep -c END /etc/bailiwick/ca-bundle.pem 2>/dev/null";
        let (_, told) = shell(&running, trusts).await;
        assert_eq!(told.trim().parse::<u32>().is_ok(), is_taken, "{told}");
        running.sandbox.stop(GRACE).await.expect("it stops");
    }
}
