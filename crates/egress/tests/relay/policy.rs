//! What the policy denies, and what a new policy ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bailiwick_egress::SandboxLimits;
use bailiwick_model::limits::{DENIED_GRACE, UNDECIDED_GRACE};
use bailiwick_model::{FlowNote, Host, Reason, Verdict};
use tokio::net::TcpSocket;

use crate::world::{
    NAME, World, allowing, connect, echo, in_time, name, quickest, read_all, read_exact,
};

/// Whether it is reset, and not only silent for as long as a read waits.
fn is_reset(stream: &mut TcpStream) -> bool {
    let read = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    read == Err(ErrorKind::ConnectionReset)
}

fn to(destination: &str, hosts: &[&str]) -> World {
    let destination: SocketAddr = destination.parse().unwrap();
    let host = Host::Address(destination.ip().to_canonical());
    World::new(
        echo(),
        allowing(hosts),
        SandboxLimits::default(),
        (host, destination.port()),
    )
}

/// A connection to a denied destination whose first bytes come while the relay waits for them.
fn asking(destination: &str, first: &[u8]) -> (World, TcpStream) {
    in_time(DENIED_GRACE, || {
        let world = to(destination, &[NAME]);
        let mut client = world.connect();
        client.write_all(first).unwrap();
        (world, client)
    })
}

#[test]
fn a_denied_address_is_told_to_http_in_json() {
    let (mut world, client) = asking("203.0.113.7:80", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = String::from_utf8(read_all(&client)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["verdict"], "deny");
    assert_eq!(body["reason"], "no_rule");
    assert_eq!(body["destination"], "203.0.113.7:80");
    assert_eq!(body["environment"], "test");
    assert!(body["hint"].is_string());
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (Verdict::Deny, Reason::NoRule));
    assert_eq!((flow.bytes_out, flow.bytes_in), (0, 0));
}

#[test]
fn a_denied_address_is_told_to_tls_with_an_alert() {
    let (_world, client) = asking("203.0.113.7:443", &[22, 3, 1, 0, 100, 1]);
    assert_eq!(read_all(&client), [21, 3, 3, 0, 2, 2, 49]);
}

#[test]
fn a_denied_address_never_hangs() {
    let world = to("169.254.169.254:80", &[NAME]);
    let took = quickest(|| {
        let begun = Instant::now();
        assert!(
            is_reset(&mut world.connect()),
            "without a byte from the client"
        );
        let mut talker = world.connect();
        talker.write_all(b"PING\r\n").unwrap();
        assert!(is_reset(&mut talker));
        begun.elapsed()
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn metadata_loopback_and_private_addresses_are_denied_and_say_why() {
    for (original, reason) in [
        ("169.254.169.254:80", Reason::Floor),
        ("127.0.0.1:80", Reason::Floor),
        ("10.0.0.1:80", Reason::PrivateAddress),
        ("198.18.1.77:80", Reason::PrivateAddress),
        ("[::ffff:127.0.0.1]:80", Reason::Floor),
    ] {
        let mut world = to(original, &[NAME]);
        drop(world.connect());
        assert_eq!(world.flow().reason, reason, "{original}");
    }
}

#[test]
fn a_port_that_the_rule_does_not_name_is_denied() {
    let mut world = World::new(
        echo(),
        allowing(&["server.test:443"]),
        SandboxLimits::default(),
        (name(), 8443),
    );
    drop(world.connect());
    assert_eq!(world.flow().reason, Reason::NoRule);
}

#[test]
fn an_allowed_name_that_nobody_serves_is_unreachable_at_once() {
    // Bound, so that nobody else is given the port, and not listened on.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    let (mut world, client) = in_time(UNDECIDED_GRACE, || {
        let world = World::for_server(address);
        let mut client = world.connect();
        let request = b"GET / HTTP/1.1\r\nHost: server.test\r\n\r\n";
        client.write_all(request).unwrap();
        (world, client)
    });
    assert!(read_all(&client).starts_with(b"HTTP/1.1 502 "));
    assert_eq!(world.flow().reason, Reason::Unreachable);
}

/// Fifty connections, each with a line there and back.
fn used() -> (World, Vec<TcpStream>) {
    let world = World::for_server(echo());
    let mut clients: Vec<_> = (0..50).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.write_all(b"PING\r\n").unwrap();
        read_exact(client, 6);
    }
    (world, clients)
}

#[test]
fn a_tightened_policy_resets_what_it_denies() {
    let (mut world, mut clients) = used();
    world
        .policy
        .send(allowing(&[NAME, "other.test"]).into())
        .unwrap();
    for client in &mut clients {
        client.write_all(b"PING\r\n").unwrap();
        assert_eq!(
            read_exact(client, 6),
            b"PING\r\n",
            "a policy that still allows it cuts nothing"
        );
    }
    world.policy.send(allowing(&["other.test"]).into()).unwrap();
    for client in &mut clients {
        assert!(is_reset(client));
    }
    for _ in 0..50 {
        let flow = world.flow();
        assert_eq!(
            (flow.reason, flow.notes.as_slice()),
            (Reason::NoRule, &[FlowNote::CutByPolicy][..])
        );
        assert_eq!(flow.bytes_in, 12);
    }
    drop(world.connect());
    assert_eq!(
        world.flow().notes,
        [],
        "what comes later is an ordinary denial"
    );
}

#[test]
fn a_tightened_policy_resets_at_once() {
    let took = quickest(|| {
        let (world, mut clients) = used();
        let begun = Instant::now();
        world.policy.send(allowing(&["other.test"]).into()).unwrap();
        assert!(clients.iter_mut().all(is_reset));
        begun.elapsed()
    });
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[test]
fn connections_beyond_the_limit_are_reset_and_make_one_flow() {
    let echo = echo();
    let limits = SandboxLimits {
        connections: 3,
        ..SandboxLimits::default()
    };
    let mut world = World::new(echo, allowing(&[NAME]), limits, (name(), echo.port()));
    let mut open: Vec<_> = (0..3).map(|_| world.connect()).collect();
    for client in &mut open {
        client.write_all(b"PING\r\n").unwrap();
        read_exact(client, 6);
    }
    for _ in 0..5 {
        assert!(world.connect().read(&mut [0; 1]).is_err());
    }
    assert_eq!(world.flow().reason, Reason::ConnectionLimit);
    open.pop();
    assert_eq!(
        world.flow().reason,
        Reason::Pinned,
        "the burst made one flow; this is the closed connection"
    );
    let mut again = connect(world.relay);
    again.write_all(b"PING\r\n").unwrap();
    assert_eq!(
        read_exact(&again, 6),
        b"PING\r\n",
        "a place that became free is used"
    );
}

#[test]
fn a_shutdown_hands_over_every_flow_and_serves_no_more() {
    let mut world = World::for_server(echo());
    let mut clients: Vec<_> = (0..20).map(|_| world.connect()).collect();
    for client in &mut clients {
        client.write_all(b"PING\r\n").unwrap();
        read_exact(client, 6);
    }
    assert!(world.shutdown());
    for client in &mut clients {
        assert!(client.read(&mut [0; 1]).is_err());
    }
    for _ in 0..20 {
        assert_eq!(world.flow().bytes_out, 6);
    }
}
