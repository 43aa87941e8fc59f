//! Connections that are older than the rules: made before anybody served them, or allowed by a rule that is gone.
//!
//! One `bailiwick run` has one policy, so these are about the parts that it is made of.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::{Attachment, Egress, SandboxLimits, SandboxNetwork};
use bailiwick_model::{Flow, FlowNote, Host, PolicySource, Reason};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, InForce, OrganizationFloor, Pins, Policy,
    SessionGrants, normalise_host,
};
use bailiwick_testkit::BannerServer;
use tokio::sync::{mpsc, watch};

use crate::support::connect;

const PATIENCE: Duration = Duration::from_secs(60);

fn allowing(hosts: &[&str]) -> Arc<Policy> {
    let allowed_hosts = hosts
        .iter()
        .map(|host| host.parse().expect("a pattern"))
        .collect();
    let policy = EgressPolicy {
        allowed_hosts,
        ..EgressPolicy::limited()
    };
    let effective = EffectivePolicy {
        policy,
        source: PolicySource::BuiltIn,
    };
    Arc::new(Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    ))
}

/// A relay on loopback, to which every connection is for `server.test`.
struct Relay {
    policy: watch::Sender<InForce>,
    flows: mpsc::Receiver<Flow>,
    runtime: tokio::runtime::Runtime,
    _host: watch::Sender<Arc<HostFacts>>,
    _attachment: Attachment,
}

impl Relay {
    fn serve(listener: TcpListener, server: SocketAddr, policy: Arc<Policy>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        let (host_facts, facts) = watch::channel(Arc::new(HostFacts::unknown()));
        let pin = format!("server.test={server}").parse().expect("a pin");
        let options = DialOptions {
            pins: Pins::from_iter([pin]),
            ..DialOptions::new(facts)
        };
        let (policy, in_force) = watch::channel(InForce::from(policy));
        let (sender, flows) = mpsc::channel(100);
        let sandbox = "box".parse().expect("an id");
        let network = SandboxNetwork {
            sandbox,
            environment: None,
            in_force,
            authority: None,
            limits: SandboxLimits::default(),
            flows: sender,
        };
        let host = Host::Name(normalise_host("server.test").expect("a name"));
        let attachment = Egress::new(Arc::new(Dialer::new(options)))
            .attach_relay(network, listener.into(), (&host, server.port()))
            .expect("a relay");
        Self {
            policy,
            flows,
            runtime,
            _host: host_facts,
            _attachment: attachment,
        }
    }

    fn flow(&mut self) -> Flow {
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.flows.recv()).await })
            .expect("in time")
            .expect("a flow")
    }
}

/// True if the connection is cut, not only silent.
fn is_cut(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 100];
    match stream.read(&mut buffer) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn a_connection_made_before_the_policy_is_decided_by_it() {
    let server = BannerServer::start();
    for (hosts, reason) in [
        (&["other.test"] as &[&str], Reason::NoRule),
        (&["server.test"], Reason::Pinned),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut early = connect(listener.local_addr().unwrap());
        early.write_all(b"secret").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let before = server.connections();
        let mut relay = Relay::serve(listener, server.address(), allowing(hosts));
        if reason == Reason::NoRule {
            assert!(is_cut(&mut early));
            assert_eq!(server.connections(), before);
        } else {
            assert!(!is_cut(&mut early), "control");
            drop(early);
        }
        assert_eq!(relay.flow().reason, reason);
    }
}

#[test]
fn a_flow_does_not_outlive_the_rule_that_allowed_it() {
    let server = BannerServer::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut relay = Relay::serve(listener, server.address(), allowing(&["server.test"]));
    let mut streams: Vec<_> = (0..3).map(|_| connect(address)).collect();
    for stream in &mut streams {
        assert!(!is_cut(stream), "the banner");
    }
    relay
        .policy
        .send(allowing(&["server.test", "other.test"]).into())
        .unwrap();
    for stream in &mut streams {
        stream.write_all(b"x").unwrap();
        assert!(!is_cut(stream), "control: a rule that stays keeps it open");
    }
    let begun = Instant::now();
    relay.policy.send(allowing(&["other.test"]).into()).unwrap();
    assert!(streams.iter_mut().all(is_cut));
    assert!(begun.elapsed() < Duration::from_secs(1));
    let flow = relay.flow();
    assert_eq!(
        (flow.reason, flow.notes.as_slice()),
        (Reason::NoRule, [FlowNote::CutByPolicy].as_slice())
    );
    assert!(is_cut(&mut connect(address)), "a new one is refused");
}
