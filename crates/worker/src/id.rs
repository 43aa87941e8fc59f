//! Ids, as a service makes them.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::limits::WIRE_ID_CHARS;
use serde::{Deserialize, Serialize};

/// An id of a service: 1 to 128 letters, digits, `_` and `-`, so that it is one segment of a path and one name of a file, whoever made it up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct WireId(Box<str>);

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {WIRE_ID_CHARS} letters, digits, `_` and `-`")]
pub struct NotAnId;

impl WireId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for WireId {
    type Error = NotAnId;

    fn try_from(text: Box<str>) -> Result<Self, NotAnId> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=WIRE_ID_CHARS).contains(&text.len()) && text.bytes().all(is_good) {
            Ok(Self(text))
        } else {
            Err(NotAnId)
        }
    }
}

impl FromStr for WireId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Box::<str>::from(text).try_into()
    }
}

impl From<WireId> for Box<str> {
    fn from(id: WireId) -> Self {
        id.0
    }
}

impl fmt::Display for WireId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_name_another_file_or_route() {
        for good in ["sesn_011CZkZ9X2dpNyB7HsEFoRfW", "a-b", &"x".repeat(128)] {
            assert!(good.parse::<WireId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a?b",
            "a\nb",
            "ä",
            "a%2fb",
            &"x".repeat(129),
        ] {
            assert_eq!(bad.parse::<WireId>(), Err(NotAnId), "{bad}");
        }
    }
}
