//! Syslog: messages of RFC 5424 over UDP (RFC 5426), over TCP with their lengths (RFC 6587, section 3.4.1) and to a socket of this machine.
//!
//! Nothing is acknowledged. Over TCP, what was sent last before a connection ended is sent again over the next one, since nobody knows what
//! of it arrived.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_dial::Dialer;
use bailiwick_model::Destination as Address;
use bailiwick_model::limits::SYSLOG_DATAGRAM_BYTES;
use rustix::system::uname;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};

use crate::{ExportError, Record};

/// Facility 13 (log audit), severity 5 (notice): RFC 5424, section 6.2.1.
const PRIORITY: u8 = 13 * 8 + 5;
/// The bounds of the header's fields: RFC 5424, section 6.
const HOST_BYTES: usize = 255;

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID - MSG`.
fn message(record: &Record) -> String {
    let Record { kind, at, json } = record;
    let (host, process) = (host(), std::process::id());
    // Six digits of a second are the most (section 6.2.3).
    format!("<{PRIORITY}>1 {at:.6} {host} bailiwick {process} {kind} - {json}")
}

/// The name of this machine, of printable characters of ASCII.
fn host() -> String {
    let name = uname();
    let name = name.nodename().to_string_lossy();
    let printable = |c: &char| c.is_ascii_graphic();
    let name: String = name.chars().filter(printable).take(HOST_BYTES).collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}

/// A message that one datagram holds: a longer one is cut.
fn datagram(record: &Record) -> String {
    let mut message = message(record);
    message.truncate(message.floor_char_boundary(SYSLOG_DATAGRAM_BYTES));
    message
}

/// Messages of these records, each with its length in front.
fn counted(records: &[Record]) -> Vec<u8> {
    let mut frames = Vec::new();
    for record in records {
        let message = message(record);
        frames.extend_from_slice(message.len().to_string().as_bytes());
        frames.push(b' ');
        frames.extend_from_slice(message.as_bytes());
    }
    frames
}

/// A receiver that gets one message a datagram.
pub(crate) struct Datagrams {
    address: Address,
    dialer: Arc<Dialer>,
    socket: Option<UdpSocket>,
}

impl Datagrams {
    pub(crate) fn new(address: Address, dialer: Arc<Dialer>) -> Self {
        Self {
            address,
            dialer,
            socket: None,
        }
    }

    pub(crate) async fn send(&mut self, records: &[Record]) -> Result<(), ExportError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.dialer.datagrams_for_operator(&self.address).await?,
        };
        for record in records {
            let sent = socket.send(datagram(record).as_bytes()).await;
            sent.map_err(ExportError::Connection)?;
        }
        self.socket = Some(socket);
        Ok(())
    }
}

/// A receiver that messages are streamed to.
pub(crate) struct Stream {
    address: Address,
    dialer: Arc<Dialer>,
    stream: Option<TcpStream>,
    /// What was sent last: nobody knows whether it arrived.
    last: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(address: Address, dialer: Arc<Dialer>) -> Self {
        Self {
            address,
            dialer,
            stream: None,
            last: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, records: &[Record]) -> Result<(), ExportError> {
        let frames = counted(records);
        let mut stream = match self.stream.take().filter(is_open) {
            Some(stream) => stream,
            None => {
                let mut stream = self.dialer.dial_for_operator(&self.address).await?;
                let again = stream.write_all(&self.last).await;
                again.map_err(ExportError::Connection)?;
                stream
            }
        };
        let sent = stream.write_all(&frames).await;
        sent.map_err(ExportError::Connection)?;
        self.stream = Some(stream);
        self.last = frames;
        Ok(())
    }
}

/// Whether the other end has neither closed nor reset it, as far as is known here. What it says is nothing to a sender of syslog.
fn is_open(stream: &TcpStream) -> bool {
    let mut said = [0; 512];
    loop {
        match stream.try_read(&mut said) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// The socket of this machine's own receiver, of datagrams or of a stream.
pub(crate) struct Local {
    path: PathBuf,
    socket: Option<LocalSocket>,
}

enum LocalSocket {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Local {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    pub(crate) async fn send(&mut self, records: &[Record]) -> Result<(), ExportError> {
        let sent = async {
            let mut socket = match self.socket.take() {
                Some(socket) => socket,
                None => LocalSocket::open(&self.path).await?,
            };
            match &mut socket {
                LocalSocket::Datagrams(socket) => {
                    for record in records {
                        socket.send(datagram(record).as_bytes()).await?;
                    }
                }
                LocalSocket::Stream(stream) => stream.write_all(&counted(records)).await?,
            }
            self.socket = Some(socket);
            Ok(())
        };
        let told = |source| ExportError::File {
            path: self.path.clone(),
            source,
        };
        let result: io::Result<()> = sent.await;
        result.map_err(told)
    }
}

impl LocalSocket {
    async fn open(path: &Path) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        match datagrams.connect(path) {
            Ok(()) => Ok(Self::Datagrams(datagrams)),
            // It is one of a stream (unix(7)).
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) =>
            {
                Ok(Self::Stream(UnixStream::connect(path).await?))
            }
            Err(error) => Err(error),
        }
    }
}
