//! The server name in a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), and nothing else of TLS.
//!
//! The parser is strict: what it cannot account for to the byte is malformed, so that no server can read another server
//! name from the same bytes. It copies only a hello that spans several records.

use std::borrow::Cow;

use bailiwick_model::limits;

/// Record type `handshake` (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// Handshake type `client_hello` (RFC 8446 section 4).
const CLIENT_HELLO: u8 = 1;
/// Extension `server_name` (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;
/// Name type `host_name` in that extension.
const HOST_NAME: u8 = 0;
/// The most bytes a plaintext record carries (RFC 8446 section 5.1).
const RECORD_BYTES: usize = 1 << 14;
/// Type, legacy version and length of a record.
const RECORD_HEADER: usize = 5;
/// Type and length of a handshake message.
const MESSAGE_HEADER: usize = 4;

/// What the bytes so far hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientHello {
    /// The start of a hello; more bytes are needed.
    Partial,
    /// A whole hello.
    Complete {
        /// The `host_name`, as it was sent; it is not normalised, and need not even be a name.
        server_name: Option<Vec<u8>>,
        /// Bytes of the records that hold the hello, headers included.
        length: usize,
    },
}

/// Why bytes are not a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHello {
    /// A record that is not a handshake record of TLS, or is empty, or too long.
    #[error("the TLS record is not one that a ClientHello can be in")]
    Record,
    /// The first handshake message is another one, or another message follows it in the same record.
    #[error("the first handshake message is not exactly a ClientHello")]
    Message,
    /// More bytes than are kept (`limits::CLIENT_HELLO_BYTES`).
    #[error("the ClientHello is larger than {} bytes", limits::CLIENT_HELLO_BYTES)]
    TooLarge,
    /// A length inside the hello does not fit what is around it.
    #[error("a length inside the ClientHello is wrong")]
    Length,
    /// The extension `server_name` is there twice, or does not hold exactly one host name.
    #[error("the ClientHello does not have exactly one server name in its server_name extension")]
    ServerName,
}

/// Parses the start of a client's byte stream.
///
/// `bytes` begins at a record boundary. The answer for a prefix is [`ClientHello::Partial`] or an error, never a
/// different complete hello.
///
/// # Errors
///
/// The first thing that is wrong. It may be found before the hello is complete.
pub fn parse(bytes: &[u8]) -> Result<ClientHello, MalformedHello> {
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut offset = 0;
    loop {
        let Some(record) = next_record(&bytes[offset..])? else {
            return Ok(ClientHello::Partial);
        };
        offset += RECORD_HEADER + record.announced;
        if message.is_empty() {
            message = Cow::Borrowed(record.present);
        } else {
            message.to_mut().extend_from_slice(record.present);
        }
        let wanted = message_length(&message)?;
        let whole_record = record.present.len() == record.announced;
        match wanted {
            Some(wanted) if message.len() > wanted => return Err(MalformedHello::Message),
            Some(wanted) if message.len() == wanted && whole_record => {
                let server_name = server_name(&message[MESSAGE_HEADER..])?.map(<[u8]>::to_vec);
                return Ok(ClientHello::Complete {
                    server_name,
                    length: offset,
                });
            }
            Some(wanted)
                if !whole_record
                    && message.len() - record.present.len() + record.announced > wanted =>
            {
                return Err(MalformedHello::Message);
            }
            Some(_) | None if !whole_record => return Ok(ClientHello::Partial),
            Some(_) | None => {}
        }
        if offset > limits::CLIENT_HELLO_BYTES {
            return Err(MalformedHello::TooLarge);
        }
    }
}

/// A record of which at least the header is there.
struct Record<'a> {
    present: &'a [u8],
    announced: usize,
}

fn next_record(bytes: &[u8]) -> Result<Option<Record<'_>>, MalformedHello> {
    if bytes.first().is_some_and(|&kind| kind != HANDSHAKE)
        || bytes.get(1).is_some_and(|&major| major != 3)
    {
        return Err(MalformedHello::Record);
    }
    let Some((header, body)) = bytes.split_at_checked(RECORD_HEADER) else {
        return Ok(None);
    };
    let announced = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if announced == 0 || announced > RECORD_BYTES {
        return Err(MalformedHello::Record);
    }
    Ok(Some(Record {
        present: &body[..announced.min(body.len())],
        announced,
    }))
}

/// The whole length of the handshake message that begins with `message`, once it is known.
fn message_length(message: &[u8]) -> Result<Option<usize>, MalformedHello> {
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(MalformedHello::Message);
    }
    let Some(header) = message.first_chunk::<MESSAGE_HEADER>() else {
        return Ok(None);
    };
    let length = MESSAGE_HEADER + u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    if length > limits::CLIENT_HELLO_BYTES {
        return Err(MalformedHello::TooLarge);
    }
    Ok(Some(length))
}

/// The server name in the body of a hello: version, random, session id, cipher suites, compression, extensions.
fn server_name(body: &[u8]) -> Result<Option<&[u8]>, MalformedHello> {
    let mut hello = Reader(body);
    hello.take(2 + 32)?;
    let session_id = hello.vector8()?;
    let cipher_suites = hello.vector16()?;
    let compression = hello.vector8()?;
    if session_id.len() > 32
        || cipher_suites.is_empty()
        || cipher_suites.len() % 2 != 0
        || compression.is_empty()
    {
        return Err(MalformedHello::Length);
    }
    if hello.0.is_empty() {
        return Ok(None); // TLS 1.2 and older may leave the extensions out altogether
    }
    let mut extensions = Reader(hello.vector16()?);
    hello.end()?;
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let data = extensions.vector16()?;
        if kind == SERVER_NAME && found.replace(host_name(data)?).is_some() {
            return Err(MalformedHello::ServerName);
        }
    }
    Ok(found)
}

/// Exactly one `host_name` that is not empty: the list form exists, but no other name type was ever defined.
fn host_name(extension: &[u8]) -> Result<&[u8], MalformedHello> {
    let mut extension = Reader(extension);
    let mut list = Reader(extension.vector16()?);
    extension.end()?;
    if list.take(1)? != [HOST_NAME] {
        return Err(MalformedHello::ServerName);
    }
    let name = list.vector16()?;
    if name.is_empty() || !list.0.is_empty() {
        return Err(MalformedHello::ServerName);
    }
    Ok(name)
}

/// The rest of a structure; every read is checked.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MalformedHello> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(MalformedHello::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number16(&mut self) -> Result<u16, MalformedHello> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Result<&'a [u8], MalformedHello> {
        let length = usize::from(self.take(1)?[0]);
        self.take(length)
    }

    fn vector16(&mut self) -> Result<&'a [u8], MalformedHello> {
        let length = usize::from(self.number16()?);
        self.take(length)
    }

    fn end(&self) -> Result<(), MalformedHello> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(MalformedHello::Length)
        }
    }
}

#[cfg(test)]
mod tests;
