//! DNS messages (RFC 1035, RFC 6891, RFC 8914): from bytes to one question, and from an answer to bytes.

use std::net::Ipv4Addr;

use bailiwick_model::HostName;
use bailiwick_policy::normalise_host;
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

/// The header of a message.
const HEADER_BYTES: usize = 12;
/// What a client without EDNS takes over UDP (RFC 1035 section 2.3.4).
const PLAIN_UDP_BYTES: u16 = 512;
/// What is sent over UDP at most, and announced as what is taken (DNS flag day 2020).
const UDP_BYTES: u16 = 1232;
/// The option that carries an Extended DNS Error (RFC 8914 section 2).
const EXTENDED_ERROR: u16 = 15;
/// More text than this is cut off; the whole answer has to fit a datagram.
const EXTENDED_ERROR_BYTES: usize = 400;

/// What a message is.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// One well-formed question.
    Question(Box<Question>),
    /// Something else, with the answer it gets.
    Answered(Vec<u8>),
    /// Not even a query; answering could make two servers talk to each other for ever.
    Silence,
}

/// One question of class IN.
#[derive(Debug)]
pub(crate) struct Question {
    id: u16,
    recursion_desired: bool,
    checking_disabled: bool,
    query: Query,
    edns: Option<Edns>,
}

/// An Extended DNS Error (RFC 8914 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// 0: none of the others.
    Other,
    /// 15: the operator of the server denies the name.
    Blocked,
}

/// What a question is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// NOERROR with these records, maybe none.
    Records(Vec<Record>),
    /// NXDOMAIN.
    NoSuchName,
    /// REFUSED, with words for those who asked with EDNS.
    Refused(ErrorCode, String),
    /// SERVFAIL.
    Failed,
}

/// Reads a message that a sandbox sent.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let Some(header) = bytes
        .first_chunk::<HEADER_BYTES>()
        .filter(|header| header[2] & 0x80 == 0)
    else {
        return Parsed::Silence;
    };
    let refuse = |code: ResponseCode| Parsed::Answered(header_only(header, code));
    if header[2] & 0x78 != 0 {
        return refuse(ResponseCode::NotImp); // an opcode other than QUERY
    }
    let Ok(message) = Message::from_vec(bytes) else {
        return refuse(ResponseCode::FormErr);
    };
    let [query] = &message.queries[..] else {
        return refuse(ResponseCode::FormErr);
    };
    let question = Question {
        id: message.metadata.id,
        recursion_desired: message.metadata.recursion_desired,
        checking_disabled: message.metadata.checking_disabled,
        query: query.clone(),
        edns: message.edns.as_ref().map(answering_edns),
    };
    if message.edns.is_some_and(|edns| edns.version() != 0) {
        return encoded(&question.reply(ResponseCode::BADVERS));
    }
    if query.query_class() != DNSClass::IN {
        return encoded(&question.reply(ResponseCode::Refused));
    }
    if query.query_type() == RecordType::AXFR || query.query_type() == RecordType::IXFR {
        return encoded(&question.reply(ResponseCode::NotImp));
    }
    Parsed::Question(Box::new(question))
}

impl Question {
    /// The type of record that is asked for.
    pub(crate) fn kind(&self) -> RecordType {
        self.query.query_type()
    }

    /// The name as it was written, for the records of the answer.
    pub(crate) fn name(&self) -> &Name {
        self.query.name()
    }

    /// The name as `policy` compares it; nothing for what is no host name.
    pub(crate) fn host(&self) -> Option<HostName> {
        let labels: Option<Vec<&str>> = self
            .name()
            .iter()
            .map(|label| std::str::from_utf8(label).ok())
            .collect();
        let labels = labels?;
        // A dot inside a label would make two labels of it.
        let plain = labels.iter().all(|label| {
            label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
        if plain {
            normalise_host(&labels.join(".")).ok()
        } else {
            None
        }
    }

    /// The address that a reverse question is about (RFC 1035 section 3.5).
    pub(crate) fn reverse(&self) -> Option<Ipv4Addr> {
        let mut numbers = [0_u8; 4];
        let labels: Vec<&[u8]> = self.name().iter().collect();
        let (address, zone) = labels.split_at_checked(4)?;
        let [in_addr, arpa] = zone else { return None };
        if !in_addr.eq_ignore_ascii_case(b"in-addr") || !arpa.eq_ignore_ascii_case(b"arpa") {
            return None;
        }
        for (number, label) in numbers.iter_mut().zip(address.iter().rev()) {
            *number = std::str::from_utf8(label).ok()?.parse().ok()?;
        }
        Some(numbers.into())
    }

    /// The bytes of the answer. `datagram` says that it must fit into what the client takes over UDP; if it does not, it is
    /// sent empty with the truncation bit, and the client asks again over TCP.
    pub(crate) fn encode(&self, answer: Answer, datagram: bool) -> Option<Vec<u8>> {
        let mut reply = match answer {
            Answer::Records(records) => {
                let mut reply = self.reply(ResponseCode::NoError);
                reply.add_answers(records);
                reply
            }
            Answer::NoSuchName => self.reply(ResponseCode::NXDomain),
            Answer::Failed => self.reply(ResponseCode::ServFail),
            Answer::Refused(code, text) => {
                let mut reply = self.reply(ResponseCode::Refused);
                if let Some(edns) = &mut reply.edns {
                    edns.options_mut().insert(extended_error(code, &text));
                }
                reply
            }
        };
        let bytes = reply.to_vec().ok()?;
        if bytes.len()
            <= usize::from(if datagram {
                self.datagram_bytes()
            } else {
                u16::MAX
            })
        {
            return Some(bytes);
        }
        reply = reply.truncate();
        reply.to_vec().ok()
    }

    fn datagram_bytes(&self) -> u16 {
        self.edns.as_ref().map_or(PLAIN_UDP_BYTES, |edns| {
            edns.max_payload().clamp(PLAIN_UDP_BYTES, UDP_BYTES)
        })
    }

    fn reply(&self, code: ResponseCode) -> Message {
        let mut reply = Message::error_msg(self.id, OpCode::Query, code);
        reply.metadata.recursion_desired = self.recursion_desired;
        reply.metadata.checking_disabled = self.checking_disabled;
        reply.metadata.recursion_available = true;
        reply.add_query(self.query.clone());
        if let Some(edns) = &self.edns {
            let mut edns = edns.clone();
            edns.set_max_payload(UDP_BYTES);
            reply.set_edns(edns);
        }
        reply
    }
}

/// The EDNS part of an answer: none of the client's options are echoed. Until the answer is made, its payload size is the
/// client's.
fn answering_edns(asked: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(asked.max_payload());
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    edns
}

fn extended_error(code: ErrorCode, text: &str) -> EdnsOption {
    let info: u16 = match code {
        ErrorCode::Other => 0,
        ErrorCode::Blocked => 15,
    };
    let end = (0..=EXTENDED_ERROR_BYTES.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    EdnsOption::Unknown(
        EXTENDED_ERROR,
        [&info.to_be_bytes()[..], &text.as_bytes()[..end]].concat(),
    )
}

fn encoded(reply: &Message) -> Parsed {
    reply.to_vec().map_or(Parsed::Silence, Parsed::Answered)
}

/// An answer without any section, for what could not be read further than its header.
fn header_only(header: &[u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    let mut answer = vec![0; HEADER_BYTES];
    answer[..2].copy_from_slice(&header[..2]);
    answer[2] = 0x80 | (header[2] & 0x79); // a response; opcode and RD as asked
    answer[3] = 0x80 | code.low(); // RA
    answer
}

#[cfg(test)]
mod tests;
