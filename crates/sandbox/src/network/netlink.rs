//! Netlink messages (netlink(7)): one buffer of several, sent at once, with one answer.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
    socket_with,
};

/// The kernel answers before send(2) returns; this only keeps a launch from hanging should it ever not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any answer here: an error carries the message that it is about.
const ANSWER_BYTES: usize = 16 * 1024;
/// struct nlmsghdr: length, type, flags, sequence number, port.
const HEADER_BYTES: usize = 16;

/// Several messages in one buffer. The number of a message is its sequence number, and its index in this batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    messages: u32,
    last: usize,
}

impl Batch {
    /// Begins a message of `kind` with the family's own fixed header, and returns its number.
    pub(super) fn message(&mut self, kind: u16, flags: libc::c_int, fixed: &[&[u8]]) -> u32 {
        let number = self.messages;
        self.messages += 1;
        self.last = self.bytes.len();
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        for part in fixed {
            self.bytes.extend_from_slice(part);
        }
        self.close();
        number
    }

    /// Adds an attribute to the message that was begun last.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.open_attribute(kind);
        self.bytes.extend_from_slice(value);
        self.close_attribute(start);
    }

    /// Adds an attribute that is text with a NUL behind it.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        let start = self.open_attribute(kind);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.close_attribute(start);
    }

    /// Adds an attribute that holds what `inner` adds.
    pub(super) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        let start = self.open_attribute(kind | libc::NLA_F_NESTED as u16);
        inner(self);
        self.close_attribute(start);
    }

    fn open_attribute(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&0u16.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    /// An attribute's length does not count the padding behind it, a message's does.
    fn close_attribute(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.close();
    }

    fn close(&mut self) {
        let length = (self.bytes.len() - self.last) as u32;
        self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// The kernel's refusal of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// The number that [`Batch::message`] returned; `None` when the socket itself failed.
    pub(super) message: Option<u32>,
    pub(super) errno: Errno,
}

/// A netlink socket of the calling thread's network namespace.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// `None` is NETLINK_ROUTE, whose number is 0.
    pub(super) fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        Ok(Self(socket))
    }

    /// Sends `batch` and waits until message `awaited`, which must carry NLM_F_ACK, is acknowledged.
    ///
    /// The first refusal of any message ends the wait: refusals come without being asked for.
    pub(super) fn exchange(&self, batch: &Batch, awaited: u32) -> Result<(), Refusal> {
        let failed = |errno| Refusal {
            message: None,
            errno,
        };
        send(&self.0, &batch.bytes, SendFlags::empty()).map_err(failed)?;
        let mut answer = Vec::with_capacity(ANSWER_BYTES);
        loop {
            self.receive(&mut answer).map_err(failed)?;
            for message in messages(&answer) {
                let (kind, number) = (u16_at(message, 4), u32_at(message, 8));
                if i32::from(kind) != libc::NLMSG_ERROR {
                    continue;
                }
                match u32_at(message, HEADER_BYTES).cast_signed() {
                    0 if number == awaited => return Ok(()),
                    0 => {}
                    error => {
                        return Err(Refusal {
                            message: Some(number),
                            errno: Errno::from_raw_os_error(-error),
                        });
                    }
                }
            }
        }
    }

    /// Sends the one request in `batch` and returns the payload of its answer.
    pub(super) fn ask(&self, batch: &Batch) -> Result<Vec<u8>, Errno> {
        send(&self.0, &batch.bytes, SendFlags::empty())?;
        let mut answer = Vec::with_capacity(ANSWER_BYTES);
        self.receive(&mut answer)?;
        let message = messages(&answer).next().ok_or(Errno::BADMSG)?;
        match i32::from(u16_at(message, 4)) {
            libc::NLMSG_ERROR => Err(Errno::from_raw_os_error(
                -u32_at(message, HEADER_BYTES).cast_signed(),
            )),
            _ => Ok(message[HEADER_BYTES..].to_vec()),
        }
    }

    fn receive(&self, answer: &mut Vec<u8>) -> Result<(), Errno> {
        answer.clear();
        recv(&self.0, spare_capacity(answer), RecvFlags::empty())?;
        Ok(())
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The messages in one answer, each with its header; what does not fit ends them.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let length = u32_at(bytes, 0) as usize;
        let message = bytes.get(..length).filter(|m| m.len() >= HEADER_BYTES)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The integer at `offset`, or 0 behind the end.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..offset + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    bytes
        .get(offset..offset + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_ne_bytes)
}
