//! What of the host's files and sockets is there at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use bailiwick_testkit::LeakCheck;

use crate::support::{everyone, everyone_as_anyone, inside, outside, run_as};

#[test]
fn nothing_of_the_host_but_its_programs_is_there() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let secret = bailiwick.write(bailiwick.home().join(".ssh/id_ed25519"), "secret");
        let probe = format!(
            r#"
            secrets = ["{}", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh", "/etc/machine-id", "/etc/hosts.allow", "/etc/fstab", "/etc/environment", "/etc/cron.d", "/etc/docker", "/etc/kubernetes",
                "/root/.ssh", "/root/.bash_history", "/root/.docker", "/root/.aws", "/root/.config", "/home/agent/.ssh", "/var/log/syslog", "/var/log/wtmp", "/var/lib/docker", "/var/lib/bailiwick", "/var/spool", "/var/mail", "/var/backups",
                "/run/docker.sock", "/var/run/docker.sock", "/run/containerd", "/run/podman", "/run/user", "/run/systemd", "/run/dbus", "/run/secrets", "/boot/grub", "/sys/class", "/sys/fs", "/sys/kernel", "/mnt/c", "/opt/secret",
                "/.dockerenv", "/.layers/usr/lower-0/bin", "/oldroot", "/proc/1/root/etc", "/dev/disk", "/dev/mapper", "/dev/kvm", "/dev/input"]
            for path in secrets:
                tell(path, lambda: os.lstat(path).st_mode)
            tell("people", lambda: [line.split(":")[0] for line in open("/etc/passwd") if 1000 <= int(line.split(":")[2]) < 60000])
            tell("processes", lambda: len([pid for pid in os.listdir("/proc") if pid.isdigit()]))
            tell("host name", lambda: os.uname().nodename == "{}")
            tell("control", lambda: os.lstat("/usr/bin/env").st_mode)
        "#,
            secret.display(),
            fs::read_to_string("/proc/sys/kernel/hostname")
                .unwrap()
                .trim()
        );
        let told = inside(run_as(&bailiwick, options), &probe);
        told.worked("control")
            .said("people", "ok ['agent']")
            .said("host name", "ok False")
            .said("processes", "ok 2");
        // Bailiwick's own toolchains may make directories below /root; the secrets in them stay outside.
        told.all_failed_but(
            &["control", "people", "host name", "processes"],
            &["ENOENT", "EACCES", "ENOTDIR"],
        );
        outside(&bailiwick, &probe)
            .worked(secret.to_str().unwrap())
            .worked("/etc/shadow")
            .worked("/etc/fstab");
    }
}

#[test]
fn programs_of_the_host_stay_as_they_are() {
    let _leaks = LeakCheck::begin();
    let probe = r#"
        def write(path):
            with open(path, "w") as file: file.write("evil")
        for path in ["/usr/bin/evil", "/bin/ls", "/usr/lib/evil.so", "/etc/passwd", "/etc/ld.so.preload", "/etc/resolv.conf", "/etc/hosts", "/etc/evil", "/evil", "/usr/local/bin/evil"]:
            tell(path, lambda: write(path))
        tell("chmod", lambda: os.chmod("/usr/bin/env", 0o777))
        tell("unlink", lambda: os.unlink("/usr/bin/env"))
        tell("times", lambda: os.utime("/usr/bin/env", (0, 0)))
        for path in ["/tmp/x", "/var/tmp/x", "/dev/shm/x", "/home/agent/x", "/run/x", "/workspace/x"]:
            tell(f"control {path}", lambda: write(path))
    "#;
    let before = fs::metadata("/usr/bin/env").unwrap();
    for (bailiwick, options) in everyone_as_anyone() {
        let told = inside(run_as(&bailiwick, options), probe);
        for name in told
            .names()
            .filter(|name| name.starts_with("control /tmp") || name.starts_with("control /work"))
        {
            told.worked(name);
        }
        if options.is_empty() {
            for name in told.names().filter(|name| !name.starts_with("control")) {
                told.failed(name, &["EACCES", "EROFS", "EPERM"]);
            }
        }
        // As root inside some of it may work, in the sandbox alone.
        for path in [
            "/usr/bin/evil",
            "/usr/lib/evil.so",
            "/etc/ld.so.preload",
            "/etc/evil",
            "/evil",
            "/usr/local/bin/evil",
            "/home/agent/x",
        ] {
            assert!(!fs::exists(path).unwrap(), "{path} is on the host");
        }
        let after = fs::metadata("/usr/bin/env").unwrap();
        assert_eq!(
            (before.modified().unwrap(), before.permissions().mode()),
            (after.modified().unwrap(), after.permissions().mode())
        );
        assert!(
            bailiwick.workspace().join("x").exists(),
            "control: the work directory is the host's"
        );
    }
}

#[test]
fn sockets_of_the_host_are_not_reached() {
    use std::os::linux::net::SocketAddrExt;
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let path = bailiwick.home().join("docker.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let name = format!("bailiwick-attack-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let _abstract = UnixListener::bind_addr(&address).unwrap();
        std::os::unix::fs::symlink(&path, bailiwick.workspace().join("link")).unwrap();
        let probe = format!(
            r#"
            def unix(address):
                with socket.socket(AF_UNIX) as stream: stream.connect(address)
            tell("path", lambda: unix("{}"))
            tell("link", lambda: unix("link"))
            tell("abstract", lambda: unix("\0{name}"))
            for kind in ["/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/tmp/.X11-unix/X0", "\0/tmp/.X11-unix/X0", "\0/containerd-shim/x"]:
                tell(repr(kind), lambda: unix(kind))
            def own():
                with socket.socket(AF_UNIX) as server:
                    server.bind("\0own"); server.listen(); unix("\0own")
            tell("control", own)
        "#,
            path.display()
        );
        let told = inside(run_as(&bailiwick, options), &probe);
        told.worked("control")
            .all_failed_but(&["control"], &["ENOENT", "ECONNREFUSED", "EACCES", "EPERM"]);
        outside(&bailiwick, &probe)
            .worked("path")
            .worked("link")
            .worked("abstract");
        fs::remove_file(bailiwick.workspace().join("link")).unwrap();
    }
}

#[test]
fn a_socket_below_a_read_only_mount_is_no_door() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let toolchain = bailiwick.home().join("tools");
        bailiwick.write(toolchain.join("bin/tool"), "");
        let path = toolchain.join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let probe = format!(
            "tell('connect', lambda: socket.socket(AF_UNIX).connect('{}'))",
            path.display()
        );
        let run = bailiwick.run().option("--toolchain").option(&toolchain);
        // Refused as a whole, or without the socket.
        let outcome = run.clone().command([
            crate::support::PYTHON,
            "-c",
            &crate::support::with_prelude(&probe),
        ]);
        assert!(
            outcome.code != 0 || !outcome.stdout.contains("\tok"),
            "{outcome:?}"
        );
        outside(&bailiwick, &probe).worked("connect");
        drop(listener);
        fs::remove_file(&path).unwrap();
        inside(
            run,
            &format!(
                "tell('control', lambda: os.stat('{}'))",
                toolchain.join("bin/tool").display()
            ),
        )
        .worked("control");
    }
}

#[test]
fn credentials_in_a_toolchain_stay_outside() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let home = bailiwick.home();
        let secrets = [
            ".npmrc",
            ".pypirc",
            ".netrc",
            ".cargo/credentials.toml",
            ".cargo/config.toml",
            ".git-credentials",
            ".nvm/.npmrc",
            ".rbenv/credentials",
            ".docker/config.json",
            ".config/gh/hosts.yml",
            ".aws/credentials",
        ];
        for secret in secrets {
            bailiwick.write(home.join(secret), "token = hunter2");
        }
        for program in [
            ".cargo/bin/cargo",
            ".rustup/toolchains/x/bin/rustc",
            ".nvm/versions/node/v1.0.0/bin/node",
            ".rbenv/versions/1/bin/ruby",
        ] {
            bailiwick.write(home.join(program), "program");
        }
        let probe = format!(
            r#"
            os.chdir("{}")
            for path in {secrets:?}:
                tell(path, lambda: "hunter2" in open(path).read())
            tell("control", lambda: open(".cargo/bin/cargo").read())
        "#,
            home.display()
        );
        let told = inside(bailiwick.run(), &probe);
        told.said("control", "ok program");
        for secret in secrets {
            told.failed(secret, &["ENOENT", "EACCES", "ok False"]);
        }
        outside(&bailiwick, &probe).said(".nvm/.npmrc", "ok True");
    }
}

#[test]
fn files_made_inside_belong_to_the_owner_of_the_work_directory() {
    let _leaks = LeakCheck::begin();
    use std::os::unix::fs::MetadataExt;
    for (bailiwick, options) in everyone_as_anyone() {
        let run = run_as(&bailiwick, options);
        let told = inside(
            run,
            r#"
            open("made", "w").close()
            tell("give away", lambda: os.chown("made", 12, 12))
            tell("to the owner of the base", lambda: os.chown("made", 65534, 65534))
            tell("own", lambda: os.chown("made", os.getuid(), os.getgid()))
            tell("sub", lambda: os.mkdir("sub"))
        "#,
        );
        told.worked("own").worked("sub");
        let owner = |path: &str| {
            fs::metadata(bailiwick.workspace().join(path))
                .unwrap()
                .uid()
        };
        assert_eq!([owner("made"), owner("sub")], [bailiwick.user().uid; 2]);
        fs::remove_dir(bailiwick.workspace().join("sub")).unwrap();
    }
}
