//! The network side of a sandbox: its resolver, the relay of its connections, and the record of both.
//!
//! A sandbox's network namespace leads nowhere. Its init leads TCP and DNS to sockets that it opened inside and passed
//! out; this crate serves them from outside. A name is answered with a synthetic address; a connection to that address
//! says which *name* was meant, for any protocol; `dial` resolves and checks it when the connection is made.
//!
//! What it must never do: connect other than through `dial`; decide other than through `policy`; forward a byte of a
//! client before it is known to be meant for the destination; run out of anything because of one sandbox; panic on what a
//! sandbox sends.
//!
//! The process must ignore SIGPIPE, as Rust's runtime makes it: splice(2) to a closed socket would raise it.
//!
//! Entry points: [`Egress::attach`], [`Attachment`], [`DormantAuthority`].

mod clock;
mod denied_udp;
mod dns;
mod engine;
mod inspect;
mod intercept;
mod names;
mod nflog;
mod relay;
mod repeats;
mod sandbox;
mod sockets;

pub use engine::{Attachment, Egress};
pub use intercept::{Authority, AuthorityError, DormantAuthority};
pub use sandbox::{Counters, SandboxLimits, SandboxNetwork};
pub use sockets::Sockets;

/// The parsers of what a sandbox sends, for the fuzz targets. Not a public interface.
#[doc(hidden)]
pub mod fuzzing {
    /// Parses a DNS message and encodes a refusal of it; the answer has the id of the question.
    pub fn dns_message(bytes: &[u8]) {
        use crate::dns::message::{Answer, ErrorCode, Parsed, parse};
        let answer = match parse(bytes) {
            Parsed::Silence => None,
            Parsed::Answered(answer) => Some(answer),
            Parsed::Question(question) => {
                let _ = (question.host(), question.reverse());
                question.encode(Answer::Refused(ErrorCode::Blocked, "no".to_owned()), true)
            }
        };
        assert!(answer.is_none_or(|answer| answer[..2] == bytes[..2] && answer.len() <= 1232));
    }

    /// Feeds bytes to the guard of a client in pieces of `cut` bytes; what it lets through is a prefix of them.
    pub fn client_bytes(bytes: &[u8], cut: usize) {
        let name = bailiwick_model::HostName::from_normalised("a.test").expect("a name");
        let mut guard = crate::inspect::ClientGuard::new(name, 80);
        let mut forwarded = Vec::new();
        for piece in bytes.chunks(cut.max(1)) {
            let refused = guard.take(piece).is_err();
            forwarded.extend_from_slice(guard.ready());
            let count = guard.ready().len();
            guard.forwarded(count);
            if refused {
                break;
            }
        }
        assert!(bytes.starts_with(&forwarded));
    }

    pub use crate::inspect::client_hello::{ClientHello, MalformedHello, parse as client_hello};
}
