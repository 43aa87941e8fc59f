//! The network plane: what is there besides the relay, and what the relay never opens.

use std::net::{IpAddr, SocketAddr};

use bailiwick_model::Reason;
use bailiwick_testkit::{BannerServer, HttpServer, LeakCheck, UdpEcho};

use crate::support::{
    REFUSED, everyone, everyone_as_anyone, host_address, inside, outside, run_as,
};

/// Every address of cloud metadata, in the spellings that get past careless checks.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1%lo",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "224.0.0.1",
    "ff02::1",
];

#[test]
fn metadata_is_never_reached_by_address_or_by_name() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    let allowing = "allowed_hosts: [api.test, metadata.google.internal]\n    allowed_cidrs: ['0.0.0.0/0', '::/0']";
    for networking in [
        format!("type: limited\n    {allowing}"),
        "type: unrestricted".to_owned(),
    ] {
        let file = format!("name: test\nconfig:\n  type: cloud\n  networking:\n    {networking}\n");
        for bailiwick in everyone() {
            let path = bailiwick.write(bailiwick.home().join("file.yaml"), &file);
            if bailiwick
                .execute(["environment", "validate", "-f", path.to_str().unwrap()])
                .code
                != 0
            {
                continue; // A file that would open it is refused as a whole.
            }
            let told = inside(
                bailiwick
                    .run()
                    .environment(&file)
                    .resolve("api.test", server.address()),
                &format!(
                    r#"
                tell("control", lambda: http("api.test", {port}))
                for address in {METADATA:?}:
                    tell(address, lambda: http(address, 80, "metadata"))
                for name in ["metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal"]:
                    tell(name, lambda: http(name, 80))
            "#
                ),
            );
            told.said("control", "ok 200")
                .all_failed_but(&["control"], REFUSED);
            for address in [
                "169.254.169.254:80",
                "168.63.129.16:80",
                "[fd00:ec2::254]:80",
            ] {
                told.denied(address, Reason::Floor);
            }
        }
    }
}

#[test]
fn services_of_the_host_are_not_reached_by_any_of_its_addresses() {
    let (_leaks, server) = (
        LeakCheck::begin(),
        HttpServer::start_on("::".parse().unwrap()),
    );
    let port = server.address().port();
    let own = host_address()
        .map(|address| address.to_string())
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let addresses = [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "localhost",
        "host.internal",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        &own,
        &format!("::ffff:{own}"),
    ];
    let probe =
        format!("for address in {addresses:?}: tell(address, lambda: http(address, {port}))");
    for (bailiwick, options) in everyone_as_anyone() {
        let before = server.connections();
        let run = || run_as(&bailiwick, options);
        inside(run(), &probe).all_failed_but(&[], REFUSED);
        let file = "name: test\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_cidrs: ['10.0.0.0/8', '192.168.0.0/16', '192.0.2.0/24', '172.16.0.0/12']\n";
        inside(run().environment(file), &probe).all_failed_but(&[], REFUSED);
        assert_eq!(server.connections(), before);
        outside(
            &bailiwick,
            &format!("for address in ['127.0.0.1', '::1', '0.0.0.0', '::ffff:127.0.0.1', '{own}']: tell(address, lambda: http(address, {port}))"),
        )
        .said("127.0.0.1", "ok 200")
        .said("::1", "ok 200")
        .said("::ffff:127.0.0.1", "ok 200")
        .said(&own, "ok 200")
        .said("0.0.0.0", "ok 200");
    }
}

#[test]
fn a_host_port_opens_one_name_and_one_port() {
    let (_leaks, server, other) = (LeakCheck::begin(), HttpServer::start(), HttpServer::start());
    let [port, closed] = [server.address().port(), other.address().port()];
    for bailiwick in everyone() {
        let told = inside(
            bailiwick
                .run()
                .allowing(&[])
                .option("--host-port")
                .option(port.to_string()),
            &format!(
                r#"
            tell("opened", lambda: http("host.internal", {port}))
            tell("other port", lambda: http("host.internal", {closed}))
            for address in ["127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1"]:
                tell(address, lambda: http(address, {port}))
        "#
            ),
        );
        told.said("opened", "ok 200")
            .all_failed_but(&["opened"], REFUSED);
        told.denied(&format!("host.internal:{closed}"), Reason::Floor);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn bailiwicks_own_listeners_take_only_what_was_sent_elsewhere() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for (bailiwick, options) in everyone_as_anyone() {
        let run = run_as(&bailiwick, options);
        let told = inside(
            run.allowing(&["api.test"])
                .resolve("api.test", server.address()),
            &format!(
                r#"
            tell("control", lambda: http("api.test", {port}))
            for listener in [65533, 65534]:
                for address in ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "198.19.255.254", "fd62:6169:6c69::1", "198.19.255.253", "198.18.0.1", "::ffff:127.0.0.1"]:
                    tell(f"{{address}} {{listener}}", lambda: http(address, listener, "api.test:{port}"))
            tell("dns", lambda: datagram("127.0.0.1", 65534, question("api.test"), patience=0.4))
            def bound(source, target, source_port=0):
                stream = socket.socket(AF_INET, SOCK_STREAM)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                stream.bind((source, source_port))
                stream.settimeout(5)
                stream.connect(target)
                stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                return stream.recv(100).split(b" ")[1].decode()
            for source in ["127.0.0.1", "198.19.255.254", "8.8.8.8", "169.254.169.254"]:
                tell(f"from {{source}}", lambda: bound(source, ("192.0.2.77", 80)))
                tell(f"from {{source}} and its port", lambda: bound(source, ("192.0.2.77", 80), 65533))
                tell(f"to host from {{source}}", lambda: bound(source, ("127.0.0.1", {port}), 65533))
        "#
            ),
        );
        told.said("control", "ok 200").all_failed_but(
            &["control"],
            &[REFUSED, &["EADDRINUSE", "TIMEOUT"]].concat(),
        );
    }
    assert_eq!(server.requests().len(), 2 * everyone().len());
}

/// Sends datagrams to a server of the host, to well-known services, and on its own loopback.
fn datagrams(own: IpAddr, port: u16) -> String {
    format!(
        r#"
            tell("host", lambda: datagram("{own}", {port}))
            tell("quic", lambda: datagram("192.0.2.77", 443))
            tell("ntp", lambda: datagram("192.0.2.77", 123))
            tell("mdns", lambda: datagram("224.0.0.251", 5353, patience=0.4))
            tell("llmnr", lambda: datagram("224.0.0.252", 5355, patience=0.4))
            tell("quic to a name", lambda: datagram("api.test", 443))
            tell("dns over quic", lambda: datagram("192.0.2.77", 853))
            tell("ipv6", lambda: datagram("2001:db8::1", 443, family=AF_INET6))
            def lite():
                with socket.socket(AF_INET, SOCK_DGRAM, 136) as sender:
                    sender.settimeout(0.3)
                    sender.connect(("{own}", {port}))
                    sender.send(b"x")
                    return len(sender.recv(10))
            tell("lite", lite)
            def loopback():
                with socket.socket(AF_INET, SOCK_DGRAM) as server:
                    server.bind(("127.0.0.1", 0))
                    with socket.socket(AF_INET, SOCK_DGRAM) as sender:
                        sender.sendto(b"x", server.getsockname())
                    server.settimeout(5)
                    return len(server.recv(10))
            tell("loopback", loopback)
        "#
    )
}

#[test]
fn datagrams_go_nowhere_but_to_the_resolver() {
    let leaks = LeakCheck::begin();
    let own: IpAddr = host_address().unwrap_or_else(|| "127.0.0.1".parse().unwrap());
    let echo = UdpEcho::start_at(own);
    let port = echo.address().port();
    for (bailiwick, options) in everyone_as_anyone() {
        let run = || run_as(&bailiwick, options);
        let probe = datagrams(own, port);
        let everything = (options.is_empty()).then(|| inside(run(), &probe));
        for told in everything
            .into_iter()
            .chain([inside(run().allowing(&["api.test"]), &probe)])
        {
            told.worked("loopback").all_failed_but(
                &["loopback", "lite", "mdns", "llmnr"],
                &["ECONNREFUSED", "EPERM", "EACCES", "gaierror"],
            );
            told.failed(
                "lite",
                &[
                    "EHOSTUNREACH",
                    "ENETUNREACH",
                    "EACCES",
                    "EPROTONOSUPPORT",
                    "ECONNREFUSED",
                    "TIMEOUT",
                    "EPERM",
                ],
            );
            for multicast in ["mdns", "llmnr"] {
                told.failed(
                    multicast,
                    &["ECONNREFUSED", "EPERM", "EACCES", "ENETUNREACH", "TIMEOUT"],
                );
            }
            told.denied("192.0.2.77:443", Reason::Udp)
                .denied("192.0.2.77:123", Reason::Udp);
        }
        assert_eq!(echo.datagrams(), 0, "a datagram got out");
    }
    outside(
        &everyone()[0],
        &format!("tell('host', lambda: datagram('{own}', {port}))"),
    )
    .said("host", "ok 4");
    drop(leaks);
}

#[test]
fn data_sent_with_the_first_packet_goes_no_further_than_the_decision() {
    let (_leaks, server) = (LeakCheck::begin(), HttpServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick
                .run()
                .allowing(&["api.test"])
                .resolve("api.test", server.address()),
            &format!(
                r#"
            def fast(address, port, host):
                signal.alarm(20)
                stream = socket.socket(AF_INET, SOCK_STREAM)
                stream.settimeout(None)
                stream.sendto(f"GET /fast HTTP/1.1\r\nHost: {{host}}\r\n\r\n".encode(), socket.MSG_FASTOPEN, (address, port))
                return stream.recv(100).split(b" ")[1].decode()
            tell("allowed", lambda: fast(socket.gethostbyname("api.test"), {port}, "api.test:{port}"))
            tell("host", lambda: fast("127.0.0.1", {port}, "api.test"))
            tell("literal", lambda: fast("192.0.2.77", {port}, "api.test"))
            def option(level, name, value, target=("192.0.2.77", {port})):
                stream = socket.socket(AF_INET, SOCK_STREAM)
                stream.settimeout(5)
                stream.setsockopt(level, name, value)
                stream.connect(target)
                stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                return stream.recv(100).split(b" ")[1].decode()
            tell("bound to device", lambda: option(socket.SOL_SOCKET, 25, b"lo\0"))
            tell("no such device", lambda: option(socket.SOL_SOCKET, 25, b"eth0\0"))
            tell("mark", lambda: option(socket.SOL_SOCKET, 36, 1))
            tell("transparent", lambda: option(socket.IPPROTO_IP, 19, 1))
            tell("source route", lambda: option(socket.IPPROTO_IP, 4, b"\x83\x07\x04\x7f\x00\x00\x01\x00"))
            tell("dont route", lambda: option(socket.SOL_SOCKET, 5, 1))
            tell("repair", lambda: option(socket.IPPROTO_TCP, 19, 1))
        "#
            ),
        );
        told.said("allowed", "ok 200").all_failed_but(
            &["allowed"],
            &[REFUSED, &["EPERM", "ENODEV", "ENOPROTOOPT"]].concat(),
        );
    }
    assert_eq!(server.requests().len(), everyone().len());
}

#[test]
fn ipv6_is_neither_a_way_around_nor_a_black_hole() {
    let (_leaks, server) = (
        LeakCheck::begin(),
        HttpServer::start_on("::1".parse().unwrap()),
    );
    let port = server.address().port();
    for bailiwick in everyone() {
        let told = inside(
            bailiwick
                .run()
                .allowing(&["six.test"])
                .resolve("six.test", SocketAddr::new("::1".parse().unwrap(), port)),
            &format!(
                r#"
            tell("by name", lambda: http("six.test", {port}))
            tell("loopback", lambda: http("::1", {port}))
            begun = time.monotonic()
            for address in ["2001:db8::1", "2606:4700::1111", "fd00::2", "fe80::1%lo", "::ffff:192.0.2.77", "64:ff9b::c000:24d"]:
                tell(address, lambda: http(address, 443))
            tell("duration", lambda: time.monotonic() - begun < 10)
        "#
            ),
        );
        told.said("by name", "ok 200")
            .said("duration", "ok True")
            .all_failed_but(&["by name", "duration"], REFUSED);
    }
    assert_eq!(server.connections(), everyone().len());
}

#[test]
fn a_protocol_whose_server_speaks_first_is_reached_only_where_the_policy_says() {
    let (_leaks, server) = (LeakCheck::begin(), BannerServer::start());
    let port = server.address().port();
    for bailiwick in everyone() {
        let run = || bailiwick.run().resolve("ssh.test", server.address());
        let probe = format!("tell('banner', lambda: banner('ssh.test', {port}))");
        let before = server.connections();
        inside(run().allowing(&["other.test"]), &probe).failed("banner", REFUSED);
        assert_eq!(server.connections(), before);
        inside(run().allowing(&["ssh.test"]), &probe).said("banner", "ok SSH-2.0-bailiwick_test");
    }
}
