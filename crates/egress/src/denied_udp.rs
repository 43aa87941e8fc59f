//! Datagrams that the sandbox's firewall refused: the kernel logs each (NFLOG), and each becomes a flow.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{Protocol, Reason, Verdict};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::nflog::destinations;
use crate::sandbox::Sandbox;

/// The kernel batches messages up to about a page (NFULNL_NLBUFSIZ_DEFAULT); more is cut off and skipped.
const BATCH_BYTES: usize = 64 * 1024;
/// The pause after the socket failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Records refused datagrams until the sandbox goes away. A burst to one destination makes one flow.
pub(crate) async fn record(sandbox: Arc<Sandbox>, socket: UdpSocket) {
    let mut buffer = vec![0; BATCH_BYTES];
    loop {
        let read = || match recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => Ok(length),
            // Messages were lost because they came too fast; those that follow are as good as those that were lost.
            Err(Errno::NOBUFS) => Ok(0),
            Err(errno) => Err(errno.into()),
        };
        let read = tokio::select! {
            biased;
            () = sandbox.closed.cancelled() => return,
            read = socket.async_io(Interest::READABLE, read) => read,
        };
        let Ok(length) = read else {
            sleep(PAUSE).await;
            continue;
        };
        for original in destinations(&buffer[..length]) {
            let destination = sandbox.destination(original, Protocol::Udp);
            let decision = sandbox.policy().explain(&destination, &sandbox.host());
            let decision = match decision.verdict {
                Verdict::Deny => decision,
                Verdict::Allow => sandbox.denial(&destination, Reason::Udp),
            };
            sandbox.record_denial(destination, decision).await;
        }
        tokio::task::yield_now().await;
    }
}
