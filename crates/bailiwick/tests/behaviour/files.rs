//! What a command sees of the file system, and what stays of what it writes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::support::{everyone, in_workspace, root, run};

/// How `run` ends when it takes a work directory for too dangerous.
const REFUSED: i32 = 2;

#[test]
fn the_work_directory_is_the_current_one_and_is_written_as_the_caller() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("before.txt", "one\n");
        let script = "pwd; id -un; cat before.txt; echo two >> before.txt; mkdir -p a/b; echo new > a/b/after.txt; chmod 755 a/b/after.txt; stat -c %U before.txt a/b/after.txt";
        let outcome = bailiwick.run().script(script).success();
        assert_eq!(outcome.stdout, "/workspace\nagent\none\nagent\nagent\n");
        let after = fs::metadata(bailiwick.workspace().join("a/b/after.txt")).expect("it stays");
        assert_eq!(
            (after.uid(), after.gid()),
            (bailiwick.user().uid, bailiwick.user().gid)
        );
        assert_eq!(after.permissions().mode() & 0o7777, 0o755);
        assert_eq!(
            fs::read_to_string(bailiwick.workspace().join("before.txt")).expect("text"),
            "one\ntwo\n"
        );
    }
}

#[test]
fn what_root_inside_writes_into_the_work_directory_is_the_callers_too() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = run(bailiwick, &["--root"])
            .script("id -u; echo x > as-root; stat -c %u as-root")
            .success();
        assert_eq!(outcome.stdout, "0\n0\n");
        let file = fs::metadata(bailiwick.workspace().join("as-root")).expect("it stays");
        assert_eq!(
            (file.uid(), file.gid()),
            (bailiwick.user().uid, bailiwick.user().gid)
        );
    }
}

#[test]
fn a_work_directory_of_another_user_keeps_its_owner_when_root_runs() {
    let Some((_leaks, bailiwick)) = root() else {
        return;
    };
    let existing = bailiwick.write("existing", "x");
    for path in [&bailiwick.workspace(), &existing] {
        chown(path, Some(4321), Some(4322)).expect("root may");
    }
    for options in [&[][..], &["--root"]] {
        run(&bailiwick, options)
            .script("echo y >> existing; rm -f made; echo z > made")
            .success();
        let made = fs::metadata(bailiwick.workspace().join("made")).expect("it stays");
        assert_eq!((made.uid(), made.gid()), (4321, 4322));
    }
}

#[test]
fn another_work_directory_is_named_by_an_option() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let there = bailiwick.write(bailiwick.home().join("project/file"), "there");
        bailiwick.write("file", "here");
        let directory = there.parent().expect("a directory").to_str().expect("text");
        assert_eq!(
            run(bailiwick, &["-w", directory])
                .command(["cat", "file"])
                .success()
                .stdout,
            "there"
        );
        assert_eq!(
            run(bailiwick, &["-w", "../home/project"])
                .command(["cat", "file"])
                .success()
                .stdout,
            "there"
        );
    }
}

#[test]
fn the_root_holds_the_hosts_programs_and_nothing_of_its_people() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let list = |path: &str| {
            bailiwick
                .run()
                .command(["ls", "-A", path])
                .success()
                .stdout
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let shown = list("/")
            .replace("lib32 ", "")
            .replace("lib64 ", "")
            .replace("libx32 ", "");
        assert_eq!(
            shown,
            "bin dev etc home lib media mnt opt proc root run sbin srv sys tmp usr var workspace"
        );
        assert_eq!(list("/home"), "agent");
        assert_eq!(
            list("/dev"),
            "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
        );
        assert_eq!(list("/var"), "cache lib log run tmp");
        for empty in [
            "/root",
            "/run",
            "/tmp",
            "/var/tmp",
            "/home/agent",
            "/sys",
            "/mnt",
            "/media",
            "/srv",
            "/opt",
            "/dev/shm",
        ] {
            assert_eq!(list(empty), "", "{empty}");
        }
    }
}

#[test]
fn secrets_of_the_host_are_not_there() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let key = bailiwick.write(bailiwick.home().join(".ssh/id_ed25519"), "key");
        bailiwick.write(bailiwick.home().join(".aws/credentials"), "key");
        bailiwick.write(bailiwick.home().join(".npmrc"), "key");
        let key = key.to_str().expect("text");
        let secrets = [
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/sudoers",
            "/etc/ssh",
            "/etc/ssl/private",
            "/etc/machine-id",
            "/root/.ssh",
            "/root/.bashrc",
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/containerd",
            "/run/systemd",
            "/run/dbus",
            "/var/log/syslog",
            "/var/lib/bailiwick",
            "/var/lib/postgresql",
            "/etc/apt/auth.conf",
            "/etc/fstab",
            "/boot",
            "/proc/1/root",
            "/proc/kcore",
            "/sys/kernel",
            "/sys/fs",
            key,
        ];
        for options in [&[][..], &["--root"]] {
            let probe = r#"for path; do if test -s "$path" || ls -A "$path" 2>/dev/null | grep -q .; then echo "$path"; fi; done"#;
            let argv = ["sh", "-c", probe, "sh"].into_iter().chain(secrets);
            assert_eq!(
                run(bailiwick, options).command(argv).stdout,
                "",
                "{options:?}"
            );
        }
        let sockets = bailiwick
            .run()
            .command(["find", "/", "-xdev", "-type", "s"])
            .stdout;
        assert_eq!(sockets, "");
    }
}

#[test]
fn everything_but_the_work_directory_and_the_private_directories_is_read_only() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let probe = "for d in / /usr /usr/bin /etc /etc/ssl/certs /lib /dev /proc/sys/kernel /var /var/lib/dpkg /opt /root /sys; do (: > $d/probe) 2>/dev/null && echo $d; done; \
            for d in /workspace /tmp /var/tmp /home/agent /run /dev/shm; do (: > $d/probe) || echo not $d; done";
        assert_eq!(bailiwick.run().script(probe).success().stdout, "");
        assert_eq!(in_workspace(bailiwick), ["probe"]);
    }
}

#[test]
fn what_is_written_elsewhere_vanishes_with_the_sandbox() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let name = format!("bailiwick-vanishes-{}", std::process::id());
        let write = format!(
            "for d in /tmp /var/tmp $HOME /run /dev/shm; do echo x > $d/{name}; done; cat $HOME/{name}"
        );
        assert_eq!(bailiwick.run().script(&write).success().stdout, "x\n");
        let look = bailiwick.run().script(&format!(
            "ls /tmp/{name} /var/tmp/{name} $HOME/{name} /run/{name} /dev/shm/{name} 2>/dev/null"
        ));
        assert_eq!(look.stdout, "");
        for directory in [
            Path::new("/tmp"),
            Path::new("/var/tmp"),
            Path::new("/run"),
            Path::new("/dev/shm"),
            &bailiwick.home(),
        ] {
            assert!(!directory.join(&name).exists(), "{}", directory.display());
        }
    }
}

#[test]
fn root_inside_may_change_the_system_for_itself_alone() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let change = "echo x > /usr/bailiwick-probe && echo x >> /etc/bash.bashrc && tail -1 /etc/bash.bashrc";
        assert_eq!(
            run(bailiwick, &["--root"]).script(change).success().stdout,
            "x\n"
        );
        // Directories of the host's are owned by nobody in a sandbox that an ordinary user starts.
        let deeper = "echo x > /usr/bin/bailiwick-probe && rm /usr/bin/yes && ls /usr/bin/yes 2>&1 | grep -c 'No such'";
        let outcome = run(bailiwick, &["--root"]).script(deeper);
        assert_eq!(
            outcome.stdout == "1\n",
            bailiwick.user().is_root(),
            "{outcome:#?}"
        );
        assert!(
            !Path::new("/usr/bin/bailiwick-probe").exists() && Path::new("/usr/bin/yes").exists()
        );
        assert!(!Path::new("/usr/bailiwick-probe").exists());
        run(bailiwick, &["--root"])
            .script("test ! -e /usr/bailiwick-probe && test -e /usr/bin/yes")
            .success();
    }
}

#[test]
fn only_processes_of_the_sandbox_are_seen() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let outcome = bailiwick
            .run()
            .script("ls /proc | grep -c '^[0-9]'; hostname; cat /proc/sys/kernel/hostname")
            .success();
        let mut lines = outcome.stdout.lines();
        let count: u32 = lines.next().expect("a number").parse().expect("a number");
        // The init, the shell, ls and grep.
        assert!(count <= 4, "{count} processes");
        assert_eq!(lines.collect::<Vec<_>>(), ["bailiwick", "bailiwick"]);
    }
}

#[test]
fn a_dangerous_work_directory_is_refused_with_the_way_out() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let home = bailiwick.home();
        let state = bailiwick.sandboxes();
        run(bailiwick, &[]).command(["true"]).success();
        let refused = [
            ("/", "is the root directory"),
            ("/home", "is"),
            (home.to_str().expect("text"), "is a home directory"),
            (
                home.parent().and_then(Path::to_str).expect("text"),
                "is above a home directory",
            ),
            (
                state.parent().and_then(Path::to_str).expect("text"),
                "holds Bailiwick's own state",
            ),
            // Above the state; there may be somebody's home too, which is told first.
            (
                state
                    .ancestors()
                    .nth(2)
                    .and_then(Path::to_str)
                    .expect("text"),
                " ",
            ),
        ];
        for (directory, why) in refused {
            let outcome = run(bailiwick, &["-w", directory])
                .command(["touch", "started"])
                .exits(REFUSED);
            assert!(
                outcome.stderr.contains(why),
                "{directory}: {}",
                outcome.stderr
            );
            assert!(!Path::new(directory).join("started").exists());
        }
    }
}

#[test]
fn a_work_directory_with_a_socket_is_refused_unless_sockets_are_allowed() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("deep/er/file", "");
        let _listener =
            UnixListener::bind(bailiwick.workspace().join("deep/er/agent.sock")).expect("a socket");
        let outcome = bailiwick.run().command(["true"]).exits(REFUSED);
        assert!(
            outcome.stderr.contains("deep/er/agent.sock")
                && outcome.stderr.contains("--allow-sockets"),
            "{}",
            outcome.stderr
        );
        run(bailiwick, &["--allow-sockets"])
            .command(["true"])
            .success();
    }
}
