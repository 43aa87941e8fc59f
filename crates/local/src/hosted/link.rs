//! A channel in tokio's event loop. Each message goes and comes whole, so that any number of tasks may send at once.

use std::io;
use std::os::fd::BorrowedFd;

use bailiwick_sandbox::channel::{Channel, Encoded, Message};
use bailiwick_sandbox::readiness::register;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(super) struct Link(AsyncFd<Channel>);

impl Link {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(channel: Channel) -> io::Result<Self> {
        register(channel, Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// Waits while the other side has too much that it has not read.
    pub(super) async fn send(
        &self,
        body: &Encoded,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        loop {
            let mut ready = self.0.writable().await?;
            if let Ok(sent) = ready.try_io(|link| link.get_ref().try_send(body, descriptors)) {
                return sent;
            }
        }
    }

    /// The next message; `None` when the other side is gone or has nothing more to say. One task receives.
    pub(super) async fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Message<T>>> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(received) = ready.try_io(|link| link.get_ref().try_receive()) {
                return received;
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&self) {
        // The other side may be gone, which is the same.
        let _ = self.0.get_ref().finish();
    }
}
