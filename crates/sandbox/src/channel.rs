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
use zeroize::Zeroizing;

/// The most descriptors in one message (the kernel's own limit, SCM_MAX_FD, is 253).
const DESCRIPTORS: usize = 250;
/// Bodies over this go into a memfd: a message must fit the socket's buffer, and arguments may be megabytes.
const INLINE_BYTES: usize = 32 * 1024;
/// The most bytes of a body: far over ARG_MAX, and a bound on what the other side can make this one read.
pub const BODY_BYTES: usize = 16 * 1024 * 1024;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A body as it is sent. It may hold secrets, so that it is wiped when it is dropped.
pub struct Encoded(Zeroizing<Vec<u8>>);

/// Why there is no [`Encoded`].
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is larger than [`BODY_BYTES`].
    #[error("a message of {0} bytes is larger than any that is taken")]
    TooLarge(usize),
    /// It cannot be written as JSON.
    #[error(transparent)]
    Unwritable(#[from] serde_json::Error),
}

impl From<EncodeError> for io::Error {
    fn from(error: EncodeError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl Encoded {
    /// Writes a body. Its size is counted first: a buffer that grew would leave copies behind.
    ///
    /// # Errors
    ///
    /// See [`EncodeError`].
    pub fn new<T: Serialize>(body: &T) -> Result<Self, EncodeError> {
        let mut size = Count(0);
        serde_json::to_writer(&mut size, body)?;
        if size.0 > BODY_BYTES {
            return Err(EncodeError::TooLarge(size.0));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(size.0));
        serde_json::to_writer(&mut *text, body)?;
        Ok(Self(text))
    }

    /// The JSON.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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
        self.send_encoded(&Encoded::new(body)?, descriptors, SendFlags::empty())
    }

    /// Sends one message if there is room for it now.
    ///
    /// # Errors
    ///
    /// As for [`Channel::send`]; `WouldBlock`.
    pub fn try_send(&self, body: &Encoded, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_encoded(body, descriptors, SendFlags::DONTWAIT)
    }

    fn send_encoded(
        &self,
        body: &Encoded,
        descriptors: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> io::Result<()> {
        let text = &*body.0;
        if text.len() <= INLINE_BYTES {
            return self.send_bytes(&[b"i", text], descriptors, flags);
        }
        let mut file = File::from(rustix::fs::memfd_create(
            "bailiwick-message",
            MemfdFlags::CLOEXEC,
        )?);
        file.write_all(text)?;
        file.rewind()?;
        let descriptors: Vec<_> = std::iter::once(file.as_fd())
            .chain(descriptors.iter().copied())
            .collect();
        self.send_bytes(&[b"m", b""], &descriptors, flags)
    }

    fn send_bytes(
        &self,
        parts: &[&[u8]; 2],
        descriptors: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let parts = parts.map(IoSlice::new);
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &parts, &mut ancillary, flags | SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Waits for one message; `None` when the other side is gone.
    ///
    /// # Errors
    ///
    /// What came was not a message of this type.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Message<T>>> {
        self.receive_with(RecvFlags::empty())
    }

    /// Takes one message if one is there.
    ///
    /// # Errors
    ///
    /// As for [`Channel::receive`]; `WouldBlock`.
    pub fn try_receive<T: DeserializeOwned>(&self) -> io::Result<Option<Message<T>>> {
        self.receive_with(RecvFlags::DONTWAIT)
    }

    /// Says that nothing more will be sent: the other side sees the end after what it has not read yet.
    ///
    /// # Errors
    ///
    /// ENOTCONN where the other side is gone.
    pub fn finish(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(
            &self.0,
            rustix::net::Shutdown::Write,
        )?)
    }

    fn receive_with<T: DeserializeOwned>(
        &self,
        flags: RecvFlags,
    ) -> io::Result<Option<Message<T>>> {
        let mut buffer = Zeroizing::new(vec![0; INLINE_BYTES + 1]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut buffer)],
                &mut ancillary,
                flags | RecvFlags::CMSG_CLOEXEC,
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
                let file = File::from(descriptors.remove(0));
                let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
                let mut text = Zeroizing::new(Vec::with_capacity(size.min(BODY_BYTES) + 1));
                file.take(BODY_BYTES as u64).read_to_end(&mut text)?;
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
    fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
        assert!(Encoded::new(&"x".repeat(BODY_BYTES - 2)).is_ok());
        let refused = Encoded::new(&"x".repeat(BODY_BYTES));
        assert!(matches!(refused, Err(EncodeError::TooLarge(_))));
    }

    #[test]
    fn a_full_channel_takes_nothing_and_does_not_wait() {
        let (left, right) = Channel::pair().unwrap();
        let body = Encoded::new(&"x".repeat(INLINE_BYTES / 2)).unwrap();
        let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        assert!(would_block(&right.try_receive::<String>().unwrap_err()));
        let full = loop {
            if let Err(error) = left.try_send(&body, &[]) {
                break error;
            }
        };
        assert!(would_block(&full), "{full}");
        left.finish().unwrap();
        while right.receive::<String>().unwrap().is_some() {}
    }

    #[test]
    fn the_end_of_the_other_side_is_not_an_error() {
        let (left, right) = Channel::pair().unwrap();
        drop(left);
        assert!(right.receive::<String>().unwrap().is_none());
    }
}
