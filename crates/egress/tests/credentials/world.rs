//! A relay that has a credential for `server.test`, the server, and a client that trusts the sandbox's authority.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_egress::{Attachment, DormantAuthority, Egress, SandboxLimits, SandboxNetwork};
use bailiwick_model::{Flow, Host, PolicySource, SecretText};
use bailiwick_policy::{
    CredentialHosts, EffectivePolicy, EgressPolicy, HeaderFields, HeaderProjection, HostFacts,
    InForce, OrganizationFloor, Pins, Placeholder, PlaceholderProjection, Policy, Projections,
    SessionGrants, normalise_host,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// The name that stands for the server.
pub(crate) const NAME: &str = "server.test";
/// What the sandbox must never see.
pub(crate) const SECRET: &str = "canary-Zm9vYmFy-secret";
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What stands for the secret.
pub(crate) fn placeholder() -> String {
    Placeholder::of([0x5a; 16]).to_string()
}

/// How to make a world.
pub(crate) struct Plan {
    pub(crate) fields: HeaderFields,
    pub(crate) body: bool,
    pub(crate) headers: Vec<HeaderProjection>,
    /// What the server offers.
    pub(crate) protocols: &'static [&'static str],
    /// The names in the server's certificate.
    pub(crate) certified: Vec<String>,
    /// Whether its authority is trusted.
    pub(crate) trusted: bool,
    /// Days that its certificate is valid from now.
    pub(crate) expired: bool,
    pub(crate) limits: SandboxLimits,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            fields: HeaderFields::All,
            body: true,
            headers: Vec::new(),
            protocols: &["http/1.1"],
            certified: vec![NAME.to_owned()],
            trusted: true,
            expired: false,
            limits: SandboxLimits::default(),
        }
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) relay: SocketAddr,
    pub(crate) port: u16,
    pub(crate) in_force: watch::Sender<InForce>,
    pub(crate) listener: TcpListener,
    pub(crate) acceptor: TlsAcceptor,
    authority: CertificateDer<'static>,
    flows: Mutex<mpsc::Receiver<Flow>>,
    _attachment: Attachment,
    _host: watch::Sender<Arc<HostFacts>>,
}

pub(crate) type Client = client::TlsStream<TcpStream>;
pub(crate) type Server = server::TlsStream<TcpStream>;

impl World {
    /// One with a placeholder in headers and bodies, and a server of HTTP/1.1.
    pub(crate) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let (root, acceptor) = server_side(&plan);
        let (host_facts, facts) = watch::channel(Arc::new(HostFacts::unknown()));
        let pin = format!("{NAME}={}:{}", address.ip(), address.port());
        let options = DialOptions {
            pins: Pins::from_iter([pin.parse().expect("a pin")]),
            ..DialOptions::new(facts)
        };
        let dormant = DormantAuthority::new().expect("an authority");
        let authority = CertificateDer::from(dormant.certificate_der().to_vec());
        let (in_force, received) = watch::channel(in_force(&plan, SECRET));
        let (sender, flows) = mpsc::channel(100);
        let network = SandboxNetwork {
            sandbox: "box".parse().expect("an id"),
            environment: Some("test".parse().expect("a name")),
            in_force: received,
            authority: Some(dormant.wake().expect("its key")),
            limits: plan.limits,
            flows: sender,
        };
        let inside = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let relay = inside.local_addr().expect("its address");
        let mut egress = Egress::new(Arc::new(Dialer::new(options)));
        if plan.trusted {
            egress = egress.trusting(&root).expect("a certificate");
        }
        let host = Host::Name(normalise_host(NAME).expect("a name"));
        let attachment = egress
            .attach_relay(network, inside.into(), (&host, address.port()))
            .expect("a relay");
        Self {
            relay,
            port: address.port(),
            in_force,
            listener,
            acceptor,
            authority,
            flows: Mutex::new(flows),
            _attachment: attachment,
            _host: host_facts,
        }
    }

    /// The server's side of the next connection.
    pub(crate) async fn accept(&self) -> Server {
        let (stream, _) = patient(self.listener.accept()).await.expect("a connection");
        patient(self.acceptor.accept(stream)).await.expect("TLS")
    }

    /// A client that trusts the sandbox's authority, and one side after the other: TLS with it comes about only after TLS with the server.
    pub(crate) async fn both(&self) -> (Client, Server) {
        let (client, server) = tokio::join!(self.connect(NAME, &["http/1.1"]), self.accept());
        (client.expect("TLS with the relay"), server)
    }

    pub(crate) async fn connect(&self, name: &str, protocols: &[&str]) -> io::Result<Client> {
        let stream = TcpStream::connect(self.relay).await?;
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = named(protocols);
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        patient(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// The next flow.
    pub(crate) async fn flow(&self) -> Flow {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Ok(flow) = self.flows.lock().expect("the flows").try_recv() {
                return flow;
            }
            assert!(tokio::time::Instant::now() < deadline, "no flow in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Fails the test instead of hanging it.
pub(crate) async fn patient<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

/// What is in force with this secret behind the placeholder.
pub(crate) fn in_force(plan: &Plan, secret: &str) -> InForce {
    let placeholder = PlaceholderProjection {
        placeholder: placeholder().parse().expect("a placeholder"),
        secret: SecretText::new(secret.to_owned()),
        hosts: CredentialHosts::Limited(vec![NAME.parse().expect("a host")]),
        headers: plan.fields.clone(),
        body: plan.body,
    };
    InForce {
        policy: policy(),
        projections: Arc::new(Projections::new(vec![placeholder], plan.headers.clone())),
    }
}

/// Allows the server.
pub(crate) fn policy() -> Arc<Policy> {
    let policy = EgressPolicy {
        allowed_hosts: vec![NAME.parse().expect("a pattern")],
        ..EgressPolicy::limited()
    };
    let source = PolicySource::OrganizationDefault;
    Arc::new(Policy::compile(
        EffectivePolicy { policy, source },
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    ))
}

fn named(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The authority of the server's certificate, PEM, and the server.
fn server_side(plan: &Plan) -> (String, TlsAcceptor) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().expect("a key");
    let root_certificate = root.self_signed(&root_key).expect("a certificate");
    let issuer = Issuer::new(root, root_key);
    let mut leaf = CertificateParams::new(plan.certified.clone()).expect("names");
    if plan.expired {
        leaf.not_after = date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    config.alpn_protocols = named(plan.protocols);
    (root_certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// Reads a head of HTTP/1.1, with what follows it so far.
pub(crate) async fn read_head(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).expect("text"), rest);
        }
        let mut piece = [0; 4096];
        let length = patient(stream.read(&mut piece)).await.expect("bytes");
        assert!(length > 0, "ended in {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..length]);
    }
}

/// Reads until `end` is the end of what came.
pub(crate) async fn read_until(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    mut bytes: Vec<u8>,
    end: &str,
) -> String {
    while !bytes.ends_with(end.as_bytes()) {
        let mut piece = [0; 4096];
        let length = patient(stream.read(&mut piece)).await.expect("bytes");
        assert!(length > 0, "ended in {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(bytes).expect("text")
}

/// Reads to the end; a connection that is broken off has ended too.
pub(crate) async fn read_all(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = patient(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends all.
pub(crate) async fn send(stream: &mut (impl tokio::io::AsyncWrite + Unpin), text: &str) {
    patient(stream.write_all(text.as_bytes()))
        .await
        .expect("sent");
    patient(stream.flush()).await.expect("sent");
}

/// The bytes of a body in chunks, up to the last one.
pub(crate) fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            break;
        }
        whole.push_str(&rest[..length]);
        text = &rest[length + 2..];
    }
    whole
}
