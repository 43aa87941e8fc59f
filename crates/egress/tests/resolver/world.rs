//! A sandbox whose sockets are on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::{Attachment, Egress, SandboxLimits, SandboxNetwork, Sockets};
use bailiwick_model::{Flow, PolicySource};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, InForce, OrganizationFloor, Policy, SessionGrants,
};
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::{mpsc, watch};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long is waited for what should not come.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);

pub(crate) struct World {
    pub(crate) relay: SocketAddr,
    pub(crate) udp: [SocketAddr; 2],
    pub(crate) tcp: SocketAddr,
    /// Stands for the kernel's packet log.
    pub(crate) log: UnixDatagram,
    pub(crate) attachment: Attachment,
    flows: mpsc::Receiver<Flow>,
    runtime: tokio::runtime::Runtime,
    _policy: watch::Sender<InForce>,
}

impl World {
    /// A sandbox that may reach `*.allowed.test`.
    pub(crate) fn new(limits: SandboxLimits) -> Self {
        let policy = EgressPolicy {
            allowed_hosts: vec!["*.allowed.test".parse().expect("a pattern")],
            ..EgressPolicy::limited()
        };
        Self::with(policy, limits)
    }

    pub(crate) fn with(policy: EgressPolicy, limits: SandboxLimits) -> Self {
        let source = PolicySource::BuiltIn;
        let policy = Policy::compile(
            EffectivePolicy { policy, source },
            &OrganizationFloor::empty(),
            &SessionGrants::none(),
        );
        // The other kind of runtime than in the relay's tests.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        let (_, facts) = watch::channel(Arc::new(HostFacts::unknown()));
        let (_policy, in_force) = watch::channel(InForce::from(Arc::new(policy)));
        let (sender, flows) = mpsc::channel(100);
        let (tcp, relay) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let (v4, v6) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("[::1]:0").unwrap(),
        );
        let (log, denied_udp) = UnixDatagram::pair().unwrap();
        let (udp, tcp_at) = (
            [v4.local_addr().unwrap(), v6.local_addr().unwrap()],
            tcp.local_addr().unwrap(),
        );
        let relay_at = relay.local_addr().unwrap();
        let sockets = Sockets {
            tcp: relay.into(),
            dns_tcp: tcp.into(),
            dns_udp_v4: v4.into(),
            dns_udp_v6: Some(v6.into()),
            denied_udp: denied_udp.into(),
        };
        let network = SandboxNetwork {
            sandbox: "box".parse().unwrap(),
            environment: None,
            in_force,
            authority: None,
            limits,
            flows: sender,
        };
        let egress = Egress::new(Arc::new(Dialer::new(DialOptions::new(facts))));
        let attachment = egress
            .attach(network, sockets)
            .expect("an attached sandbox");
        Self {
            relay: relay_at,
            udp,
            tcp: tcp_at,
            log,
            attachment,
            flows,
            runtime,
            _policy,
        }
    }

    /// Asks over UDP, IPv4.
    pub(crate) fn ask(&self, name: &str, kind: RecordType) -> Message {
        Message::from_vec(
            &self
                .ask_raw(self.udp[0], &query(name, kind), PATIENCE)
                .expect("an answer"),
        )
        .expect("a message")
    }

    /// The answer, if one comes in time.
    pub(crate) fn ask_raw(
        &self,
        server: SocketAddr,
        bytes: &[u8],
        patience: Duration,
    ) -> Option<Vec<u8>> {
        let local = if server.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        let socket = UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send_to(bytes, server).unwrap();
        let mut answer = [0; 4096];
        let (length, from) = socket.recv_from(&mut answer).ok()?;
        assert_eq!(
            from, server,
            "an answer leaves from the address that was asked"
        );
        Some(answer[..length].to_vec())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the program inside the sandbox"
    )]
    pub(crate) fn connect(&self, to: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The next flow, which must come.
    pub(crate) fn flow(&mut self) -> Flow {
        self.flow_within(PATIENCE).expect("a flow")
    }

    /// Requires that no flow comes.
    #[track_caller]
    pub(crate) fn no_flow(&mut self, because: &str) {
        assert_eq!(self.flow_within(A_WHILE), None, "{because}");
    }

    fn flow_within(&mut self, patience: Duration) -> Option<Flow> {
        self.runtime.block_on(async {
            tokio::time::timeout(patience, self.flows.recv())
                .await
                .ok()
                .flatten()
        })
    }
}

pub(crate) fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 77;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.set_edns(Edns::new());
    message.to_vec().unwrap()
}

/// Asks over an open TCP connection.
pub(crate) fn ask_over(mut stream: &TcpStream, bytes: &[u8]) -> Message {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&length).unwrap();
    stream.write_all(bytes).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}
