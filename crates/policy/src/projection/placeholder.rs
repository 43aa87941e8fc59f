//! A text that stands for a secret inside.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::{SecretText, limits};

use super::{CredentialHosts, FieldName};

/// A secret that stands where a placeholder was.
#[derive(Debug, Clone)]
pub struct PlaceholderProjection {
    /// What stands for the secret inside.
    pub placeholder: Placeholder,
    /// The secret.
    pub secret: SecretText,
    /// Where it goes.
    pub hosts: CredentialHosts,
    /// In which header fields of a request.
    pub headers: HeaderFields,
    /// Whether in the body of a request. An API that can be made to return what was written to it reflects the secret then.
    pub body: bool,
}

/// In which header fields of a request a placeholder is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderFields {
    /// In none.
    None,
    /// In all that are not about the connection itself.
    All,
    /// In these.
    Named(Vec<FieldName>),
}

impl HeaderFields {
    /// Whether the field of this name, in lower case, is one of them.
    pub fn contain(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(|own| own.as_str() == name),
        }
    }
}

/// What stands for a secret inside: it tells nothing about the secret, and nobody guesses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Placeholder(String);

/// A text that cannot be a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a placeholder has {} to {} of the characters A-Z, a-z, 0-9, `_` and `-`",
    limits::PLACEHOLDER_LEAST_BYTES,
    limits::PLACEHOLDER_BYTES
)]
pub struct PlaceholderError;

impl Placeholder {
    /// A new one, of 16 random bytes.
    pub fn of(random: [u8; 16]) -> Self {
        Self(format!(
            "bw_placeholder_{:032x}",
            u128::from_be_bytes(random)
        ))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Placeholder {
    type Err = PlaceholderError;

    fn from_str(text: &str) -> Result<Self, PlaceholderError> {
        let length = limits::PLACEHOLDER_LEAST_BYTES..=limits::PLACEHOLDER_BYTES;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if length.contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PlaceholderError)
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
