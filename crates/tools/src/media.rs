//! What a file is, by its first bytes: names say nothing certain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::result::{Block, Source};

/// What the contents of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An image that models can see, of this media type.
    Image(&'static str),
    /// A PDF document.
    Pdf,
    /// Something that is no text.
    Binary,
    /// A text.
    Text,
}

const PDF: &str = "application/pdf";
/// How far in there may be a NUL for a file to count as binary, as grep and git have it.
const LOOK_BYTES: usize = 8000;

impl Kind {
    pub(crate) fn of(contents: &[u8]) -> Self {
        if contents.starts_with(b"\x89PNG\r\n\x1a\n") {
            Self::Image("image/png")
        } else if contents.starts_with(b"\xff\xd8\xff") {
            Self::Image("image/jpeg")
        } else if contents.starts_with(b"GIF87a") || contents.starts_with(b"GIF89a") {
            Self::Image("image/gif")
        } else if contents.starts_with(b"RIFF") && contents.get(8..12) == Some(b"WEBP") {
            Self::Image("image/webp")
        } else if contents.starts_with(b"%PDF-") {
            Self::Pdf
        } else if contents.iter().take(LOOK_BYTES).any(|byte| *byte == 0) {
            Self::Binary
        } else {
            Self::Text
        }
    }
}

pub(crate) fn image(media_type: &'static str, contents: &[u8]) -> Block {
    Block::Image {
        source: source(media_type, contents),
    }
}

pub(crate) fn document(contents: &[u8]) -> Block {
    Block::Document {
        source: source(PDF, contents),
    }
}

fn source(media_type: &'static str, contents: &[u8]) -> Source {
    Source {
        media_type,
        data: STANDARD.encode(contents),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_say_what_a_file_is() {
        for (contents, kind) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Kind::Image("image/png")),
            (b"\xff\xd8\xff\xe0", Kind::Image("image/jpeg")),
            (b"GIF89a", Kind::Image("image/gif")),
            (b"RIFF....WEBPVP8 ", Kind::Image("image/webp")),
            (b"RIFF....WAVEfmt ", Kind::Text),
            (b"%PDF-1.7\n", Kind::Pdf),
            (b"\x7fELF\x02\x01\x01\0", Kind::Binary),
            (b"", Kind::Text),
            (b"\xff\xfe text", Kind::Text),
        ] {
            assert_eq!(Kind::of(contents), kind, "{contents:?}");
        }
    }
}
