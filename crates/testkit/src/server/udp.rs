//! UDP that answers.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::LOOPBACK;

/// How often the thread looks whether it is to end.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Sends every datagram back.
#[derive(Debug)]
pub struct UdpEcho(UdpService);

impl UdpEcho {
    /// On 127.0.0.1.
    pub fn start() -> Self {
        Self::start_at(LOOPBACK)
    }

    /// On any address of this machine.
    pub fn start_at(address: IpAddr) -> Self {
        Self(UdpService::start(SocketAddr::new(address, 0), |datagram| {
            Some(datagram.to_vec())
        }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How many datagrams have reached it.
    pub fn datagrams(&self) -> usize {
        self.0.datagrams.load(Ordering::Relaxed)
    }
}

/// A UDP server with one thread.
#[derive(Debug)]
pub(super) struct UdpService {
    pub(super) address: SocketAddr,
    datagrams: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpService {
    pub(super) fn start(
        address: SocketAddr,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket =
            UdpSocket::bind(address).unwrap_or_else(|e| panic!("cannot bind {address}: {e}"));
        let address = socket.local_addr().expect("it is bound");
        socket.set_read_timeout(Some(TICK)).expect("a timeout");
        let (datagrams, ending) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end) = (Arc::clone(&datagrams), Arc::clone(&ending));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&buffer[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self {
            address,
            datagrams,
            ending,
            thread: Some(thread),
        }
    }
}

impl Drop for UdpService {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
