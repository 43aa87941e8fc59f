//! Pins, host services, literals, and the addresses that nothing opens.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use bailiwick_dial::{DialError, Unreachable};
use bailiwick_model::{Destination, Reason};
use bailiwick_policy::{EgressPolicy, HostFacts};

use crate::world::{dial, greeter, heard, name, options, policy, tests_allowed};

fn refusal(result: Result<impl Sized, DialError>) -> Reason {
    match result.map(drop) {
        Err(DialError::Denied(decision)) => decision.reason,
        Err(error @ (DialError::NameNotFound | DialError::Unreachable(_))) => {
            panic!("not denied: {error}")
        }
        Ok(()) => panic!("not denied"),
    }
}

#[test]
fn a_pinned_name_is_dialled_where_it_was_pinned() {
    let server = greeter();
    let pins = [format!("a.test={server}")];
    let allowed = policy(tests_allowed());
    let to = name("a.test", server.port());
    assert_eq!(
        heard(options(&pins, HostFacts::unknown()), &allowed, &to).unwrap(),
        "hello"
    );
    let dialed = dial(options(&pins, HostFacts::unknown()), &allowed, &to).unwrap();
    assert_eq!(
        (dialed.address, dialed.pinned, dialed.reason),
        (Some(server.ip()), true, Reason::Pinned)
    );
    assert!(dialed.stream.nodelay().unwrap());
}

#[test]
fn a_pin_does_not_replace_the_policy() {
    let server = greeter();
    let pins = [
        format!("a.example={server}"),
        "b.test=169.254.169.254:80".to_owned(),
    ];
    let allowed = policy(tests_allowed());
    let facts = HostFacts::unknown;
    assert_eq!(
        refusal(dial(
            options(&pins, facts()),
            &allowed,
            &name("a.example", server.port())
        )),
        Reason::NoRule
    );
    assert_eq!(
        refusal(dial(options(&pins, facts()), &allowed, &name("b.test", 80))),
        Reason::Floor
    );
    let own = HostFacts {
        listeners: vec![server],
        ..facts()
    };
    let pins = [format!("c.test={server}")];
    assert_eq!(
        refusal(dial(
            options(&pins, own),
            &allowed,
            &name("c.test", server.port())
        )),
        Reason::Floor
    );
}

#[test]
fn one_bad_address_among_good_ones_fails_the_dial() {
    let server = greeter();
    let pins = [
        format!("a.test={server}"),
        format!("a.test=169.254.169.254:{}", server.port()),
    ];
    let result = dial(
        options(&pins, HostFacts::unknown()),
        &policy(tests_allowed()),
        &name("a.test", server.port()),
    );
    assert_eq!(refusal(result), Reason::Floor);
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let server = greeter();
    let pins = [
        format!("a.test=[::1]:{}", server.port()),
        format!("a.test={server}"),
    ];
    let to = name("a.test", server.port());
    assert_eq!(
        heard(
            options(&pins, HostFacts::unknown()),
            &policy(tests_allowed()),
            &to
        )
        .unwrap(),
        "hello"
    );
}

#[test]
fn a_host_service_is_reached_on_loopback_and_only_where_it_is_opened() {
    let server = greeter();
    let open = policy(EgressPolicy {
        host_ports: vec![server.port()],
        ..EgressPolicy::limited()
    });
    let to = name("host.internal", server.port());
    assert_eq!(
        heard(options(&[], HostFacts::unknown()), &open, &to).unwrap(),
        "hello"
    );
    let closed = policy(EgressPolicy::unrestricted());
    assert_eq!(
        refusal(dial(options(&[], HostFacts::unknown()), &closed, &to)),
        Reason::Floor
    );
    let own = HostFacts {
        listeners: vec![server],
        ..HostFacts::unknown()
    };
    assert_eq!(refusal(dial(options(&[], own), &open, &to)), Reason::Floor);
}

#[test]
fn loopback_and_metadata_are_denied_as_literals() {
    let open = policy(EgressPolicy::unrestricted());
    for address in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fd00:ec2::254",
        "224.0.0.1",
    ] {
        let to = Destination::tcp_address(address.parse().unwrap(), 80);
        assert_eq!(
            refusal(dial(options(&[], HostFacts::unknown()), &open, &to)),
            Reason::Floor,
            "{address}"
        );
    }
}

/// An address of this machine besides loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only chooses a source address.
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|local| local.ip())
        .filter(|ip| !ip.is_loopback())
}

#[test]
fn an_address_of_the_host_that_its_facts_do_not_know_is_found_out() {
    let Some(own) = own_address() else {
        eprintln!("skipped: this machine has no address besides loopback");
        return;
    };
    let listener = std::net::TcpListener::bind(SocketAddr::new(own, 0)).unwrap();
    let to = Destination::tcp_address(own, listener.local_addr().unwrap().port());
    let mut open = EgressPolicy::unrestricted();
    open.allowed_cidrs = vec![own.to_string().parse().unwrap()];
    assert_eq!(
        refusal(dial(options(&[], HostFacts::unknown()), &policy(open), &to)),
        Reason::Floor
    );
}

#[test]
fn a_refused_connection_is_unreachable() {
    // Bound, so that nobody else is given the port, and not listened on.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = nobody.local_addr().unwrap();
    let result = dial(
        options(&[format!("a.test={gone}")], HostFacts::unknown()),
        &policy(tests_allowed()),
        &name("a.test", gone.port()),
    );
    assert!(matches!(
        result,
        Err(DialError::Unreachable(Unreachable::Refused))
    ));
}
