//! Keys of upstreams.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::limits::ACCESS_TOKEN_CHARS;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use memchr::memmem;
use zeroize::Zeroizing;

/// A key of an upstream. It cannot be printed, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// A text that no header may carry as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a model key is 1 to {ACCESS_TOKEN_CHARS} printable ASCII characters without spaces; check for a line break that was copied with it"
)]
pub struct NotASecret;

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > ACCESS_TOKEN_CHARS || !printable {
            return Err(NotASecret);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl Secret {
    /// As the value of a header, after `prefix`. The header is marked, so that neither a log nor HTTP/2's table of headers keeps it.
    pub(crate) fn header(&self, prefix: &str) -> HeaderValue {
        let text = Zeroizing::new(format!("{prefix}{}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).expect("its characters were checked");
        value.set_sensitive(true);
        value
    }

    /// Takes the key out of a text of the upstream's, which may well repeat it.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(self.0.as_str(), "[key]")
    }

    /// Whether bytes of the upstream's repeat it.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        memmem::find(bytes, self.0.as_bytes()).is_some()
    }

    /// The same bytes without it; the same memory if it is not there.
    pub(crate) fn cut_out_of(&self, bytes: Bytes) -> Bytes {
        if !self.is_in(&bytes) {
            return bytes;
        }
        let (mut out, mut from) = (Vec::with_capacity(bytes.len()), 0);
        for at in memmem::find_iter(&bytes, self.0.as_bytes()) {
            out.extend_from_slice(&bytes[from..at]);
            out.extend_from_slice(b"[key]");
            from = at + self.0.len();
        }
        out.extend_from_slice(&bytes[from..]);
        out.into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}
