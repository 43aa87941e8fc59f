//! Messages with descriptors over a unix socket (unix(7), SOCK_SEQPACKET): between a holder and the init of its sandbox, and
//! between `bailiwick exec` and a holder.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::MemfdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most descriptors in one message (the kernel's own limit, SCM_MAX_FD, is 253).
const DESCRIPTORS: usize = 250;
/// Bodies over this go into a memfd: a message must fit the socket's buffer, and arguments may be megabytes.
const INLINE_BYTES: usize = 32 * 1024;
/// The most bytes of a body: far over ARG_MAX, and a bound on what the other side can make this one read.
const BODY_BYTES: u64 = 16 * 1024 * 1024;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What came.
#[derive(Debug)]
pub struct Message<T> {
    /// What it says.
    pub body: T,
    /// The descriptors that came with it, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends, close-on-exec.
    ///
    /// # Errors
    ///
    /// No descriptors are left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(left), Self(right)))
    }

    /// Takes a connected socket of the right type.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Connects to a listening socket of the file system.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says: ECONNREFUSED where nobody listens any more.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// A listening socket in the file system, not blocking. What it accepts goes to [`Channel::from_socket`].
    ///
    /// # Errors
    ///
    /// Whatever the kernel says.
    pub fn listen(path: &Path) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, 16)?;
        Ok(socket)
    }

    /// Sends one message; blocks while the other side's buffer is full.
    ///
    /// # Errors
    ///
    /// EPIPE where the other side is gone.
    pub fn send<T: Serialize>(&self, body: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(body)?;
        if text.len() <= INLINE_BYTES {
            return self.send_bytes(&[b"i", &text], descriptors);
        }
        let mut file = File::from(rustix::fs::memfd_create(
            "bailiwick-message",
            MemfdFlags::CLOEXEC,
        )?);
        file.write_all(&text)?;
        file.rewind()?;
        let descriptors: Vec<_> = std::iter::once(file.as_fd())
            .chain(descriptors.iter().copied())
            .collect();
        self.send_bytes(&[b"m", b""], &descriptors)
    }

    fn send_bytes(&self, parts: &[&[u8]; 2], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let parts = parts.map(IoSlice::new);
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Waits for one message; `None` when the other side is gone.
    ///
    /// # Errors
    ///
    /// What came was not a message of this type.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Message<T>>> {
        let mut buffer = vec![0; INLINE_BYTES + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut buffer)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let mut descriptors: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    Some(fds)
                } else {
                    None
                }
            })
            .flatten()
            .collect();
        let Some((kind, body)) = buffer[..received.bytes].split_first() else {
            return Ok(None);
        };
        let body = match kind {
            b'i' => serde_json::from_slice(body)?,
            _ if descriptors.is_empty() => return Err(io::Error::from(io::ErrorKind::InvalidData)),
            _ => {
                let mut text = Vec::new();
                File::from(descriptors.remove(0))
                    .take(BODY_BYTES)
                    .read_to_end(&mut text)?;
                serde_json::from_slice(&text)?
            }
        };
        Ok(Some(Message { body, descriptors }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_size_arrives_with_its_descriptors() {
        let (left, right) = Channel::pair().unwrap();
        for length in [0, 10, INLINE_BYTES - 2, INLINE_BYTES, 3 * 1024 * 1024] {
            let body = "x".repeat(length);
            left.send(&body, &[left.as_fd(), right.as_fd()]).unwrap();
            let message: Message<String> = right.receive().unwrap().unwrap();
            assert_eq!((message.body.len(), message.descriptors.len()), (length, 2));
        }
    }

    #[test]
    fn the_end_of_the_other_side_is_not_an_error() {
        let (left, right) = Channel::pair().unwrap();
        drop(left);
        assert!(right.receive::<String>().unwrap().is_none());
    }
}
