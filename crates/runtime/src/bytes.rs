//! Paths, arguments and variables for serde: as bytes, since none of them need be UTF-8.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path: text where it is UTF-8, which it nearly always is, else its bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl From<&OsStr> for Text {
    fn from(string: &OsStr) -> Self {
        match string.to_str() {
            Some(text) => Self::Utf8(text.to_owned()),
            None => Self::Bytes(string.as_bytes().to_owned()),
        }
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> Self {
        match text {
            Text::Utf8(text) => text.into(),
            Text::Bytes(bytes) => Self::from_vec(bytes),
        }
    }
}

/// One string or path.
pub mod os_string {
    use super::*;

    /// Writes it.
    pub fn serialize<S: Serializer>(
        string: &impl AsRef<OsStr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Text::from(string.as_ref()).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>, T: From<OsString>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        Text::deserialize(deserializer).map(|text| OsString::from(text).into())
    }
}

pub(crate) mod os_strings {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        strings: &[OsString],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(strings.iter().map(|s| Text::from(s.as_os_str())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<OsString>, D::Error> {
        let texts = Vec::<Text>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(OsString::from).collect())
    }
}

pub(crate) mod variables {
    use std::collections::BTreeMap;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        variables: &BTreeMap<OsString, OsString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let pair = |(name, value): (&OsString, &OsString)| {
            (Text::from(name.as_os_str()), Text::from(value.as_os_str()))
        };
        serializer.collect_seq(variables.iter().map(pair))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<OsString, OsString>, D::Error> {
        let pairs = Vec::<(Text, Text)>::deserialize(deserializer)?;
        let pair = |(name, value): (Text, Text)| (name.into(), value.into());
        Ok(pairs.into_iter().map(pair).collect())
    }
}

pub(crate) mod optional_path {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = path.as_ref().map(|path| Text::from(path.as_os_str()));
        text.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<Text>::deserialize(deserializer)?;
        Ok(text.map(|text| OsString::from(text).into()))
    }
}
