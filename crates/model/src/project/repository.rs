//! Where a repository is: one of four plain forms.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::RepositoryProblem;
use crate::limits::PROJECT_REPOSITORY_BYTES;

/// A repository's URL, in a form in which git reads nothing else than a URL.
///
/// ASCII without white space, quotes and control characters; no password; no component of the path is `.` or `..` or
/// begins with `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    text: Box<str>,
    transport: Transport,
    path: Box<str>,
}

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `https://[USER@]HOST[:PORT]/PATH`.
    Https {
        /// A name, or an address (without brackets).
        host: Box<str>,
        /// 443 unless it says otherwise.
        port: u16,
    },
    /// `ssh://[USER@]HOST[:PORT]/PATH`, or `USER@HOST:PATH` as scp(1) has it.
    Ssh {
        /// A name, or an address (without brackets).
        host: Box<str>,
        /// 22 unless it says otherwise.
        port: u16,
    },
    /// `file:///PATH`: a directory of this machine.
    File,
}

impl Repository {
    /// As it was written, which is how git gets it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The path in it: absolute, but of `USER@HOST:PATH` it may be relative to the user's home. In an https URL, characters may be
    /// written as `%XX`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Repository {
    type Err = RepositoryProblem;

    fn from_str(text: &str) -> Result<Self, RepositoryProblem> {
        refuse_what_no_form_has(text)?;
        let (transport, path) = match text.split_once("://") {
            Some(("https", rest)) => {
                let (host, port, path) = authority_and_path(rest, 443)?;
                escapes(path)?;
                (Transport::Https { host, port }, path)
            }
            Some(("ssh", rest)) => {
                let (host, port, path) = authority_and_path(rest, 22)?;
                (Transport::Ssh { host, port }, path)
            }
            Some(("file", path)) if path.starts_with('/') => (Transport::File, path),
            Some(("file", _)) => return Err(RepositoryProblem::Form),
            Some((scheme, _)) => return Err(RepositoryProblem::Scheme(scheme.to_owned())),
            None => scp_like(text)?,
        };
        if !matches!(transport, Transport::Https { .. }) && text.contains('%') {
            return Err(RepositoryProblem::Character('%'));
        }
        check_path(path)?;
        Ok(Self {
            text: text.into(),
            path: path.into(),
            transport,
        })
    }
}

fn refuse_what_no_form_has(text: &str) -> Result<(), RepositoryProblem> {
    if text.is_empty() {
        return Err(RepositoryProblem::Empty);
    }
    if text.len() > PROJECT_REPOSITORY_BYTES {
        return Err(RepositoryProblem::TooLong(text.len()));
    }
    if text.starts_with('-') {
        return Err(RepositoryProblem::Option);
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.');
    let helper = text.find("::").map(|end| &text[..end]);
    if let Some(name) = helper.filter(|name| name.chars().all(word)) {
        return Err(RepositoryProblem::Helper(format!("{name}::")));
    }
    // What a URL may hold (RFC 3986, 2), without its characters that mean something to a shell only.
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!+,=%".contains(c);
    if let Some(c) = text.chars().find(|c| !is_good(*c)) {
        return Err(RepositoryProblem::Character(c));
    }
    if let Some(c) = text.chars().find(|c| matches!(c, '?' | '#')) {
        return Err(RepositoryProblem::QueryOrFragment(c));
    }
    Ok(())
}

/// `[USER@]HOST[:PORT]/PATH`; the path keeps its slash.
fn authority_and_path(
    text: &str,
    default_port: u16,
) -> Result<(Box<str>, u16, &str), RepositoryProblem> {
    let slash = text.find('/').ok_or(RepositoryProblem::Form)?;
    let (authority, path) = text.split_at(slash);
    let host_and_port = match authority.rsplit_once('@') {
        Some((user, rest)) => {
            check_user(user)?;
            rest
        }
        None => authority,
    };
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(rest) => {
            let bad = || RepositoryProblem::Host(host_and_port.to_owned());
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<Ipv6Addr>().map_err(|_| bad())?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or_else(bad)?),
            };
            (host, port)
        }
        None => {
            let (host, port) = match host_and_port.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_and_port, None),
            };
            check_host(host)?;
            (host, port)
        }
    };
    let port = port.map_or(Ok(default_port), |port| {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let number = port.parse().ok().filter(|port| *port > 0 && digits);
        number.ok_or_else(|| RepositoryProblem::Port(port.to_owned()))
    })?;
    Ok((host.to_ascii_lowercase().into(), port, path))
}

/// `USER@HOST:PATH`. Without a user it would be read as the path of a file where one of that name is.
fn scp_like(text: &str) -> Result<(Transport, &str), RepositoryProblem> {
    let (user, rest) = text.split_once('@').ok_or(RepositoryProblem::Form)?;
    let (host, path) = rest.split_once(':').ok_or(RepositoryProblem::Form)?;
    if user.contains(['/', ':']) {
        return Err(RepositoryProblem::Form);
    }
    check_user(user)?;
    check_host(host)?;
    let transport = Transport::Ssh {
        host: host.to_ascii_lowercase().into(),
        port: 22,
    };
    Ok((transport, path))
}

fn check_user(user: &str) -> Result<(), RepositoryProblem> {
    if user.contains(':') {
        return Err(RepositoryProblem::Password);
    }
    let begins = user.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if begins && user.chars().all(rest) {
        Ok(())
    } else {
        Err(RepositoryProblem::User(user.to_owned()))
    }
}

/// What cannot be an option or a path. Whether it is a name that may be asked for, the policy decides.
fn check_host(host: &str) -> Result<(), RepositoryProblem> {
    let good = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if host.parse::<IpAddr>().is_ok() || name.split('.').all(good) {
        Ok(())
    } else {
        Err(RepositoryProblem::Host(host.to_owned()))
    }
}

fn check_path(path: &str) -> Result<(), RepositoryProblem> {
    let bad = |part: &str| matches!(part, "." | "..") || part.starts_with('-');
    let names_something = path.split('/').any(|part| !part.is_empty());
    if names_something && !path.split('/').any(bad) && !path.starts_with('~') {
        Ok(())
    } else {
        Err(RepositoryProblem::Path(path.to_owned()))
    }
}

/// `%XX` is a character that is neither a control character nor one of those that have a meaning of their own in a path.
fn escapes(path: &str) -> Result<(), RepositoryProblem> {
    let bad = || RepositoryProblem::Path(path.to_owned());
    for rest in path.split('%').skip(1) {
        let digits = rest.get(..2).ok_or_else(bad)?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        if digits.starts_with('+') || byte.is_ascii_control() || matches!(byte, b'/' | b'.' | b'-')
        {
            return Err(bad());
        }
    }
    Ok(())
}
