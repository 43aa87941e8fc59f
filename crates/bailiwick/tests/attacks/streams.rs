//! Descriptors: the standard streams, and what a caller leaves open.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use bailiwick_testkit::{Bailiwick, BannerServer, LeakCheck};

use crate::support::{
    PYTHON, Told, connect, everyone, everyone_as_anyone, host_command, run_as, told, with_prelude,
};

/// What to do with descriptor 0; the interpreter itself does not take a directory there.
fn with_stdin_at_3(probe: &str) -> Vec<String> {
    let move_it = format!("exec {PYTHON} -c \"$1\" 3<&0 </dev/null");
    vec![
        "sh".to_owned(),
        "-c".to_owned(),
        move_it,
        "sh".to_owned(),
        with_prelude(probe),
    ]
}

fn run_with(bailiwick: &Bailiwick, options: &[&str], stdin: File, argv: &[String]) -> Option<Told> {
    let run = run_as(bailiwick, options);
    let output = run
        .prepared(argv)
        .stdin(Stdio::from(stdin))
        .output()
        .expect("bailiwick");
    if output.status.success() {
        return Some(told(&String::from_utf8_lossy(&output.stdout)));
    }
    // A stream that is refused is as good as one that is harmless.
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.stdout.is_empty() && complaint.contains("is a directory"),
        "{complaint}"
    );
    None
}

const FILE_PROBE: &str = r#"
    path = "/proc/self/fd/3"
    tell("read", lambda: len(os.read(3, 100)))
    tell("reopen to write", lambda: os.open(path, os.O_RDWR))
    tell("reopen to truncate", lambda: os.open(path, os.O_WRONLY | os.O_TRUNC))
    tell("truncate", lambda: os.truncate(path, 0))
    tell("write", lambda: os.write(3, b"x"))
    tell("link", lambda: os.link(path, "/workspace/linked", follow_symlinks=True))
    tell("grow", lambda: os.truncate(path, 100))
    tell("allocate", lambda: os.posix_fallocate(3, 0, 100))
"#;

#[test]
fn a_file_that_a_program_reads_is_not_opened_again_with_more_rights() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let path = bailiwick.write(bailiwick.home().join("input"), "the input");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let argv = with_stdin_at_3(FILE_PROBE);
        if let Some(told) = run_with(&bailiwick, options, File::open(&path).unwrap(), &argv) {
            told.said("read", "ok 9");
            for name in told.names().filter(|name| *name != "read") {
                assert!(
                    !told.answer(name).starts_with("ok"),
                    "{name} worked {told:#?}"
                );
            }
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "the input");
        let mut control = host_command("sh", bailiwick.user());
        let output = control
            .args(&argv[1..])
            .stdin(File::open(&path).unwrap())
            .output()
            .unwrap();
        told(&String::from_utf8_lossy(&output.stdout))
            .worked("reopen to write")
            .worked("truncate");
    }
}

#[test]
fn a_directory_as_a_stream_is_no_door() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        tell("stat", lambda: os.stat("secret", dir_fd=3).st_size)
        tell("stat above", lambda: os.stat("../../../../../../../../etc/shadow", dir_fd=3).st_size)
        tell("list", lambda: os.listdir(3))
        tell("read", lambda: os.read(os.open("secret", os.O_RDONLY, dir_fd=3), 10))
        tell("chmod", lambda: os.chmod("secret", 0o666, dir_fd=3))
        tell("chdir", lambda: os.fchdir(3))
        tell("connect", lambda: socket.socket(AF_UNIX).connect("sock"))
    "#;
    for (bailiwick, options) in everyone_as_anyone() {
        let directory = bailiwick.home().join("private");
        bailiwick.write(directory.join("secret"), "secret");
        let socket = directory.join("sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let argv = with_stdin_at_3(probe);
        if let Some(told) = run_with(&bailiwick, options, File::open(&directory).unwrap(), &argv) {
            for name in told.names() {
                assert!(
                    !told.answer(name).starts_with("ok"),
                    "{name} worked {told:#?}"
                );
            }
        }
        let mut control = host_command("sh", bailiwick.user());
        let output = control
            .args(&argv[1..])
            .stdin(File::open(&directory).unwrap())
            .output()
            .unwrap();
        told(&String::from_utf8_lossy(&output.stdout))
            .worked("connect")
            .worked("chmod")
            .worked("stat above");
    }
}

#[test]
fn descriptors_that_a_caller_left_open_do_not_come_along() {
    let _leaks = LeakCheck::begin();
    let probe = with_prelude(
        r#"
        tell("descriptors", lambda: sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}") or int(fd) > 3))
        tell("directory", lambda: os.open("passwd", os.O_RDONLY, dir_fd=9))
        tell("file", lambda: len(os.read(8, 10)))
    "#,
    );
    for bailiwick in everyone() {
        let run = bailiwick.run().prepared([PYTHON, "-c", &probe]);
        let output = leaky(&bailiwick, &run).output().unwrap();
        let inside = told(&String::from_utf8_lossy(&output.stdout));
        inside
            .said("descriptors", "ok [0, 1, 2]")
            .said("directory", "EBADF")
            .said("file", "EBADF");
        let mut python = host_command(PYTHON, bailiwick.user());
        python.args(["-c", &probe]);
        let control = leaky(&bailiwick, &python).output().unwrap();
        told(&String::from_utf8_lossy(&control.stdout))
            .worked("directory")
            .worked("file");
    }
}

/// The same command, started by a shell that has the host's /etc and a file in it open.
fn leaky(bailiwick: &Bailiwick, command: &Command) -> Command {
    let mut shell = host_command("sh", bailiwick.user());
    shell
        .args(["-c", "exec 9</etc 8</etc/passwd; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    shell.env_clear().envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.current_dir(command.get_current_dir().unwrap_or(&bailiwick.workspace()));
    shell
}

#[test]
fn a_pipe_to_the_host_carries_bytes_and_no_descriptors() {
    let _leaks = LeakCheck::begin();
    let probe = with_prelude(
        r#"
        import array
        here = os.open("/etc", os.O_RDONLY)
        tell("kind", lambda: stat.S_ISFIFO(os.fstat(1).st_mode))
        tell("send", lambda: socket.socket(fileno=os.dup(1)).sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [here]))]))
        left, right = socket.socketpair()
        tell("control", lambda: left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [here]))]))
    "#,
    );
    for bailiwick in everyone() {
        let outcome = bailiwick.run().command([PYTHON, "-c", &probe]).success();
        told(&outcome.stdout)
            .said("kind", "ok True")
            .said("send", "ENOTSOCK")
            .worked("control");
    }
}

#[test]
fn a_network_socket_as_a_stream_is_no_way_out() {
    let _leaks = LeakCheck::begin();
    let (given, forbidden) = (BannerServer::start(), BannerServer::start());
    let probe = format!(
        r#"
        def again(kind):
            stream = socket.socket(AF_INET, kind, fileno=os.dup(3))
            LIBC.connect(3, b"\0" * 16, 16)
            stream.settimeout(3)
            stream.connect(("127.0.0.1", {port}))
            return stream.recv(100).decode().strip()
        tell("elsewhere", lambda: again(SOCK_STREAM))
        tell("datagram", lambda: socket.socket(AF_INET, SOCK_DGRAM, fileno=os.dup(3)).sendto(b"x", ("127.0.0.1", {port})))
        tell("accept", lambda: socket.socket(AF_INET, SOCK_STREAM, fileno=os.dup(3)).accept() and None)
        "#,
        port = forbidden.address().port()
    );
    let argv = with_stdin_at_3(&probe);
    for (bailiwick, options) in everyone_as_anyone() {
        let connected = connect(given.address());
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _waiting = connect(listener.local_addr().unwrap());
        let before = forbidden.connections();
        for stream in [OwnedFd::from(connected), datagrams.into(), listener.into()] {
            let run = run_as(&bailiwick, options);
            let output = run
                .prepared(&argv)
                .stdin(Stdio::from(stream))
                .output()
                .expect("bailiwick");
            // A socket may be refused, or stand behind a pipe.
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                assert!(!line.contains("\tok"), "{line}");
            }
        }
        assert_eq!(forbidden.connections(), before, "it connected elsewhere");
        let connected = connect(given.address());
        let mut control = host_command("sh", bailiwick.user());
        let output = control
            .args(&argv[1..])
            .stdin(Stdio::from(OwnedFd::from(connected)))
            .output()
            .unwrap();
        told(&String::from_utf8_lossy(&output.stdout))
            .said("elsewhere", "ok SSH-2.0-bailiwick_test");
    }
}
