//! One sandbox whose only socket is on loopback, a server that its policy may name, and the flows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::{Attachment, Egress, SandboxLimits, SandboxNetwork};
use bailiwick_model::{EnvironmentName, Flow, Host, PolicySource};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, InForce, OrganizationFloor, Pins, Policy,
    SessionGrants, normalise_host,
};
use tokio::sync::{mpsc, watch};

/// The name that stands for the test's server.
pub(crate) const NAME: &str = "server.test";
const PATIENCE: Duration = Duration::from_secs(20);

/// `server.test`, as a destination.
pub(crate) fn name() -> Host {
    Host::Name(normalise_host(NAME).expect("a name"))
}

/// A relay, and everything that decides for it.
pub(crate) struct World {
    pub(crate) relay: SocketAddr,
    port: u16,
    pub(crate) policy: watch::Sender<InForce>,
    pub(crate) flows: mpsc::Receiver<Flow>,
    pub(crate) attachment: Option<Attachment>,
    runtime: tokio::runtime::Runtime,
    _host: watch::Sender<Arc<HostFacts>>,
}

/// A policy that allows exactly these hosts.
pub(crate) fn allowing(hosts: &[&str]) -> Arc<Policy> {
    let policy = EgressPolicy {
        allowed_hosts: hosts
            .iter()
            .map(|host| host.parse().expect("a host pattern"))
            .collect(),
        ..EgressPolicy::limited()
    };
    compile(policy)
}

pub(crate) fn compile(policy: EgressPolicy) -> Arc<Policy> {
    let source = PolicySource::Environment(environment());
    Arc::new(Policy::compile(
        EffectivePolicy { policy, source },
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    ))
}

fn environment() -> EnvironmentName {
    "test".parse().expect("a name")
}

impl World {
    /// Connections to the relay are for `server.test` and the port of `server`, which the policy allows.
    pub(crate) fn for_server(server: SocketAddr) -> Self {
        Self::new(
            server,
            allowing(&[NAME]),
            SandboxLimits::default(),
            (name(), server.port()),
        )
    }

    pub(crate) fn new(
        server: SocketAddr,
        policy: Arc<Policy>,
        limits: SandboxLimits,
        (host, port): (Host, u16),
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        let (host_facts, facts) = watch::channel(Arc::new(HostFacts::unknown()));
        let pin = format!("{NAME}={}:{}", server.ip(), server.port())
            .parse()
            .expect("a pin");
        let options = DialOptions {
            pins: Pins::from_iter([pin]),
            ..DialOptions::new(facts)
        };
        let (policy, policy_in_force) = watch::channel(InForce::from(policy));
        let (sender, flows) = mpsc::channel(100);
        let network = SandboxNetwork {
            sandbox: "box".parse().expect("an id"),
            environment: Some(environment()),
            in_force: policy_in_force,
            authority: None,
            limits,
            flows: sender,
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let relay = listener.local_addr().expect("its address");
        let egress = Egress::new(Arc::new(Dialer::new(options)));
        let attachment = egress
            .attach_relay(network, listener.into(), (&host, port))
            .expect("a relay");
        Self {
            relay,
            port,
            policy,
            flows,
            attachment: Some(attachment),
            runtime,
            _host: host_facts,
        }
    }

    /// A new connection from inside.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.relay)
    }

    /// The port that connections are meant for.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The next flow.
    pub(crate) fn flow(&mut self) -> Flow {
        let flow = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.flows.recv()).await });
        flow.expect("a flow in time").expect("a flow")
    }

    /// Ends the sandbox; true if all its flows were handed over.
    pub(crate) fn shutdown(&mut self) -> bool {
        let attachment = self.attachment.take().expect("not yet ended");
        self.runtime.block_on(attachment.shutdown(PATIENCE))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the program inside the sandbox"
)]
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// A server that serves each connection with `serve`, in a thread of its own.
pub(crate) fn server(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Sends back what it gets.
pub(crate) fn echo() -> SocketAddr {
    server(|mut stream| {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

/// Everything up to the end of the stream, or to the reset.
pub(crate) fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..length]);
    }
    all
}

/// Does something that must not take longer than the relay waits, again if the machine was too busy for that.
pub(crate) fn in_time<T>(grace: Duration, mut act: impl FnMut() -> T) -> T {
    for _ in 0..100 {
        let begun = Instant::now();
        let done = act();
        if begun.elapsed() < grace / 2 {
            return done;
        }
    }
    panic!("not once in {grace:?}");
}

/// The shortest of several times that something took. A busy machine makes one take long; what is held back takes long each time.
pub(crate) fn quickest(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..8).map(|_| measure()).min().expect("eight times")
}

/// Exactly `length` bytes.
pub(crate) fn read_exact(mut stream: &TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("as many bytes");
    bytes
}
