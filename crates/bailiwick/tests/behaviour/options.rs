//! The options of `run`, one by one.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use bailiwick_model::{Flow, Reason, Verdict};
use bailiwick_testkit::{Bailiwick, FreePort, HttpServer, eventually};
use insta::assert_snapshot;

use crate::support::{everyone, on_host, run};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_environment_is_the_sandboxs_own_and_what_e_says() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let variables = [
            "-e",
            "TOKEN=first",
            "-e",
            "TOKEN=se cond",
            "-e",
            "EMPTY=",
            "-e",
            "LANG=de_DE.UTF-8",
        ];
        let run = run(bailiwick, &variables)
            .host_variable("AWS_SECRET_ACCESS_KEY", "secret")
            .host_variable("SSH_AUTH_SOCK", "/tmp/agent");
        let run = run
            .host_variable("TERM", "screen")
            .host_variable("LC_TIME", "C.UTF-8")
            .host_variable("PATH", "/nowhere");
        let printed = run.command(["env"]).success().stdout;
        let value = |name: &str| {
            printed
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}=")))
        };
        for (name, expected) in [
            ("TOKEN", Some("se cond")),
            ("EMPTY", Some("")),
            ("LANG", Some("de_DE.UTF-8")),
            ("TERM", Some("screen")),
            ("LC_TIME", Some("C.UTF-8")),
            ("HOME", Some("/home/agent")),
            ("USER", Some("agent")),
            ("AWS_SECRET_ACCESS_KEY", None),
            ("SSH_AUTH_SOCK", None),
            ("XDG_STATE_HOME", None),
            ("RUST_BACKTRACE", None),
        ] {
            assert_eq!(value(name), expected, "{name}: {printed}");
        }
        assert!(
            value("PATH").is_some_and(
                |path| path.ends_with("/usr/bin:/sbin:/bin") && !path.contains("nowhere")
            ),
            "{printed}"
        );
    }
}

/// Two servers, one of which the environment allows.
fn one_of_two(
    bailiwick: &Bailiwick,
    options: &[&str],
    server: &HttpServer,
) -> bailiwick_testkit::Outcome {
    let port = server.address().port();
    let run = run(bailiwick, options)
        .allowing(&["api.test"])
        .resolve("api.test", server.address());
    run.script(&format!("curl --silent http://api.test:{port}/ >/dev/null; curl --silent http://evil.test:{port}/; exit 0"))
}

#[test]
fn the_summary_names_each_destination_denials_first_and_quiet_silences_it() {
    let server = HttpServer::start();
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let run_outcome = one_of_two(bailiwick, &[], &server).success();
        let begins = run_outcome
            .stderr
            .find("bailiwick: destinations")
            .expect("a summary");
        let text =
            run_outcome.stderr[begins..].replace(&server.address().port().to_string(), "PORT");
        let digits = |line: &str| {
            if line.contains(" in, ") {
                line.split("once, ").next().unwrap_or(line).to_owned() + "once, BYTES"
            } else {
                line.to_owned()
            }
        };
        let text = text.lines().map(digits).collect::<Vec<_>>().join("\n");
        insta::allow_duplicates! { assert_snapshot!(text, @r"
        bailiwick: destinations: 1 denied, 1 allowed
          denied   evil.test  no_rule  once
                   add `evil.test` to `allowed_hosts`
          allowed  api.test:PORT  pinned  once, BYTES
        "); }
        assert_eq!(
            one_of_two(bailiwick, &["--quiet"], &server)
                .success()
                .stderr,
            ""
        );
        assert_eq!(
            run(bailiwick, &["-q"]).command(["true"]).success().stderr,
            ""
        );
    }
}

#[test]
fn flows_are_written_as_they_happen_and_appended() {
    let server = HttpServer::start();
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let log = bailiwick.home().join("log.jsonl");
        let port = server.address().port();
        let start = |script: &str| {
            let run = bailiwick
                .run()
                .allowing(&["api.test"])
                .resolve("api.test", server.address());
            run.option("--flows")
                .option(&log)
                .start(["sh", "-c", script])
        };
        let read = || -> Vec<Flow> {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()
        };
        let has = |destination: &str, verdict: Verdict| {
            read()
                .iter()
                .any(|flow| flow.destination.to_string() == destination && flow.verdict == verdict)
        };
        let script = format!(
            "curl --silent http://evil.test/; curl --silent http://api.test:{port}/ >/dev/null; sleep 300"
        );
        let running = start(&script);
        eventually("both flows", PATIENCE, || {
            (has("evil.test", Verdict::Deny) && has(&format!("api.test:{port}"), Verdict::Allow))
                .then_some(())
        });
        let first = read();
        let allowed = first
            .iter()
            .find(|flow| flow.reason == Reason::Pinned && flow.destination.port == port)
            .expect("it is there");
        assert_eq!(allowed.address, Some(server.address().ip()));
        assert!(allowed.bytes_in > 0 && allowed.bytes_out > 0);
        end(running);
        assert_eq!(start("curl --silent http://other.test/").wait(PATIENCE), 6);
        assert!(
            has("other.test", Verdict::Deny) && read().len() > first.len(),
            "it appends"
        );
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(&log).expect("a file").permissions(),
        );
        assert_eq!(mode & 0o077, 0, "it is nobody else's");
    }
}

#[test]
fn a_flow_log_in_the_work_directory_cannot_be_changed_from_inside() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let script = "curl --silent http://evil.test/; (: > flows.jsonl); rm -f flows.jsonl; mv flows.jsonl other; true";
        let run = bailiwick
            .run()
            .allowing(&[])
            .option("--flows")
            .option("flows.jsonl");
        assert!(
            run.prepared(["sh", "-c", script])
                .stderr(std::process::Stdio::null())
                .status()
                .expect("bailiwick")
                .success()
        );
        let log = fs::read_to_string(bailiwick.workspace().join("flows.jsonl"))
            .expect("it is still there");
        assert!(log.contains("evil.test"), "{log:?}");
    }
}

/// Ends a sandbox as its user would, so that it cleans up.
fn end(mut running: bailiwick_testkit::Child) {
    running.signal(rustix::process::Signal::TERM);
    running.wait(PATIENCE);
}

#[test]
fn a_dry_run_prints_the_plan_and_does_nothing() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        bailiwick.write("environment.yaml", "name: golden\nconfig:\n  type: cloud\n  networking: {type: limited, allowed_hosts: [api.example.com]}\n");
        for (kind, options) in [("agent", &[][..]), ("root", &["--root"])] {
            let all_options = [&["--dry-run", "-f", "environment.yaml"], options].concat();
            let plan = run(bailiwick, &all_options)
                .command(["touch", "started"])
                .success()
                .stdout;
            assert!(!bailiwick.workspace().join("started").exists());
            let user = bailiwick.user();
            let who = if user.is_root() {
                "as_root"
            } else if kind == "root" && user.has_subordinate_ids() {
                "as_a_user_with_subordinate_ids"
            } else {
                "as_a_user"
            };
            insta::with_settings!({ omit_expression => true }, {
                insta::assert_snapshot!(format!("plan_{kind}_{who}"), normalised(bailiwick, &plan));
            });
        }
    }
}

/// Without what differs from machine to machine: ids, this test's directories, and which of the curated files this distribution has.
fn normalised(bailiwick: &Bailiwick, plan: &str) -> String {
    let directory = bailiwick.workspace();
    let root = directory.parent().and_then(Path::to_str).expect("text");
    let plan = plan.replace(root, "TEST").replace(
        &format!(" {} outside", bailiwick.user().uid),
        " CALLER outside",
    );
    let plan = plan.replace(
        &format!(" {} outside", bailiwick.user().gid),
        " CALLER outside",
    );
    let lines = plan
        .lines()
        .filter(|line| !of_the_distribution(line) && !about_cgroups(line) && !varies(line));
    lines.map(normalised_line).collect::<Vec<_>>().join("\n")
}

/// Whether a line of the plan is about a file that only some distributions or kernels have.
fn of_the_distribution(line: &str) -> bool {
    const GENERATED: [&str; 6] = [
        "passwd",
        "group",
        "hosts",
        "hostname",
        "resolv.conf",
        "nsswitch.conf",
    ];
    line.split_whitespace().nth(1).is_some_and(|path| {
        let curated = path
            .strip_prefix("/etc/")
            .is_some_and(|name| !GENERATED.contains(&name));
        let of_the_kernel = path.starts_with("/proc/") && path != "/proc/sys";
        curated
            || of_the_kernel
            || matches!(path, "/lib32" | "/libx32" | "/lib64")
            || path.starts_with("/var/lib/")
    })
}

/// At the end of the line of namespaces, where no control group counts processes.
const SECOND_NAMESPACE: &str = ", and a second user namespace inside the first";

/// Which control groups there are differs too.
fn about_cgroups(line: &str) -> bool {
    line.starts_with("cgroup")
        || line.trim_start().starts_with("/sys/fs/cgroup")
        || line.starts_with("    ") && line.contains(".max")
}

/// Ids, notes about this machine, and the limits it came with.
fn varies(line: &str) -> bool {
    line.contains("BAILIWICK_SANDBOX=")
        || line.starts_with("note: ")
        || line.starts_with("limits of a process")
}

/// A line without ids, numbers of instructions, what follows a file's name, and what depends on control groups.
fn normalised_line(line: &str) -> String {
    if let Some((kind, _)) = line.split_once(" 1 inside is ") {
        return format!("{kind} 1 inside is SUBORDINATE outside");
    }
    let line = without_long_numbers(line.trim_end_matches(SECOND_NAMESPACE));
    let line = line
        .split(" instructions")
        .next()
        .unwrap_or(&line)
        .to_owned();
    match line.split_once("sandbox ") {
        Some(("", rest)) => format!(
            "sandbox ID {}",
            rest.split_once(' ').map_or("", |(_, rest)| rest)
        ),
        _ if line.contains("seccomp ") => {
            line.split("seccomp ").next().unwrap_or_default().to_owned() + "seccomp"
        }
        _ if line.contains(", ") && line.trim_start().starts_with("file ") => {
            line.split(", ").next().unwrap_or_default().to_owned()
        }
        _ => line,
    }
}

/// A number of eight digits or more is an id that was given to this run.
fn without_long_numbers(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        if word.len() > 7 && word.bytes().all(|b| b.is_ascii_digit()) {
            "UID"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test is the client on the host"
)]
fn connect(address: impl std::net::ToSocketAddrs) -> Option<TcpStream> {
    TcpStream::connect(address).ok()
}

#[test]
fn a_published_port_is_offered_on_loopback_while_the_sandbox_runs() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let free = [FreePort::find(), FreePort::find()];
        let [port, other] = [free[0].number(), free[1].number()];
        let serve = |port: u16| {
            format!(
                "import socket\ns = socket.create_server(('127.0.0.1', {port}))\nprint('ready', flush=True)\nwhile True:\n    c, _ = s.accept(); c.sendall(b'inside'); c.close()"
            )
        };
        let server = run(bailiwick, &["--publish", &port.to_string()]).start([
            "/usr/bin/python3",
            "-c",
            &serve(port),
        ]);
        server.wait_for("the server", |line| (line == "ready").then_some(()));
        let mut answer = String::new();
        let mut client = connect(("127.0.0.1", port)).expect("it is offered");
        client.read_to_string(&mut answer).expect("text");
        assert_eq!(answer, "inside");
        if let Some(address) = own_address() {
            assert!(connect((address, port)).is_none(), "only on loopback");
        }
        end(server);
        eventually("the end of the offer", PATIENCE, || {
            connect(("127.0.0.1", port)).is_none().then_some(())
        });
        let hidden = bailiwick
            .run()
            .start(["/usr/bin/python3", "-c", &serve(other)]);
        hidden.wait_for("the server", |line| (line == "ready").then_some(()));
        assert!(
            connect(("127.0.0.1", other)).is_none(),
            "what is not published is not reached"
        );
        end(hidden);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, other)).expect("a port");
        let refused = run(bailiwick, &["--publish", &other.to_string()]).command(["true"]);
        assert!(
            refused.code == 125 && refused.stderr.contains(&other.to_string()),
            "{refused:#?}"
        );
        drop(taken);
    }
}

/// The address of this machine that the rest of the network sees. Nothing is sent.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|address| !address.is_loopback())
}

#[test]
fn a_service_of_the_host_is_reached_by_its_opened_port_only() {
    let (server, other) = (HttpServer::start(), HttpServer::start());
    let (_leaks, all) = everyone();
    let [port, closed] = [server.address().port(), other.address().port()];
    for bailiwick in &all {
        let get = |options: &[&str], host: &str, port: u16| {
            let url = format!("http://{host}:{port}/");
            run(bailiwick, options).command(["curl", "--silent", "--fail", "--max-time", "5", &url])
        };
        let opened = port.to_string();
        get(&["--host-port", &opened], "host.internal", port).success();
        for (options, host, port) in [
            (&[][..], "host.internal", port),
            (&["--host-port", &opened], "host.internal", closed),
            (&["--host-port", &opened], "127.0.0.1", port),
            (&["--host-port", &opened], "localhost", port),
        ] {
            let refused = get(options, host, port);
            assert_ne!(refused.code, 0, "{host}:{port}");
        }
        let environment = format!(
            "name: x\nconfig:\n  type: cloud\n  networking: {{type: limited, allowed_hosts: [], host_ports: [{port}]}}\n"
        );
        let by_file = bailiwick.run().environment(&environment).command([
            "curl",
            "--silent",
            "--fail",
            &format!("http://host.internal:{port}/"),
        ]);
        by_file.success();
    }
    assert_eq!(
        (server.connections(), other.connections()),
        (2 * all.len(), 0)
    );
}

#[test]
fn another_root_file_system_is_used_instead_of_the_hosts_programs() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let base = bailiwick.home().join("base");
        make_base(&base);
        let base = base.to_str().expect("text");
        for options in [&[][..], &["--root"]] {
            let options = [&["--base", base], options].concat();
            let script = "echo *; test -e /usr/bin/curl || echo 'no curl'; read line < /etc/issue; echo \"$line\"; read line < /data/file; echo \"$line\"; echo x > file";
            let outcome = run(bailiwick, &options)
                .command([
                    "/bin/sh",
                    "-c",
                    &format!(
                        "cd /; {}; cd /workspace && echo x > file",
                        script.replace("; echo x > file", "")
                    ),
                ])
                .success();
            let (entries, rest) = outcome.stdout.split_once('\n').expect("lines");
            assert!(
                entries.contains("data") && entries.contains("workspace"),
                "{entries}"
            );
            assert_eq!(rest, "no curl\nA base of a test\ndata of the base\n");
            assert_eq!(in_workspace_text(bailiwick), "x\n");
        }
        let written = run(bailiwick, &["--base", base, "--root"]).command([
            "/bin/sh",
            "-c",
            "echo x > /usr/new && echo x > /data/new && echo written",
        ]);
        assert_eq!(written.success().stdout, "written\n");
        assert!(
            !Path::new(base).join("usr/new").exists() && !Path::new(base).join("data/new").exists(),
            "the base stays as it was"
        );
    }
}

#[test]
fn the_base_of_the_environment_is_taken_unless_another_is_asked_for() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let base = bailiwick.home().join("base");
        make_base(&base);
        let file = format!(
            "name: x\nconfig: {{type: cloud, base: \"dir:{}\"}}\n",
            base.display()
        );
        bailiwick.write("environment.yaml", file);
        for (options, said) in [(&[][..], "base\n"), (&["--base", "host"], "host\n")] {
            let options = [&["-f", "environment.yaml"], options].concat();
            let script = "test -e /data/file && echo base || echo host";
            let outcome = run(bailiwick, &options).command(["/bin/sh", "-c", script]);
            assert_eq!(outcome.success().stdout, said);
        }
    }
}

fn in_workspace_text(bailiwick: &Bailiwick) -> String {
    fs::read_to_string(bailiwick.workspace().join("file")).expect("it was written")
}

/// The smallest root with a shell: dash, and the libraries that it names, where they are on this machine.
fn make_base(base: &Path) {
    for directory in ["usr/bin", "etc", "data"] {
        fs::create_dir_all(base.join(directory)).expect("a directory");
    }
    symlink("usr/bin", base.join("bin")).expect("a link");
    fs::copy("/bin/dash", base.join("usr/bin/sh")).expect("dash");
    fs::write(base.join("etc/issue"), "A base of a test\n").expect("a file");
    fs::write(base.join("data/file"), "data of the base\n").expect("a file");
    let libraries = on_host("ldd", &["/bin/dash"]);
    for path in libraries
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let at = base.join(path.trim_start_matches('/'));
        fs::create_dir_all(at.parent().expect("a directory")).expect("a directory");
        fs::copy(path, at).expect("a library");
    }
}

#[test]
fn a_toolchain_is_mounted_at_its_place_without_its_credentials_and_first_in_path() {
    let (_leaks, all) = everyone();
    for bailiwick in &all {
        let tool = bailiwick.write(
            bailiwick.home().join("tools/bin/greet"),
            "#!/bin/sh\necho hello\n",
        );
        bailiwick.write(bailiwick.home().join("tools/credentials.toml"), "secret");
        bailiwick.write(bailiwick.home().join("beside/secret"), "secret");
        fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
        let tools = bailiwick.home().join("tools");
        let tools = tools.to_str().expect("text");
        let script = format!(
            "greet; cat {tools}/credentials.toml; ls -A {tools}/..; (: > {tools}/new) 2>/dev/null && echo written; true"
        );
        let outcome = run(bailiwick, &["--toolchain", tools])
            .script(&script)
            .success();
        assert_eq!(outcome.stdout, "hello\ntools\n");
    }
}
