//! What a connector gives.

use std::fmt;
use std::str::FromStr;

use bailiwick_model::limits::{
    KNOWLEDGE_CURSOR_BYTES, KNOWLEDGE_KEY_BYTES, KNOWLEDGE_REVISION_BYTES,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

/// What a document is called within its connector, for as long as it is there: a path, an address, an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentKey(String);

/// By what a change of a document is seen. What it says is its connector's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision(String);

/// What a connector remembers from one sync to the next. What it says is its own business; one that it does not understand counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

/// Why a text is no key, no revision or no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is too long.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// It would not be seen as what it is.
    #[error("it has control characters")]
    Control,
}

/// What the text of a document was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Markdown: its headings are marked, and it is kept as written.
    Markdown,
    /// HTML, or a format that is made like it; lines of headings begin with `#`, as in Markdown.
    Html,
    /// Text of any kind.
    Text,
    /// What a machine reads first: programs, configuration.
    Code,
    /// PDF.
    Pdf,
}

/// A document, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is called.
    pub key: DocumentKey,
    /// For people, one line; what it calls itself, else the end of its key.
    pub title: String,
    /// Where people find it.
    pub link: Option<Url>,
    /// What its text was.
    pub kind: Kind,
    /// As its source said, else what is usual for its kind.
    pub media_type: String,
    /// What it says, with line feeds alone at the ends of lines, and without characters that are not seen.
    pub text: String,
    /// By what its next change is seen.
    pub revision: Revision,
    /// When it last changed, if its source knows.
    pub updated_at: Option<Timestamp>,
}

impl DocumentKey {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part, for people.
    pub(crate) fn last_part(&self) -> &str {
        let mut parts = self.0.rsplit('/').filter(|part| !part.is_empty());
        parts.next().unwrap_or(&self.0)
    }
}

impl Revision {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cursor {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn named(text: String, most: usize) -> Result<String, NotAName> {
    if text.is_empty() {
        Err(NotAName::Empty)
    } else if text.len() > most {
        Err(NotAName::TooLong(most))
    } else if text.contains(char::is_control) {
        Err(NotAName::Control)
    } else {
        Ok(text)
    }
}

/// The three are texts, each with its own bound.
macro_rules! text {
    ($name:ident, $most:expr) => {
        impl TryFrom<String> for $name {
            type Error = NotAName;

            fn try_from(text: String) -> Result<Self, NotAName> {
                named(text, $most).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = NotAName;

            fn from_str(text: &str) -> Result<Self, NotAName> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(DocumentKey, KNOWLEDGE_KEY_BYTES);
text!(Revision, KNOWLEDGE_REVISION_BYTES);
text!(Cursor, KNOWLEDGE_CURSOR_BYTES);

impl Kind {
    /// What documents of it are usually called.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Text | Self::Code => "text/plain",
            Self::Pdf => "application/pdf",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_text_that_is_seen_as_what_it_is() {
        let key = |text: &str| text.parse::<DocumentKey>();
        assert_eq!(key("docs/a b.md").unwrap().last_part(), "a b.md");
        assert_eq!(key("https://a.test/x/").unwrap().last_part(), "x");
        assert_eq!(key(""), Err(NotAName::Empty));
        assert_eq!(key("a\nb"), Err(NotAName::Control));
        let long = "x".repeat(KNOWLEDGE_KEY_BYTES + 1);
        assert_eq!(key(&long), Err(NotAName::TooLong(KNOWLEDGE_KEY_BYTES)));
    }
}
