//! A header field that is set, whatever the sandbox sent.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::SecretText;

use super::CredentialHost;

/// A field of every request to a host whose path has a prefix. What the sandbox sent under that name is dropped.
#[derive(Debug, Clone)]
pub struct HeaderProjection {
    /// Where it goes.
    pub host: CredentialHost,
    /// For which paths.
    pub path: PathPrefix,
    /// The field.
    pub name: FieldName,
    /// Its whole value, such as `Bearer TOKEN`.
    pub value: SecretText,
}

/// The name of a header field (RFC 9110, section 5.1) that says nothing about the connection, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldName(String);

/// Why a text is no name of a field in which a secret can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldNameError {
    /// Not a token.
    #[error("{0:?} is not the name of a header field")]
    Token(String),
    /// A field by which a request is framed or led.
    #[error("the header field {0} says how or where the request is sent; no secret goes there")]
    Connection(String),
}

/// Fields that frame a request, lead it, or end at the next hop (RFC 9110, sections 6 to 8; RFC 9112, section 6).
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl FieldName {
    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a field, named in lower case, says how or where a request is sent: nothing is ever put into it.
    pub fn is_of_the_connection(name: &str) -> bool {
        OF_THE_CONNECTION.contains(&name)
    }
}

impl FromStr for FieldName {
    type Err = FieldNameError;

    fn from_str(text: &str) -> Result<Self, FieldNameError> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let name = text.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(token) {
            Err(FieldNameError::Token(text.to_owned()))
        } else if Self::is_of_the_connection(&name) {
            Err(FieldNameError::Connection(name))
        } else {
            Ok(Self(name))
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of paths: `/` is every path, `/owner/name` that path and all below it, and not `/owner/name2`.
///
/// The last segment also stands for itself with `.git` behind it, as servers of repositories have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(String);

/// A text that is not the beginning of paths in their only spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a path that begins with `/` and has no empty, `.` or `..` segment, no `%`, `\\`, `?` and `#`"
)]
pub struct PathPrefixError(String);

impl PathPrefix {
    /// Whether it is about a request for this path, as it was sent. A path that a server may read as another one is not covered.
    pub fn covers(&self, path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        if self.0 == "/" {
            return true;
        }
        if !is_plain(path.strip_suffix('/').unwrap_or(path)) {
            return false;
        }
        let rest = path.strip_prefix(self.0.as_str());
        let rest = rest.map(|rest| rest.strip_prefix(".git").unwrap_or(rest));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a path has one reading only: nothing in it is decoded, resolved or merged by any server.
fn is_plain(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|segments| {
        segments
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
    }) && !path.contains(['%', '\\', ';', '?', '#'])
        && path.bytes().all(|byte| byte.is_ascii_graphic())
}

impl FromStr for PathPrefix {
    type Err = PathPrefixError;

    fn from_str(text: &str) -> Result<Self, PathPrefixError> {
        let prefix = text.strip_suffix('/').unwrap_or(text);
        if text == "/" {
            Ok(Self("/".to_owned()))
        } else if is_plain(prefix) {
            Ok(Self(prefix.to_owned()))
        } else {
            Err(PathPrefixError(text.to_owned()))
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
