//! Through an upstream proxy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use bailiwick_dial::{DialError, DialOptions, ProxySettings, ProxyUrl, Unreachable};
use bailiwick_model::{Destination, Reason};
use bailiwick_policy::{EgressPolicy, HostFacts};

use crate::world::{dial, greeter, heard, name, options, policy, server, tests_allowed};

/// A proxy that answers every CONNECT with `answer`, and the requests it saw.
fn proxy(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let (sender, requests) = channel();
    let address = server(move |mut stream: TcpStream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        sender.send(String::from_utf8(head).unwrap()).unwrap();
        for piece in answer.as_bytes().chunks(7) {
            stream.write_all(piece).unwrap();
        }
    });
    (address, requests)
}

fn through(proxy: SocketAddr) -> DialOptions {
    let url = ProxyUrl::parse(&format!("http://me:secret@{proxy}")).unwrap();
    DialOptions {
        proxy: Some(ProxySettings::new(url)),
        ..options(&[], HostFacts::unknown())
    }
}

#[test]
fn a_name_behind_a_proxy_is_unverified_unless_the_proxy_is_trusted() {
    let (address, requests) = proxy("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello");
    let to = name("a.test", 443);
    let refused = dial(through(address), &policy(tests_allowed()), &to);
    assert!(
        matches!(refused, Err(DialError::Denied(decision)) if decision.reason == Reason::UnverifiedAddress)
    );
    assert!(requests.try_recv().is_err(), "the proxy was not even asked");
    let trusting = DialOptions {
        trust_proxy_dns: true,
        ..through(address)
    };
    assert_eq!(
        heard(trusting, &policy(tests_allowed()), &to).unwrap(),
        "hello"
    );
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n"),
        "{request}"
    );
}

#[test]
fn what_the_policy_denies_never_reaches_the_proxy() {
    let (address, requests) = proxy("HTTP/1.1 200 OK\r\n\r\n");
    let trusting = || DialOptions {
        trust_proxy_dns: true,
        ..through(address)
    };
    for to in [
        name("a.example", 443),
        Destination::tcp_address("169.254.169.254".parse().unwrap(), 80),
    ] {
        assert!(
            matches!(
                dial(trusting(), &policy(tests_allowed()), &to),
                Err(DialError::Denied(_))
            ),
            "{to}"
        );
    }
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_literal_goes_through_the_proxy_and_is_known() {
    let (address, requests) = proxy("HTTP/1.0 200 fine\r\n\r\nhello");
    let to = Destination::tcp_address("203.0.113.9".parse().unwrap(), 22);
    let dialed = dial(through(address), &policy(EgressPolicy::unrestricted()), &to).unwrap();
    assert_eq!(dialed.address, Some("203.0.113.9".parse().unwrap()));
    assert!(
        requests
            .recv()
            .unwrap()
            .starts_with("CONNECT 203.0.113.9:22 ")
    );
}

#[test]
fn a_proxy_that_refuses_is_told_apart_from_one_that_talks_nonsense() {
    let trusting = |answer| {
        let (address, _requests) = proxy(answer);
        let options = DialOptions {
            trust_proxy_dns: true,
            ..through(address)
        };
        dial(options, &policy(tests_allowed()), &name("a.test", 443)).map(drop)
    };
    let refused = trusting("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    assert!(matches!(
        refused,
        Err(DialError::Unreachable(Unreachable::ProxyStatus(407)))
    ));
    let nonsense = trusting("SSH-2.0-x\r\n\r\n");
    assert!(matches!(
        nonsense,
        Err(DialError::Unreachable(Unreachable::ProxyProtocol))
    ));
    let silent = trusting("HTTP/1.1 200");
    assert!(matches!(
        silent,
        Err(DialError::Unreachable(Unreachable::ProxyProtocol))
    ));
}

#[test]
fn a_pinned_name_goes_past_the_proxy() {
    let (address, requests) = proxy("HTTP/1.1 200 OK\r\n\r\n");
    let server = greeter();
    let pinned = DialOptions {
        proxy: through(address).proxy,
        ..options(&[format!("a.test={server}")], HostFacts::unknown())
    };
    assert_eq!(
        heard(
            pinned,
            &policy(tests_allowed()),
            &name("a.test", server.port())
        )
        .unwrap(),
        "hello"
    );
    assert!(requests.try_recv().is_err());
}
