//! Before, during and after a sandbox: what is missing, what dies, what changes.

use std::fs;
use std::time::{Duration, Instant};

use bailiwick_testkit::{BannerServer, HttpServer, LeakCheck, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    PYTHON, everyone, everyone_as_anyone, host_command, inside, run_as, with_prelude,
};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn without_a_kernel_feature_nothing_is_started() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let marker = bailiwick.workspace().join("marker");
        for (setting, _what) in [
            ("max_user_namespaces", "users"),
            ("max_net_namespaces", "network"),
            ("max_mnt_namespaces", "mounts"),
            ("max_pid_namespaces", "processes"),
            ("max_ipc_namespaces", "ipc"),
        ] {
            let command = bailiwick.run().prepared(["touch", "marker"]);
            let script = format!("echo 0 > /proc/sys/user/{setting} || exit 99; exec \"$@\"");
            let mut unshare = host_command("unshare", bailiwick.user());
            unshare
                .args(["-Ur", "sh", "-c", &script, "sh"])
                .arg(command.get_program())
                .args(command.get_args());
            unshare
                .current_dir(bailiwick.workspace())
                .env("HOME", bailiwick.home())
                .env("XDG_STATE_HOME", bailiwick.home().join(".local/state"));
            let output = unshare.output().expect("unshare");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(125), "{setting}: {complaint}");
            assert!(!marker.exists(), "the command ran without {setting}");
        }
        inside(
            bailiwick.run(),
            "tell('control', lambda: open('marker', 'w').close())",
        )
        .worked("control");
        assert!(marker.exists());
    }
}

#[test]
fn a_sandbox_dies_with_its_holder_however_that_dies() {
    let mut leaks = LeakCheck::begin();
    let server = BannerServer::start();
    let port = server.address().port();
    for (bailiwick, options) in everyone_as_anyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        let workspace = bailiwick.workspace().display().to_string();
        for signal in [Signal::KILL, Signal::ABORT] {
            // By the name of the work directory its processes are found from outside.
            let probe = with_prelude(&format!(
                r#"
                # {workspace}
                stream = connect("api.test", {port})
                stream.recv(100)
                for n in range(3):
                    if os.fork() == 0:
                        os.setsid()
                        for number in [1, 2, 15]: signal.signal(number, signal.SIG_IGN)
                print("running", os.environ["BAILIWICK_SANDBOX"], flush=True)
                while True:
                    with open("alive", "w") as file: file.write(str(time.time()))
                    time.sleep(0.02)
            "#
            ));
            let run = run_as(&bailiwick, options);
            let child = run
                .allowing(&["api.test"])
                .resolve("api.test", server.address())
                .start([PYTHON, "-c", &probe]);
            let id = child.wait_for("the program", |line| {
                Some(line.strip_prefix("running ")?.to_owned())
            });
            let alive = bailiwick.workspace().join("alive");
            let sign = || fs::read_to_string(&alive).unwrap_or_default();
            let before = eventually("a sign of life", PATIENCE, || {
                Some(sign()).filter(|sign| !sign.is_empty())
            });
            eventually("another", PATIENCE, || (sign() != before).then_some(()));
            assert!(
                processes_that_name(&workspace).len() > 1,
                "control: they are found"
            );
            kill_process(
                Pid::from_raw(child.id().try_into().unwrap()).unwrap(),
                signal,
            )
            .unwrap();
            eventually("the end of all inside", PATIENCE, || {
                processes_that_name(&workspace).is_empty().then_some(())
            });
            let last = sign();
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(sign(), last, "it outlived its holder");
            fs::remove_file(&alive).unwrap();
            // What is left on disk goes with the next start, which is the control that there is a next one. A process that ends loses its name
            // before its files, of which one holds the lock of the entry.
            eventually("a clean-up", PATIENCE, || {
                inside(bailiwick.run(), "tell('control', lambda: None)").worked("control");
                (!bailiwick.sandboxes().join(&id).exists()).then_some(())
            });
        }
    }
}

#[test]
fn a_start_that_is_killed_at_any_moment_leaves_nothing() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        for number in 0..60 {
            let child = bailiwick.run().start(["sleep", "77777"]);
            let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
            std::thread::sleep(Duration::from_micros(300) * number);
            kill_process(pid, Signal::KILL).unwrap();
            drop(child);
        }
        let is_left = || {
            let workspace = bailiwick.workspace().display().to_string();
            processes_that_name(&workspace)
        };
        eventually("the end of all of them", PATIENCE, || {
            is_left().is_empty().then_some(())
        });
        // The second cleans up what a process held that was still ending at the first.
        for _ in 0..2 {
            inside(bailiwick.run(), "tell('control', lambda: None)").worked("control");
        }
        let left: Vec<_> = fs::read_dir(bailiwick.workspace()).unwrap().collect();
        assert!(left.is_empty(), "in the work directory: {left:?}");
    }
}

/// The ids of processes whose command line has this text.
fn processes_that_name(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
        })
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn what_outlives_the_command_dies_with_it() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let begun = Instant::now();
        let told = inside(
            run_as(&bailiwick, options),
            r#"
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for number in [1, 2, 15]: signal.signal(number, signal.SIG_IGN)
                    for descriptor in range(3): os.close(descriptor)
                    while True:
                        with open("daemon", "w") as file: file.write(str(time.time()))
                        time.sleep(0.02)
                os._exit(0)
            while not os.path.exists("daemon"): time.sleep(0.02)
            tell("control", lambda: len(open("daemon").read()) >= 0)
        "#,
        );
        told.worked("control");
        assert!(begun.elapsed() < PATIENCE);
        let read = || fs::read_to_string(bailiwick.workspace().join("daemon")).unwrap_or_default();
        let last = read();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(read(), last, "it outlived the command");
        fs::remove_file(bailiwick.workspace().join("daemon")).unwrap();
    }
}

#[test]
fn the_first_instruction_already_runs_under_the_policy() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    // A loop of starts, since a race would show once in many.
    for bailiwick in everyone() {
        for _ in 0..5 {
            let denied = bailiwick.run().allowing(&[]).command([
                "bash",
                "-c",
                &format!(
                    "exec 3<>/dev/tcp/127.0.0.1/{port} || exec 3<>/dev/tcp/192.0.2.77/80 && cat <&3"
                ),
            ]);
            assert!(denied.code != 0 && denied.stdout.is_empty(), "{denied:?}");
        }
        assert_eq!(server.connections(), 0);
    }
    let bailiwick = everyone().remove(0);
    let run = bailiwick
        .run()
        .allowing(&["api.test"])
        .resolve("api.test", server.address());
    run.command(["bash", "-c", &format!("exec 3<>/dev/tcp/api.test/{port} && printf 'GET / HTTP/1.0\\r\\nHost: api.test\\r\\n\\r\\n' >&3 && read -r line <&3 && echo $line")]).success();
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_state_and_the_control_socket_are_not_reached_from_inside() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let state = bailiwick.sandboxes();
        let told = inside(
            run_as(&bailiwick, options),
            &format!(
                r#"
            identity = os.environ["BAILIWICK_SANDBOX"]
            tell("state", lambda: os.listdir("{state}"))
            tell("record", lambda: open(f"{state}/{{identity}}/record.json").read())
            tell("control socket", lambda: socket.socket(AF_UNIX, socket.SOCK_SEQPACKET).connect(f"{state}/{{identity}}/control.sock"))
            tell("binary", lambda: open("{binary}").read(1))
            tell("mounts", lambda: [line for line in open("/proc/self/mountinfo") if "control" in line or "sandboxes" in line])
        "#,
                state = state.display(),
                binary = env!("CARGO_BIN_EXE_bailiwick")
            ),
        );
        told.said("mounts", "ok []")
            .all_failed_but(&["mounts"], &["ENOENT", "EACCES"]);
        // The control: outside, during a run, all of it is there for who started it, and for nobody else.
        let child = bailiwick
            .run()
            .start(["sh", "-c", "echo $BAILIWICK_SANDBOX; sleep 30"]);
        let id = child.wait_for("its id", |line| Some(line.to_owned()));
        let entry = state.join(&id);
        assert!(entry.join("control.sock").exists());
        bailiwick.execute(["exec", &id, "--", "true"]).success();
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(&entry).unwrap().permissions().mode() & 0o077,
            0
        );
        bailiwick.execute(["kill", &id]).success();
    }
}
