//! What protocol a client speaks, from its first bytes.
//!
//! The question is not "is this well-formed HTTP?" but "could any server take this for HTTP?": Python's `http.server`
//! splits a request line at any white space, nginx skips empty lines before it and takes an absolute URI without a
//! version. What such a server would read as a request must go through the strict parser, which then refuses it.

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstBytes {
    /// The start of something; nothing that ends a request line is in it.
    Undecided {
        /// How many bytes may be let through while more are waited for, without telling any server a whole request.
        harmless: usize,
    },
    /// TLS, beginning with a ClientHello.
    Tls,
    /// Something that a server may read as an HTTP request.
    Http,
    /// A whole request of HTTP/0.9 (RFC 1945 section 5), which some servers still take; nothing in it can be checked.
    SimpleHttp,
    /// Neither.
    Opaque,
}

/// The record type `handshake` of TLS.
const TLS_HANDSHAKE: u8 = 22;
/// The major version that every TLS record carries.
const TLS_MAJOR: u8 = 3;

/// Classifies the start of a client's byte stream.
///
/// [`FirstBytes::Undecided`] is the only answer that more bytes can change.
pub(crate) fn classify(bytes: &[u8]) -> FirstBytes {
    match bytes {
        [] | [TLS_HANDSHAKE] => return FirstBytes::Undecided { harmless: 0 },
        [TLS_HANDSHAKE, TLS_MAJOR, ..] => return FirstBytes::Tls,
        _ => {}
    }
    let start = bytes
        .iter()
        .position(|&b| !is_white_space(b))
        .unwrap_or(bytes.len());
    let text = &bytes[start..];
    let method_end = text
        .iter()
        .position(|&b| !is_token(b))
        .unwrap_or(text.len());
    match text.get(method_end) {
        None => {
            return FirstBytes::Undecided {
                harmless: bytes.len(),
            };
        }
        Some(&next)
            if method_end == 0 || next == b'\r' || next == b'\n' || !is_white_space(next) =>
        {
            return FirstBytes::Opaque;
        }
        Some(_) => {}
    }
    request_line(&text[..method_end], &text[method_end..], bytes.len())
}

/// Decides on what follows a word that could be a method and a white space.
fn request_line(method: &[u8], rest: &[u8], length: usize) -> FirstBytes {
    let simple_get = method.eq_ignore_ascii_case(b"get");
    let line_end = rest
        .iter()
        .position(|&b| b == b'\n' || (is_binary(b) && !simple_get));
    let line = &rest[..line_end.unwrap_or(rest.len())];
    let mut words = line
        .split(|&b| is_white_space(b))
        .filter(|word| !word.is_empty());
    let target = words.next().unwrap_or_default();
    if line
        .split(|&b| is_white_space(b))
        .any(|word| starts_with(word, b"http/"))
    {
        return FirstBytes::Http;
    }
    if line_end.is_some() {
        // It has no version, and its one method is GET.
        let is_uri = target.starts_with(b"/") || target.windows(3).any(|part| part == b"://");
        return if simple_get && is_uri && words.next().is_none() {
            FirstBytes::SimpleHttp
        } else {
            FirstBytes::Opaque
        };
    }
    // A carriage return may end the line for some server, and `HTTP` at the end may become ` HTTP/1.1`.
    let harmless = if simple_get || line.contains(&b'\r') {
        0
    } else {
        length - partial_version(line)
    };
    FirstBytes::Undecided { harmless }
}

/// How many bytes at the end of `line` may be the beginning of ` HTTP/`.
fn partial_version(line: &[u8]) -> usize {
    let word = line
        .iter()
        .rev()
        .take_while(|&&b| !is_white_space(b))
        .count();
    if starts_with(b"http/", &line[line.len() - word..]) {
        word
    } else {
        0
    }
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// A byte of a method (RFC 9110 section 5.6.2, `tchar`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// White space of the most lenient server there is: Python's `bytes.split`.
fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// A byte that no text protocol has in a line; UTF-8 is text.
fn is_binary(byte: u8) -> bool {
    (byte < 0x20 && !is_white_space(byte)) || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: FirstBytes) {
        assert_eq!(
            classify(bytes),
            expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }

    #[test]
    fn requests_are_http_as_soon_as_the_version_begins() {
        for text in [
            "GET / HTTP/",
            "POST /a b HTTP/1.1\r\n",
            "get / http/1.1",
            "\r\n\r\nGET / HTTP/1.1",
            "GET\t/\tHTTP/1.1\r\n",
            "GET  /  HTTP/1.1 junk\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "FOO http://x HTTP/1.1",
            " GET / HTTP/1.0",
            "GET / HTTP/1.1\rHost: other\r\r",
        ] {
            check(text.as_bytes(), FirstBytes::Http);
        }
        for text in ["GET http://other/\r\n", "GET /\n", "\nget  /x  \n"] {
            check(text.as_bytes(), FirstBytes::SimpleHttp);
        }
    }

    #[test]
    fn other_protocols_are_opaque_at_the_first_contradiction() {
        for text in [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            "SSH-2.0-x\r\n",
            "PING\r\n",
            "*1\r\n$4\r\nPING\r\n",
            "EHLO client.example\r\n",
            "a1 LOGIN user secret\r\n",
            "GET key\r\n",
            "USER a b c :d\r\n",
            "\0\0\0\x08\x04\x52\x16\x2f",
            "{\"json\": 1}",
            "U\0",
            "U \0",
            "\x16\x01",
            "OPTIONS rtsp://camera/1 RTSP/1.0\r\n",
        ] {
            check(text.as_bytes(), FirstBytes::Opaque);
        }
        check(&[0x80, 0x2e, 1], FirstBytes::Opaque);
    }

    #[test]
    fn a_client_hello_is_tls() {
        check(&[22], FirstBytes::Undecided { harmless: 0 });
        check(&[22, 3], FirstBytes::Tls);
        check(&[22, 3, 1, 0], FirstBytes::Tls);
    }

    #[test]
    fn a_line_without_an_end_is_undecided_and_never_a_whole_request() {
        for (text, harmless) in [
            ("hello", 5),
            ("\r\n", 2),
            ("hello world", 11),
            ("FOO / HTT", 6),
            ("FOO / H", 6),
            ("FOO ", 4),
            ("FOO /\r", 0),
            ("GET / ", 0),
            ("GET", 3),
        ] {
            check(text.as_bytes(), FirstBytes::Undecided { harmless });
        }
    }

    proptest::proptest! {
        #[test]
        fn a_class_never_changes_with_more_bytes(text in "[GEThtp/1. \r\nab:\\x00]{0,40}") {
            let whole = classify(text.as_bytes());
            for end in 0..text.len() {
                let early = classify(&text.as_bytes()[..end]);
                if let FirstBytes::Undecided { harmless } = early {
                    proptest::prop_assert!(harmless <= end);
                } else {
                    proptest::prop_assert_eq!(early, whole);
                }
            }
        }
    }
}
