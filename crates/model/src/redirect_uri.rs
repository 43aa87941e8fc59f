//! Where a client of the authorization server has its people sent back to.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::limits::OAUTH_REDIRECT_URI_BYTES;

/// Schemes that belong to one program without being a name turned round, as RFC 8252, section 7.1, would have it: the editors and assistants that
/// are in use. No browser takes one of them for a page or a script.
const KNOWN_SCHEMES: [&str; 7] = [
    "cursor",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "windsurf",
    "zed",
    "claude",
];

/// An address that a client registered: `https`, `http` on a loopback host (OAuth 2.1, section 2.3), or a scheme that a program of the person's
/// machine has for itself (RFC 8252, section 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

/// Whom a person is sent to, which a consent page names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectPlace<'a> {
    /// Another server, by its host and, if it says one, its port.
    Server(&'a str),
    /// A program of this machine that listens, by the host and the port.
    Loopback(&'a str),
    /// A program of this machine that opens addresses of this scheme.
    Program(&'a str),
}

/// Why an address is none that anybody is sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriProblem {
    /// It is longer than [`OAUTH_REDIRECT_URI_BYTES`].
    #[error("the redirect URI is longer than {OAUTH_REDIRECT_URI_BYTES} bytes")]
    TooLong,
    /// Browsers drop or change such characters, so that what is compared is not where they go.
    #[error("the redirect URI has a character that must be percent-encoded")]
    Character,
    /// RFC 6749, section 3.1.2.
    #[error("the redirect URI has a fragment")]
    Fragment,
    /// Neither `https` nor `http` on a loopback host, nor a scheme that can only be a program's.
    #[error(
        "the redirect URI is neither https, nor http on 127.0.0.1, [::1] or localhost, nor of a scheme such as com.example.app or that of a known editor"
    )]
    Scheme,
    /// A name before the host makes another host look like the one that is meant.
    #[error("the redirect URI has a user name or password")]
    UserInformation,
    /// There is no host, or one that a browser would decode into another.
    #[error("the redirect URI has no host that can be shown as it is")]
    NoHost,
    /// What stands behind the host is no port.
    #[error("the redirect URI has a port that is none")]
    Port,
}

/// The pieces of an address that is well formed.
struct Pieces<'a> {
    scheme: &'a str,
    /// Host and port; what a program's own scheme has there is its own business, and all of it is in `rest`.
    authority: &'a str,
    host: &'a str,
    rest: &'a str,
}

impl RedirectUri {
    /// The address, as it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whom a person is sent to.
    pub fn place(&self) -> RedirectPlace<'_> {
        match pieces(&self.0) {
            Ok(pieces) if pieces.scheme == "https" => RedirectPlace::Server(pieces.authority),
            Ok(pieces) if pieces.scheme == "http" => RedirectPlace::Loopback(pieces.authority),
            Ok(pieces) => RedirectPlace::Program(pieces.scheme),
            // There is none that was not read.
            Err(_) => RedirectPlace::Program(""),
        }
    }

    /// The origin, or the scheme, which a page must allow for its form to end there (Content Security Policy Level 3, section 2.3.1).
    pub fn source(&self) -> String {
        match self.place() {
            RedirectPlace::Server(authority) => format!("https://{authority}"),
            // A source has no address in brackets, and browsers pass over one that has.
            RedirectPlace::Loopback(authority) if authority.starts_with('[') => "http:".to_owned(),
            RedirectPlace::Loopback(authority) => format!("http://{authority}"),
            RedirectPlace::Program(scheme) => format!("{scheme}:"),
        }
    }

    /// Whether a request that names `asked` may be answered there: the same text, but for the port of a loopback address, which a program learns
    /// when it begins to listen (RFC 8252, section 7.3). `localhost` is one too: browsers resolve it by themselves, and clients register it.
    pub fn admits(&self, asked: &Self) -> bool {
        if self == asked {
            return true;
        }
        let (Ok(mine), Ok(theirs)) = (pieces(&self.0), pieces(&asked.0)) else {
            return false;
        };
        mine.scheme == "http"
            && theirs.scheme == "http"
            && mine.host == theirs.host
            && mine.rest == theirs.rest
    }
}

impl FromStr for RedirectUri {
    type Err = RedirectUriProblem;

    fn from_str(text: &str) -> Result<Self, RedirectUriProblem> {
        pieces(text).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn pieces(text: &str) -> Result<Pieces<'_>, RedirectUriProblem> {
    if text.len() > OAUTH_REDIRECT_URI_BYTES {
        return Err(RedirectUriProblem::TooLong);
    }
    let refused = |byte: u8| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&byte);
    if text.bytes().any(refused) {
        return Err(RedirectUriProblem::Character);
    }
    if text.contains('#') {
        return Err(RedirectUriProblem::Fragment);
    }
    let (scheme, behind) = text.split_once(':').ok_or(RedirectUriProblem::Scheme)?;
    if is_of_a_program(scheme) {
        return program(scheme, behind);
    }
    let is_known = matches!(scheme, "https" | "http");
    let behind = behind.strip_prefix("//").filter(|_| is_known);
    let behind = behind.ok_or(RedirectUriProblem::Scheme)?;
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (authority, rest) = behind.split_at(end);
    if authority.contains('@') {
        return Err(RedirectUriProblem::UserInformation);
    }
    let host = host(authority)?;
    match (scheme, host) {
        ("https", _) | ("http", "127.0.0.1" | "[::1]" | "localhost") => Ok(Pieces {
            scheme,
            authority,
            host,
            rest,
        }),
        _ => Err(RedirectUriProblem::Scheme),
    }
}

/// RFC 3986, section 3.1, in lower case alone, so that there is one way to write it.
fn is_of_a_program(scheme: &str) -> bool {
    let mut bytes = scheme.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let is_scheme = begins
        && bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        });
    is_scheme && (scheme.contains('.') || KNOWN_SCHEMES.contains(&scheme))
}

fn program<'a>(scheme: &'a str, rest: &'a str) -> Result<Pieces<'a>, RedirectUriProblem> {
    if !rest.starts_with('/') {
        return Err(RedirectUriProblem::NoHost);
    }
    if rest.contains('@') {
        return Err(RedirectUriProblem::UserInformation);
    }
    Ok(Pieces {
        scheme,
        authority: "",
        host: "",
        rest,
    })
}

/// The host of an authority, whose port is a number if there is one.
fn host(authority: &str) -> Result<&str, RedirectUriProblem> {
    let end = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket + 1,
        Some(_) | None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let literal = host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
    let plain = match literal {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    if host.is_empty() || !plain {
        return Err(RedirectUriProblem::NoHost);
    }
    let number = port.strip_prefix(':').unwrap_or("1");
    let whole = port.is_empty() || port.starts_with(':');
    match number.parse::<u16>() {
        Ok(1..) if whole && !number.starts_with('+') => Ok(host),
        Ok(_) | Err(_) => Err(RedirectUriProblem::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(registered: &str, asked: &str) -> bool {
        let registered: RedirectUri = registered.parse().unwrap();
        asked.parse().is_ok_and(|asked| registered.admits(&asked))
    }

    #[test]
    fn a_loopback_address_may_have_another_port_and_nothing_else() {
        assert!(admits("http://127.0.0.1:1/cb", "http://127.0.0.1:49152/cb"));
        assert!(admits("http://[::1]/cb", "http://[::1]:49152/cb"));
        assert!(!admits("http://127.0.0.1:1/cb", "http://127.0.0.1:1/cb/"));
        assert!(!admits("http://127.0.0.1:1/cb", "http://[::1]:1/cb"));
        assert!(!admits("http://127.0.0.1:1/cb", "https://127.0.0.1:1/cb"));
        assert!(!admits(
            "http://127.0.0.1/cb",
            "http://127.0.0.1@evil.example/cb"
        ));
        assert!(admits("http://localhost/cb", "http://localhost:2/cb"));
        assert!(!admits("http://localhost:1/cb", "http://127.0.0.1:1/cb"));
        assert!(!admits(
            "http://localhost:1/cb",
            "http://localhost:1/cb?x=1"
        ));
    }

    #[test]
    fn a_page_can_say_whom_one_is_sent_to() {
        let read = |text: &str| text.parse::<RedirectUri>().unwrap();
        let server = read("https://app.example:8443/cb?a=1");
        assert_eq!(server.place(), RedirectPlace::Server("app.example:8443"));
        assert_eq!(server.source(), "https://app.example:8443");
        let here = read("http://[::1]:9/cb");
        assert_eq!(here.place(), RedirectPlace::Loopback("[::1]:9"));
        assert_eq!(here.source(), "http:");
        let editor = read("cursor://anysphere.cursor-mcp/oauth/callback");
        assert_eq!(editor.place(), RedirectPlace::Program("cursor"));
        assert_eq!(editor.source(), "cursor:");
        let app = read("com.example.app:/oauth");
        assert_eq!(app.place(), RedirectPlace::Program("com.example.app"));
        assert!(!app.admits(&read("com.example.app:/other")));
    }

    #[test]
    fn another_address_is_admitted_as_the_same_text_only() {
        let registered = "https://app.example/cb";
        assert!(admits(registered, registered));
        for asked in [
            "https://app.example:444/cb",
            "https://app.example/cb?x=1",
            "https://app.example/cb/../evil",
            "https://APP.example/cb",
            "https://app.example.evil.example/cb",
        ] {
            assert!(!admits(registered, asked), "{asked}");
        }
    }

    #[test]
    fn what_a_browser_would_read_otherwise_is_refused() {
        let problem = |text: &str| text.parse::<RedirectUri>().unwrap_err();
        assert_eq!(problem("https://a\\@b/"), RedirectUriProblem::Character);
        assert_eq!(problem("https://a/ b"), RedirectUriProblem::Character);
        assert_eq!(problem("https://a/#b"), RedirectUriProblem::Fragment);
        assert_eq!(problem("http://app.example/"), RedirectUriProblem::Scheme);
        for scheme in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "blob:https://x/y",
            "about:blank",
            "ws://127.0.0.1/",
            "Cursor://a/cb",
            "COM.example.app:/cb",
            ".example:/cb",
            "/callback",
            "//evil.example/cb",
        ] {
            assert_eq!(problem(scheme), RedirectUriProblem::Scheme, "{scheme}");
        }
        assert_eq!(problem("com.example.app:cb"), RedirectUriProblem::NoHost);
        assert_eq!(
            problem("cursor://a@b/cb"),
            RedirectUriProblem::UserInformation
        );
        assert_eq!(problem("https://a@b/"), RedirectUriProblem::UserInformation);
        assert_eq!(problem("https:///cb"), RedirectUriProblem::NoHost);
        assert_eq!(problem("https://a%2eb/"), RedirectUriProblem::NoHost);
        assert_eq!(problem("https://[evil/"), RedirectUriProblem::NoHost);
        assert_eq!(problem("https://a:0/"), RedirectUriProblem::Port);
        assert_eq!(problem("https://a:+1/"), RedirectUriProblem::Port);
        assert_eq!(problem("http://[::1]x/"), RedirectUriProblem::Port);
        let long = format!("https://a/{}", "b".repeat(OAUTH_REDIRECT_URI_BYTES));
        assert_eq!(problem(&long), RedirectUriProblem::TooLong);
    }
}
