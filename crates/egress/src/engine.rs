//! The engine of one process, and the sandboxes attached to it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_dial::Dialer;
use bailiwick_model::Host;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

use crate::intercept::UpstreamTls;
use crate::relay::{self, Pipes, SecondThread};
use crate::sandbox::{Counters, Sandbox, SandboxNetwork};
use crate::sockets::{OriginalDestination, Sockets};
use crate::{denied_udp, dns};

/// The network side of every sandbox of one process. Works on a current-thread and on a multi-thread tokio runtime.
#[derive(Clone)]
pub struct Egress {
    dialer: Arc<Dialer>,
    pipes: Arc<Pipes>,
    second_thread: Arc<SecondThread>,
    upstream_tls: Arc<UpstreamTls>,
}

impl Egress {
    /// An engine that reaches the network through `dialer`.
    pub fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            pipes: Arc::new(Pipes::default()),
            second_thread: Arc::new(SecondThread::Never),
            upstream_tls: Arc::default(),
        }
    }

    /// Starts a second thread when a sandbox has many connections. For a process whose runtime has one thread, and which launches no
    /// further sandbox: a launch needs that it has no other.
    #[must_use]
    pub fn with_second_thread(self) -> Self {
        Self {
            second_thread: Arc::new(SecondThread::WhenNeeded(OnceLock::new())),
            ..self
        }
    }

    /// Also trusts servers whose certificates come from these authorities, PEM. (Only where a sandbox has credentials for a server is it
    /// verified here, and by nobody else.)
    ///
    /// # Errors
    ///
    /// If the text is not PEM.
    pub fn trusting(self, authorities: &str) -> Result<Self, pem::Error> {
        let added = CertificateDer::pem_slice_iter(authorities.as_bytes());
        let added = added.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            upstream_tls: Arc::new(UpstreamTls::trusting(added)),
            ..self
        })
    }

    /// Serves a sandbox through the sockets of its namespace. Must be called inside a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// If a socket cannot be made non-blocking or registered with the runtime; nothing is served then.
    pub fn attach(&self, network: SandboxNetwork, sockets: Sockets) -> io::Result<Attachment> {
        let relay = listener(sockets.tcp)?;
        let dns_tcp = listener(sockets.dns_tcp)?;
        let dns_udp_v4 = datagrams(sockets.dns_udp_v4)?;
        let dns_udp_v6 = sockets.dns_udp_v6.map(datagrams).transpose()?;
        // tokio has no type for netlink sockets; it only has to say when something can be read.
        let denied_udp = datagrams(sockets.denied_udp)?;
        let attachment = Attachment::of(self.sandbox(network));
        let sandbox = &attachment.sandbox;
        sandbox.tasks.spawn(relay::accept(sandbox.clone(), relay));
        sandbox
            .tasks
            .spawn(dns::serve_tcp(sandbox.clone(), dns_tcp));
        for socket in [Some(dns_udp_v4), dns_udp_v6].into_iter().flatten() {
            sandbox.tasks.spawn(dns::serve_udp(sandbox.clone(), socket));
        }
        sandbox
            .tasks
            .spawn(denied_udp::record(sandbox.clone(), denied_udp));
        Ok(attachment)
    }

    /// Serves one listening socket as if every connection to it had been made to `host`. For benchmarks and tests on plain
    /// loopback; the policy decides all the same.
    ///
    /// # Errors
    ///
    /// As [`Self::attach`], and if the sandbox may have no names.
    pub fn attach_relay(
        &self,
        network: SandboxNetwork,
        socket: OwnedFd,
        (host, port): (&Host, u16),
    ) -> io::Result<Attachment> {
        let relay = listener(socket)?;
        let mut sandbox = self.sandbox(network);
        let address = match host {
            Host::Name(name) => sandbox.address_of(name).map_err(io::Error::other)?.into(),
            Host::Address(address) => *address,
        };
        sandbox.original = OriginalDestination::Fixed(SocketAddr::new(address, port));
        let attachment = Attachment::of(sandbox);
        let sandbox = &attachment.sandbox;
        sandbox.tasks.spawn(relay::accept(sandbox.clone(), relay));
        Ok(attachment)
    }

    fn sandbox(&self, network: SandboxNetwork) -> Sandbox {
        Sandbox::new(
            network,
            self.dialer.clone(),
            self.pipes.clone(),
            self.second_thread.clone(),
            self.upstream_tls.clone(),
        )
    }
}

/// A sandbox that is being served. Dropping it ends everything of it: open connections are reset, and nothing is accepted
/// any more.
#[must_use = "dropping it ends the sandbox's network"]
pub struct Attachment {
    sandbox: Arc<Sandbox>,
}

impl Attachment {
    fn of(sandbox: Sandbox) -> Self {
        let sandbox = Arc::new(sandbox);
        sandbox.tasks.spawn(relay::enforce_policy(sandbox.clone()));
        Self { sandbox }
    }

    /// Ends everything, and waits until the last flows are handed over; at most until `deadline` has passed.
    ///
    /// Says whether all of them were. The flows' receiver must be read meanwhile.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        self.end();
        timeout(deadline, self.sandbox.tasks.wait()).await.is_ok()
    }

    /// What the sandbox did so far.
    pub fn counters(&self) -> Counters {
        self.sandbox.counters()
    }

    fn end(&self) {
        self.sandbox.closed.cancel();
        self.sandbox.live.close();
        self.sandbox.tasks.close();
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.end();
    }
}

fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn datagrams(socket: OwnedFd) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
