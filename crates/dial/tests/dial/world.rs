//! Servers, and a dialler with a policy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bailiwick_dial::{DialError, DialOptions, Dialed, Dialer};
use bailiwick_model::{Destination, PolicySource};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, OrganizationFloor, Pins, Policy, SessionGrants,
    normalise_host,
};
use tokio::sync::watch;

/// A server that greets every client.
pub(crate) fn greeter() -> SocketAddr {
    server(|mut stream| drop(stream.write_all(b"hello")))
}

pub(crate) fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

pub(crate) fn policy(policy: EgressPolicy) -> Policy {
    let source = PolicySource::BuiltIn;
    Policy::compile(
        EffectivePolicy { policy, source },
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    )
}

/// Allows `*.test`.
pub(crate) fn tests_allowed() -> EgressPolicy {
    EgressPolicy {
        allowed_hosts: vec!["*.test".parse().unwrap()],
        ..EgressPolicy::limited()
    }
}

pub(crate) fn options(pins: &[String], facts: HostFacts) -> DialOptions {
    let (_, host) = watch::channel(Arc::new(facts));
    let pins: Pins = pins.iter().map(|pin| pin.parse().unwrap()).collect();
    DialOptions {
        pins,
        ..DialOptions::new(host)
    }
}

pub(crate) fn name(text: &str, port: u16) -> Destination {
    Destination::tcp_name(normalise_host(text).unwrap(), port)
}

pub(crate) fn dial(
    options: DialOptions,
    policy: &Policy,
    to: &Destination,
) -> Result<Dialed, DialError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Dialer::new(options).dial(policy, to))
}

/// What the server at the other end says, to its end.
pub(crate) fn heard(
    options: DialOptions,
    policy: &Policy,
    to: &Destination,
) -> Result<String, DialError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let dialed = Dialer::new(options).dial(policy, to).await?;
        Ok::<_, DialError>(dialed.stream.into_std().unwrap())
    })?;
    stream.set_nonblocking(false).unwrap();
    let mut text = String::new();
    (&stream).read_to_string(&mut text).unwrap();
    Ok(text)
}
