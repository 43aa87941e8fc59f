//! Distinct types for the names of things, so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing is left after trimming.
    #[error("is empty")]
    Empty,
    /// Longer than the kind of name allows; the limit in characters.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// Holds a character that the kind of name does not allow.
    #[error("holds the character {0:?}, which is not allowed there")]
    Character(char),
}

/// The name of an environment, as people typed it: 1 to 256 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(String);

impl EnvironmentName {
    /// The most characters a name may have (the limit of the Managed Agents wire API).
    pub const MAX_CHARS: usize = 256;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvironmentName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let name = text.trim();
        if name.is_empty() {
            return Err(InvalidId::Empty);
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(InvalidId::TooLong(Self::MAX_CHARS));
        }
        match name.chars().find(|c| c.is_control()) {
            Some(c) => Err(InvalidId::Character(c)),
            None => Ok(Self(name.to_owned())),
        }
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<EnvironmentName> for String {
    fn from(name: EnvironmentName) -> Self {
        name.0
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of one sandbox on one machine: 1 to 32 characters of `a-z`, `0-9` and `-`.
///
/// It is short enough to be typed, and safe as a file name, a cgroup name and a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxId(String);

impl SandboxId {
    /// The most characters an id may have.
    pub const MAX_CHARS: usize = 32;

    /// An id made from random bits; 13 characters, base 32.
    pub fn from_random(bits: u64) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let text = (0..13)
            .map(|digit| char::from(ALPHABET[(bits >> (digit * 5)) as usize & 31]))
            .collect();
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SandboxId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidId::TooLong(Self::MAX_CHARS));
        }
        match text
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'))
        {
            Some(c) => Err(InvalidId::Character(c)),
            None if text.starts_with('-') => Err(InvalidId::Character('-')),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for SandboxId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<SandboxId> for String {
    fn from(id: SandboxId) -> Self {
        id.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_name_is_trimmed_and_bounded() {
        assert_eq!("  dev ".parse::<EnvironmentName>().unwrap().as_str(), "dev");
        assert_eq!("   ".parse::<EnvironmentName>(), Err(InvalidId::Empty));
        assert_eq!(
            "a\u{1b}]0;".parse::<EnvironmentName>(),
            Err(InvalidId::Character('\u{1b}'))
        );
        assert_eq!(
            "é".repeat(257).parse::<EnvironmentName>(),
            Err(InvalidId::TooLong(256))
        );
    }

    #[test]
    fn a_random_sandbox_id_parses_again() {
        for bits in [0, 1, u64::MAX, 0xdead_beef_cafe_f00d] {
            let id = SandboxId::from_random(bits);
            assert_eq!(id.as_str().parse::<SandboxId>().as_ref(), Ok(&id));
        }
    }

    #[test]
    fn a_sandbox_id_cannot_name_another_file() {
        for bad in ["..", "a/b", "-rf", "A", "", "a\0"] {
            assert!(bad.parse::<SandboxId>().is_err(), "{bad:?} was taken");
        }
    }
}
