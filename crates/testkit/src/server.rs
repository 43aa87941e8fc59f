//! Servers on loopback.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) mod banner;
pub(crate) mod confluence;
pub(crate) mod dns;
pub(crate) mod files;
pub(crate) mod git;
pub(crate) mod github;
pub(crate) mod http;
pub(crate) mod https;
pub(crate) mod identity_provider;
pub(crate) mod mcp;
pub(crate) mod model;
pub(crate) mod otlp;
pub(crate) mod port;
pub(crate) mod postgres;
pub(crate) mod registry;
pub(crate) mod stand_in;
pub(crate) mod udp;

/// Where servers listen unless a test says otherwise.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a silent peer is waited for, and how long the end of a server may take.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// A TCP server whose connections are threads.
#[derive(Debug)]
pub(crate) struct TcpService {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TcpService {
    pub(crate) fn start(
        address: SocketAddr,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        raise_descriptor_limit();
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|e| panic!("cannot listen on {address}: {e}"));
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a flag");
        let (connections, ending) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end) = (Arc::clone(&connections), Arc::clone(&ending));
        let serve = Arc::new(serve);
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        stream.set_nonblocking(false).expect("a flag");
                        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                        let serve = Arc::clone(&serve);
                        std::thread::spawn(move || serve(stream));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(PAUSE);
                    }
                    // A client that has gone again is no reason to stop serving.
                    Err(_) => {}
                }
            }
        });
        Self {
            address,
            connections,
            ending,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for TcpService {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A server may have to hold more connections than the soft limit of a login shell; the hard limit is not touched.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).expect("the soft limit can be raised to the hard one");
}
