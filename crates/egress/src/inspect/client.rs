//! The bytes of one client on their way to the server that a name stands for.

use bailiwick_model::{HostName, Reason};

use super::agreement::same_name;
use super::client_hello::{self, ClientHello, MalformedHello};
use super::first_bytes::{FirstBytes, classify};
use super::http::{RequestGuard, RequestViolation};

/// Why the client's bytes may not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// TLS for another server.
    #[error("TLS asks for the server {0:?}, but the connection was made to another name")]
    ServerName(String),
    /// TLS that cannot be understood.
    #[error(transparent)]
    Hello(#[from] MalformedHello),
    /// HTTP for another host, or HTTP that cannot be understood.
    #[error(transparent)]
    Request(#[from] RequestViolation),
}

impl Violation {
    /// The reason code of the denial.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::ServerName(_) | Self::Hello(_) => Reason::SniMismatch,
            Self::Request(_) => Reason::HostMismatch,
        }
    }

    /// True when the client speaks TLS, so that it is told with an alert.
    pub(crate) fn is_tls(&self) -> bool {
        match self {
            Self::ServerName(_) | Self::Hello(_) => true,
            Self::Request(_) => false,
        }
    }
}

#[derive(Debug)]
enum State {
    /// Nothing is known yet.
    First,
    /// A ClientHello is expected at `parsed`.
    Hello,
    /// A hello was let through. The next record may hold a second one, after a HelloRetryRequest (RFC 8446 section 4.1.4).
    AfterHello,
    Http(RequestGuard),
    Opaque,
}

/// Holds bytes back until they are known to be meant for the name.
#[derive(Debug)]
pub(crate) struct ClientGuard {
    name: HostName,
    port: u16,
    state: State,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that went to the server.
    forwarded: usize,
    /// Bytes of `buffer` that may go to the server.
    approved: usize,
    /// Bytes of `buffer` that `state` is done with; behind `approved` after [`Self::release_harmless`].
    parsed: usize,
    no_server_name: bool,
    /// The length of `buffer` when [`Self::release_harmless`] was last asked.
    settled: usize,
}

impl ClientGuard {
    pub(crate) fn new(name: HostName, port: u16) -> Self {
        Self {
            name,
            port,
            state: State::First,
            buffer: Vec::new(),
            forwarded: 0,
            approved: 0,
            parsed: 0,
            no_server_name: false,
            settled: 0,
        }
    }

    /// Takes what the client sent.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.buffer.extend_from_slice(bytes);
        self.advance()
    }

    /// What may go to the server now.
    pub(crate) fn ready(&self) -> &[u8] {
        &self.buffer[self.forwarded..self.approved]
    }

    /// Says that `count` bytes of [`Self::ready`] went out.
    pub(crate) fn forwarded(&mut self, count: usize) {
        self.forwarded += count;
        let done = self.forwarded.min(self.parsed);
        if done == self.buffer.len() {
            self.buffer.clear();
            (self.forwarded, self.approved, self.parsed) = (0, 0, 0);
        } else if done >= self.buffer.len() / 2 {
            self.buffer.drain(..done);
            self.forwarded -= done;
            self.approved -= done;
            self.parsed -= done;
        }
    }

    /// True when everything from here on goes unseen, [`Self::ready`] first.
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self.state, State::Opaque)
    }

    /// True when a TLS hello named no server.
    pub(crate) fn no_server_name(&self) -> bool {
        self.no_server_name
    }

    /// True when bytes are held back that may be text of a protocol without lines, whose server may be waiting for them.
    pub(crate) fn holds_text(&self) -> bool {
        let held = self.approved < self.buffer.len() && self.settled < self.buffer.len();
        matches!(self.state, State::First) && held
    }

    /// Lets those bytes through that do not complete a request line whatever follows, so that a client which waits for an
    /// answer to a word without a line end gets one. The bytes stay known: what follows is judged together with them.
    pub(crate) fn release_harmless(&mut self) {
        self.settled = self.buffer.len();
        if let (State::First, FirstBytes::Undecided { harmless }) =
            (&self.state, classify(&self.buffer))
        {
            self.approved = self.approved.max(harmless);
        }
    }

    /// The client sends nothing more. What it sent is judged as if its last line had ended, since a server may do so.
    pub(crate) fn finish(&mut self) -> Result<(), Violation> {
        if let State::First = self.state {
            match classify(&[&self.buffer[..], b"\n"].concat()) {
                FirstBytes::Http | FirstBytes::SimpleHttp => {
                    return Err(RequestViolation::Head.into());
                }
                FirstBytes::Opaque => self.become_opaque(),
                FirstBytes::Undecided { .. } | FirstBytes::Tls => self.release_harmless(),
            }
        }
        Ok(())
    }

    /// Forgets what may never go on: the client has ended in the middle of something. What may go on still does.
    pub(crate) fn abandon(&mut self) {
        self.buffer.truncate(self.approved);
        self.parsed = self.approved;
        self.state = State::Opaque;
    }

    /// How many bytes are kept, of which the client sent more than the server got.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// True when bytes that the client sent so far must wait for the server's answer.
    pub(crate) fn awaits_switch(&self) -> bool {
        matches!(&self.state, State::Http(guard) if guard.awaits_switch())
    }

    /// The server answered the request for a WebSocket.
    pub(crate) fn answered(&mut self, switched: bool) -> Result<(), Violation> {
        if let State::Http(guard) = &mut self.state {
            if switched {
                self.become_opaque();
            } else {
                guard.not_switched();
            }
        }
        self.advance()
    }

    /// True when the client speaks HTTP, and this many of its requests went through.
    pub(crate) fn requests(&self) -> Option<u64> {
        match &self.state {
            State::Http(guard) => Some(guard.requests()),
            State::First | State::Hello | State::AfterHello | State::Opaque => None,
        }
    }

    fn become_opaque(&mut self) {
        self.state = State::Opaque;
        self.parsed = self.buffer.len();
        self.approved = self.parsed;
    }

    fn advance(&mut self) -> Result<(), Violation> {
        loop {
            let before = (self.parsed, std::mem::discriminant(&self.state));
            self.step()?;
            self.approved = self.approved.max(self.parsed);
            if before == (self.parsed, std::mem::discriminant(&self.state)) {
                return Ok(());
            }
        }
    }

    fn step(&mut self) -> Result<(), Violation> {
        let rest = &self.buffer[self.parsed..];
        match &mut self.state {
            State::First => match classify(rest) {
                FirstBytes::Undecided { .. }
                    if rest.len() > bailiwick_model::limits::HTTP_HEAD_BYTES =>
                {
                    return Err(RequestViolation::TooLarge.into());
                }
                FirstBytes::Undecided { .. } => {}
                FirstBytes::Tls => self.state = State::Hello,
                FirstBytes::Http => {
                    self.state = State::Http(RequestGuard::new(self.name.clone(), self.port));
                }
                FirstBytes::SimpleHttp => return Err(RequestViolation::Version.into()),
                FirstBytes::Opaque => self.become_opaque(),
            },
            State::Hello => self.hello()?,
            State::AfterHello => match rest {
                // A change_cipher_spec may come before the second hello (RFC 8446 appendix D.4).
                [20, 3, _, 0, 1, 1, ..] => self.parsed += 6,
                // An empty handshake record (forbidden, RFC 8446 section 5.1) would hide the type of the next message.
                [22, _, _, 0, 0, ..] => return Err(MalformedHello::Record.into()),
                [22, _, _, _, _, 1, ..] => self.state = State::Hello,
                [] => {}
                [20 | 22, ..] if rest.len() < 6 => {}
                _ => self.become_opaque(),
            },
            State::Http(guard) => self.parsed += guard.advance(rest)?,
            State::Opaque => self.become_opaque(),
        }
        Ok(())
    }

    fn hello(&mut self) -> Result<(), Violation> {
        match client_hello::parse(&self.buffer[self.parsed..])? {
            ClientHello::Partial => Ok(()),
            ClientHello::Complete {
                server_name: Some(name),
                ..
            } if !same_name(&name, &self.name) => Err(Violation::ServerName(
                String::from_utf8_lossy(&name).into_owned(),
            )),
            ClientHello::Complete {
                server_name,
                length,
            } => {
                self.no_server_name |= server_name.is_none();
                self.parsed += length;
                self.state = State::AfterHello;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
