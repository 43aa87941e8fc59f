//! Using up what the host has.

use std::time::Duration;

use bailiwick_testkit::{Bailiwick, LeakCheck, Outcome};

use crate::support::{PYTHON, everyone, inside, run_as, with_prelude};

/// Runs a bomb with limits. Where nothing can hold a limit, asking for it must be refused.
fn bomb(bailiwick: &Bailiwick, options: &[&str], probe: &str) -> Option<Outcome> {
    let run = run_as(bailiwick, options);
    let outcome =
        run.patience(Duration::from_secs(60))
            .command([PYTHON, "-c", &with_prelude(probe)]);
    if outcome.code == 2 || outcome.code == 125 {
        let doctor = bailiwick.execute(["doctor"]).stdout;
        let has_groups = doctor
            .lines()
            .any(|line| line.starts_with("found") && line.contains("control groups"));
        assert!(
            !(bailiwick.user().is_root() && has_groups),
            "root can hold it: {outcome:?}"
        );
        assert!(
            outcome.stdout.is_empty() && outcome.stderr.contains("control group"),
            "{outcome:?}"
        );
        eprintln!(
            "not held for uid {}, so refused: {}",
            bailiwick.user().uid,
            outcome.stderr
        );
        return None;
    }
    Some(outcome)
}

#[test]
fn processes_are_limited_and_all_gone_afterwards() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        made = 0
        try:
            while made < 300:
                if os.fork() == 0: time.sleep(60)
                made += 1
        except OSError as error:
            print("stopped", errno.errorcode[error.errno], made, flush=True)
        else: print("never stopped", made, flush=True)
        os._exit(0)
    "#;
    for bailiwick in everyone() {
        let Some(outcome) = bomb(&bailiwick, &["--pids", "100"], probe) else {
            continue;
        };
        let made: u32 = outcome
            .stdout
            .trim()
            .strip_prefix("stopped EAGAIN ")
            .expect(&outcome.stdout)
            .parse()
            .unwrap();
        assert!((50..100).contains(&made), "{made}");
        let control = bomb(&bailiwick, &["--pids", "400"], probe).expect("it was held before");
        assert_eq!(control.stdout, "never stopped 300\n");
    }
}

#[test]
fn processes_are_limited_without_being_asked() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        import threading
        threading.stack_size(65536)
        made = 0
        try:
            while made < 6000:
                threading.Thread(target=time.sleep, args=[60], daemon=True).start()
                made += 1
        except RuntimeError: print("stopped", 3500 < made < 4100, flush=True)
        os._exit(0)
    "#;
    let bailiwick = everyone().pop().expect("somebody");
    let outcome = bomb(&bailiwick, &[], probe).expect("a default is never refused");
    assert_eq!(outcome.stdout, "stopped True\n");
}

#[test]
fn becoming_other_users_does_not_multiply_the_limit() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        import threading
        threading.stack_size(65536)
        def spend(user):
            read, write = os.pipe()
            if os.fork() == 0:
                try: os.setuid(user)
                except OSError: pass
                made = 0
                try:
                    while made < 3000:
                        threading.Thread(target=time.sleep, args=[60], daemon=True).start()
                        made += 1
                except RuntimeError: pass
                os.write(write, str(made).encode())
                time.sleep(30)
                os._exit(0)
            return int(os.read(read, 10))
        made = 0
        for user in [5, 6, 7]:
            try: made += spend(user)
            except OSError: break
        print(made, flush=True)
        os._exit(0)
    "#;
    for bailiwick in everyone() {
        let outcome = bomb(&bailiwick, &["--root"], probe).expect("a default is never refused");
        let made: u32 = outcome.stdout.trim().parse().expect(&outcome.stdout);
        assert!((2000..4200).contains(&made), "{made}");
    }
}

#[test]
fn memory_is_limited_to_the_sandbox() {
    let _leaks = LeakCheck::begin();
    let probe = |mebibytes: u32| {
        format!(
            "held = bytearray({mebibytes} << 20)\nfor i in range(0, len(held), 4096): held[i] = 1\nprint('held', flush=True)"
        )
    };
    for bailiwick in everyone() {
        let limit = ["--memory", "64MiB"];
        let Some(outcome) = bomb(&bailiwick, &limit, &probe(400)) else {
            continue;
        };
        assert!(
            outcome.code != 0 && !outcome.stdout.contains("held"),
            "{outcome:?}"
        );
        let shared = bomb(&bailiwick, &limit, "with open('/dev/shm/x', 'wb') as file:\n    for _ in range(400): file.write(b'x' * (1 << 20))\nprint('held')").expect("held before");
        assert!(
            !shared.stdout.contains("held"),
            "shared memory counts too: {shared:?}"
        );
        assert_eq!(
            bomb(&bailiwick, &limit, &probe(16))
                .expect("held before")
                .stdout,
            "held\n",
            "control"
        );
    }
}

#[test]
fn private_files_are_limited_in_bytes_and_in_number() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        def fill(directory):
            with open(f"{directory}/fill", "wb") as file:
                for _ in range(64): file.write(b"x" * (1 << 20))
        for directory in ["/tmp", "/dev/shm", "/home/agent", "/run", "/var/tmp"]:
            tell(directory, lambda: fill(directory))
        os.unlink("/tmp/fill")
        tell("control bounded in number", lambda: [d for d in ["/tmp", "/dev/shm", "/home/agent", "/run", "/var/tmp"] if not 0 < os.statvfs(d).f_files <= 1_000_000])
        tell("control", lambda: open("/tmp/little", "w").write("x" * 1000))
        tell("control work directory", lambda: fill("/workspace"))
    "#;
    for bailiwick in everyone() {
        let told = inside(bailiwick.run().option("--disk").option("32MiB"), probe);
        told.worked("control")
            .worked("control work directory")
            .said("control bounded in number", "ok []");
        told.all_failed_but(
            &[
                "control",
                "control work directory",
                "control bounded in number",
            ],
            &["ENOSPC", "EACCES"],
        );
        inside(
            bailiwick.run().option("--disk").option("200MiB"),
            "tell('control', lambda: open('/tmp/x', 'wb').write(b'x' * (100 << 20)))",
        )
        .worked("control");
    }
}

#[test]
fn open_files_and_priorities_stay_within_their_limits() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick.run(),
            r#"
            import resource
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            tell("bounded", lambda: 0 < hard <= 65536)
            tell("raise", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1)))
            tell("nice", lambda: os.nice(-5))
            tell("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
            tell("lock", lambda: syscall(151, 1))
            tell("core", lambda: resource.getrlimit(resource.RLIMIT_CORE)[1] <= 1)
            tell("control", lambda: os.nice(1))
        "#,
        );
        told.said("bounded", "ok True")
            .said("core", "ok True")
            .worked("control");
        for name in ["raise", "nice", "realtime"] {
            told.failed(name, &["EPERM", "EACCES", "ValueError", "EINVAL"]);
        }
    }
}
