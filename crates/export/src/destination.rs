//! Destinations, as an operator writes them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bailiwick_model::limits::EXPORT_DESTINATION_BYTES;
use bailiwick_model::{Destination as Address, Protocol};
use bailiwick_policy::{DestinationError, parse_destination};

use crate::HttpUrl;

/// The port of syslog over UDP (RFC 5426, section 3.3).
const UDP_PORT: u16 = 514;
/// The port of syslog over TCP (RFC 6587 names none; 601 is that of RFC 3195 and what receivers use).
const TCP_PORT: u16 = 601;

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `file:PATH`: lines of JSON.
    File(PathBuf),
    /// `syslog+udp://HOST[:PORT]`: one message a datagram (RFC 5424, RFC 5426).
    SyslogUdp(Address),
    /// `syslog+tcp://HOST[:PORT]`: messages with their lengths (RFC 5424, RFC 6587 section 3.4.1).
    SyslogTcp(Address),
    /// `syslog+unix:PATH`: the socket of this machine's own, such as `/dev/log`.
    SyslogUnix(PathBuf),
    /// `https://…`: a webhook.
    Webhook(Webhook),
}

/// A URL that gets batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook(pub(crate) HttpUrl);

/// Why a text is no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADestination {
    /// No such kind.
    #[error(
        "a destination is file:PATH, syslog+udp://HOST[:PORT], syslog+tcp://HOST[:PORT], syslog+unix:PATH or https://HOST/PATH"
    )]
    Form,
    /// A path that is not absolute.
    #[error("{0:?} is no absolute path")]
    Path(String),
    /// Neither a name nor an address.
    #[error("{text:?} is no host: {source}")]
    Host {
        /// What was written.
        text: String,
        /// Why.
        source: DestinationError,
    },
    /// A URL with a user or a password, which would be shown.
    #[error("a webhook's URL has no user, password or fragment: what is sent is signed")]
    UserInfo,
    /// Everybody on the way could read it.
    #[error("records go to another machine over https only")]
    PlainHttp,
    /// More than [`EXPORT_DESTINATION_BYTES`].
    #[error("it has more than {EXPORT_DESTINATION_BYTES} bytes")]
    TooLong,
}

impl FromStr for Destination {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        if text.len() > EXPORT_DESTINATION_BYTES {
            return Err(NotADestination::TooLong);
        }
        let (scheme, rest) = text.split_once(':').ok_or(NotADestination::Form)?;
        let authority = || rest.strip_prefix("//").ok_or(NotADestination::Form);
        match scheme {
            "file" => Ok(Self::File(path(rest)?)),
            "syslog+unix" => Ok(Self::SyslogUnix(path(rest)?)),
            "syslog+udp" => Ok(Self::SyslogUdp(address(authority()?, UDP_PORT)?)),
            "syslog+tcp" => Ok(Self::SyslogTcp(address(authority()?, TCP_PORT)?)),
            "http" | "https" => Ok(Self::Webhook(webhook(text)?)),
            _ => Err(NotADestination::Form),
        }
    }
}

fn path(text: &str) -> Result<PathBuf, NotADestination> {
    // As URLs of files have it.
    let text = text
        .strip_prefix("//")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(text);
    if text.starts_with('/') && !text.starts_with("//") {
        Ok(PathBuf::from(text))
    } else {
        Err(NotADestination::Path(text.to_owned()))
    }
}

fn address(text: &str, usual_port: u16) -> Result<Address, NotADestination> {
    let parsed = parse_destination(text).map_err(|source| NotADestination::Host {
        text: text.to_owned(),
        source,
    })?;
    let port = match parsed.port {
        0 => usual_port,
        port => port,
    };
    Ok(Address {
        host: parsed.host,
        port,
        protocol: Protocol::Tcp,
    })
}

fn webhook(text: &str) -> Result<Webhook, NotADestination> {
    let url: HttpUrl = text.parse()?;
    if url.is_open() {
        return Err(NotADestination::PlainHttp);
    }
    Ok(Webhook(url))
}

/// As it is written.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::SyslogUdp(address) => write!(f, "syslog+udp://{address}"),
            Self::SyslogTcp(address) => write!(f, "syslog+tcp://{address}"),
            Self::SyslogUnix(path) => write!(f, "syslog+unix:{}", path.display()),
            Self::Webhook(webhook) => write!(f, "{}", webhook.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_as_it_is_written() {
        for text in [
            "file:/var/log/bailiwick/audit.jsonl",
            "syslog+udp://logs.example.com:514",
            "syslog+tcp://192.0.2.7:6514",
            "syslog+tcp://[2001:db8::7]:601",
            "syslog+unix:/dev/log",
            "https://logs.example.com/hooks/a?b=c",
            "https://192.0.2.7:8443/",
            "http://127.0.0.1:8080/hook",
            "http://[::1]:8080/hook",
            "http://localhost/hook",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        let usual: Destination = "syslog+tcp://logs.example.com".parse().unwrap();
        assert_eq!(usual.to_string(), "syslog+tcp://logs.example.com:601");
    }

    #[test]
    fn what_would_go_somewhere_else_or_could_be_read_is_refused() {
        for text in [
            "",
            "file",
            "file:audit.jsonl",
            "file://audit.jsonl",
            "syslog://logs.example.com",
            "syslog+udp:logs.example.com",
            "syslog+tcp://",
            "syslog+tcp://logs.example.com:0",
            "syslog+tcp://logs.example.com:99999",
            "syslog+tcp://logs.example.com/path",
            "syslog+unix:dev/log",
            "http://logs.example.com/hook",
            "https://user:password@logs.example.com/hook",
            "https://logs.example.com/hook#x",
            "https://",
            "ftp://logs.example.com/",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?} was taken");
        }
    }
}
