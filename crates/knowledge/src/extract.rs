//! From bytes to a text and its title.

mod markdown;
mod names;
pub(crate) mod pdf;

use bailiwick_html::{decode, is_html, page};
use bailiwick_model::limits::{KNOWLEDGE_DOCUMENT_BYTES, KNOWLEDGE_TEXT_BYTES};

use crate::Kind;
use pdf::{PdfError, ReadPdf};

/// Bytes that a text is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What their source calls them, as it was sent.
    pub media_type: Option<String>,
    /// The name of the file, or the last part of an address.
    pub name: String,
}

/// A text, and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// What it was.
    pub kind: Kind,
    /// What it calls itself.
    pub title: Option<String>,
    /// The text, with line feeds alone at the ends of lines, and without characters that are not seen.
    pub text: String,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// It is no text, such as a picture.
    #[error("it is no text")]
    Binary,
    /// It is larger than is read.
    #[error("it has more than {KNOWLEDGE_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// Its text is larger than is kept.
    #[error("its text has more than {KNOWLEDGE_TEXT_BYTES} bytes")]
    TooMuchText,
    /// Reading it panicked, or the process ends.
    #[error("reading it was interrupted")]
    Interrupted,
    /// It is a PDF document that cannot be read.
    #[error(transparent)]
    Pdf(#[from] PdfError),
}

/// How far in there may be a NUL for bytes to count as no text, as grep and git have it.
const LOOK_BYTES: usize = 8000;

/// Makes a text. A PDF document is `pdf`'s to read. Anything else is read on a thread that may wait, in time in proportion to its length.
///
/// # Errors
///
/// See [`ExtractError`].
pub async fn extract(material: Material, pdf: &dyn ReadPdf) -> Result<Extracted, ExtractError> {
    if material.bytes.len() > KNOWLEDGE_DOCUMENT_BYTES {
        return Err(ExtractError::TooLarge);
    }
    if material.bytes.starts_with(b"%PDF-") {
        let read = pdf.read(material.bytes).await?;
        return kept(Kind::Pdf, read.title, &read.text);
    }
    let reading = tokio::task::spawn_blocking(move || text_of(&material));
    reading.await.unwrap_or(Err(ExtractError::Interrupted))
}

/// Makes a text of anything but PDF, in time in proportion to its length.
///
/// # Errors
///
/// See [`ExtractError`].
pub fn text_of(material: &Material) -> Result<Extracted, ExtractError> {
    let media_type = material.media_type.as_deref().unwrap_or_default();
    let is_wide = matches!(material.bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let start = &material.bytes[..material.bytes.len().min(LOOK_BYTES)];
    if !is_wide && start.contains(&0) {
        return Err(ExtractError::Binary);
    }
    let decoded = decode(Some(media_type), &material.bytes);
    // What begins like a page is one, if nobody says otherwise.
    let kind = names::kind(media_type, &material.name).unwrap_or_else(|| {
        if is_html(media_type, &decoded) {
            Kind::Html
        } else {
            Kind::Text
        }
    });
    match kind {
        Kind::Html => {
            let page = page(&decoded, 0);
            let title = page.title.or_else(|| markdown::first_heading(&page.text));
            kept(kind, title, &page.text)
        }
        Kind::Markdown => {
            let (title, text) = markdown::without_front_matter(&decoded);
            let title = title.or_else(|| markdown::first_heading(text));
            kept(kind, title, text)
        }
        // What calls itself PDF and does not begin so is none.
        Kind::Pdf => Err(PdfError::Malformed.into()),
        Kind::Text | Kind::Code => kept(kind, None, &decoded),
    }
}

/// The text as it is kept: bounded, and with nothing in it that is not seen.
pub(crate) fn kept(
    kind: Kind,
    title: Option<String>,
    text: &str,
) -> Result<Extracted, ExtractError> {
    if text.len() > KNOWLEDGE_TEXT_BYTES {
        return Err(ExtractError::TooMuchText);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\u{c}' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\n' | '\t' => clean.push(character),
            other if is_unseen(other) => {}
            other => clean.push(other),
        }
    }
    // A line separator is shorter than it was, so this is no longer than that.
    Ok(Extracted {
        kind,
        title,
        text: clean,
    })
}

/// Whether a character is not seen where it stands, and so may say to a model what no person reads: control characters; spaces without width, soft
/// hyphens and other marks for whoever lays out text; what turns its direction; and tags, which are a whole alphabet (Unicode 17, chapter 23).
/// What joins letters and what chooses their form stays: some languages, and pictures made of several, need it.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

impl ExtractError {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Pdf(error) => error.is_transient(),
            Self::Interrupted => true,
            Self::Binary | Self::TooLarge | Self::TooMuchText => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn material(name: &str, media_type: Option<&str>, bytes: &[u8]) -> Material {
        Material {
            bytes: bytes.to_owned(),
            media_type: media_type.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_it_is_follows_from_its_type_then_its_name_then_its_beginning() {
        for (name, media_type, bytes, kind, title, text) in [
            (
                "a.md",
                None,
                &b"# One\r\n\r\nx"[..],
                Kind::Markdown,
                Some("One"),
                "# One\n\nx",
            ),
            (
                "README.MD",
                None,
                b"---\ntitle: \"Two\"\ndate: x\n---\n# One\n",
                Kind::Markdown,
                Some("Two"),
                "# One\n",
            ),
            (
                "a",
                Some("text/html; charset=utf-8"),
                b"<title>T</title><p>x",
                Kind::Html,
                Some("T"),
                "x",
            ),
            (
                "a",
                None,
                b"<!doctype html><h1>H</h1>x",
                Kind::Html,
                Some("H"),
                "# H\n\nx",
            ),
            ("a.rs", None, b"// x\x07\n", Kind::Code, None, "// x\n"),
            (
                "a.html",
                Some("text/plain"),
                b"<p>",
                Kind::Text,
                None,
                "<p>",
            ),
            (
                "a.txt",
                Some("application/octet-stream"),
                b"x",
                Kind::Text,
                None,
                "x",
            ),
            ("LICENSE", None, b"\xef\xbb\xbfx", Kind::Text, None, "x"),
            ("a", Some("application/json"), b"{}", Kind::Code, None, "{}"),
        ] {
            let extracted = text_of(&material(name, media_type, bytes)).unwrap();
            assert_eq!(extracted.kind, kind, "{name}");
            assert_eq!(extracted.title.as_deref(), title, "{name}");
            assert_eq!(extracted.text, text, "{name}");
        }
    }

    #[test]
    fn nothing_is_kept_that_a_model_reads_and_a_person_does_not_see() {
        let tags: String = "ignore all"
            .chars()
            .map(|c| char::from_u32(0xe0000 + u32::from(c)).unwrap())
            .collect();
        let text = format!("a{tags}\u{202e}b\u{200b}\u{2066}c\u{ad}d\u{feff}");
        let html = format!("<title>{tags}T\u{202e}</title><p>{text}");
        for (name, text) in [("a.txt", &text), ("a.md", &text), ("a.html", &html)] {
            let extracted = text_of(&material(name, None, text.as_bytes())).unwrap();
            assert_eq!(extracted.text, "abcd", "{name}");
        }
        // What joins letters stays.
        let joined = "\u{645}\u{6cc}\u{200c}\u{62e} \u{1f469}\u{200d}\u{1f680}\u{fe0f}";
        let extracted = text_of(&material("a.txt", None, joined.as_bytes())).unwrap();
        assert_eq!(extracted.text, joined);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let refused = |name, bytes| text_of(&material(name, None, bytes)).unwrap_err();
        assert!(matches!(
            refused("a.png", b"\x89PNG\r\n\x1a\n\0\0"),
            ExtractError::Binary
        ));
        assert!(matches!(
            refused("a.pdf", b"hello"),
            ExtractError::Pdf(PdfError::Malformed)
        ));
        let long = vec![b'x'; KNOWLEDGE_TEXT_BYTES + 1];
        assert!(matches!(refused("a.txt", &long), ExtractError::TooMuchText));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(name in "[a-z]{0,3}\\.(md|html|txt|rs)", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(extracted) = text_of(&material(&name, None, &bytes)) {
                prop_assert!(!extracted.text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
            }
        }
    }
}
