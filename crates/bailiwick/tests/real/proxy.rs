//! A proxy that asks nobody: whatever is asked of it by CONNECT, it leads to one server.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Listens until the test's process ends.
pub(crate) struct ConnectProxy {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
}

impl ConnectProxy {
    /// On 127.0.0.1: tunnels every CONNECT to `server`.
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), server, accept_connect)
    }

    /// Leads every connection to `server`, whatever it says.
    pub(crate) fn forward(at: SocketAddr, server: SocketAddr) -> Self {
        Self::listen(at, server, |_| Some(()))
    }

    fn listen(at: SocketAddr, server: SocketAddr, accept: fn(&TcpStream) -> Option<()>) -> Self {
        let listener =
            TcpListener::bind(at).unwrap_or_else(|e| panic!("cannot listen on {at}: {e}"));
        let address = listener.local_addr().expect("it is bound");
        let tunnels = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tunnels);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    accept(&client)?;
                    count.fetch_add(1, Ordering::Relaxed);
                    tunnel(client, server)
                });
            }
        });
        Self { address, tunnels }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has tunnelled.
    pub(crate) fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }
}

/// Reads the head of a request; nothing follows it before the answer.
fn accept_connect(client: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(client).lines();
    let request = lines.next()?.ok()?;
    lines
        .find(|line| line.as_ref().map_or(true, String::is_empty))?
        .ok()?;
    if !request.starts_with("CONNECT ") {
        return None;
    }
    let mut client = client;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .ok()
}

fn tunnel(client: TcpStream, server: SocketAddr) -> Option<()> {
    #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
    let server = TcpStream::connect(server).ok()?;
    let (from_client, to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || copy(from_client, to_server));
    copy(server, client);
    Some(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // An error is the end of one side, which ends the other.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
