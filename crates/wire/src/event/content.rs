//! What messages and results are made of.

use bailiwick_model::limits;
use serde::{Deserialize, Serialize};

use crate::request::{Place, Reader};

/// One block of a message or a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    /// Text.
    Text {
        /// At least one character.
        text: String,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: ImageSource,
    },
    /// A document.
    Document {
        /// Where it is.
        source: DocumentSource,
        /// What it is called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// What a model should know about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<String>,
    },
    /// What a search found.
    SearchResult {
        /// Where it was found.
        source: String,
        /// What it is called.
        title: String,
        /// What it says.
        content: Vec<TextBlock>,
        /// Whether a model may cite it.
        citations: Citations,
    },
}

/// Text, where nothing else can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextBlock {
    /// Text.
    Text {
        /// At least one character.
        text: String,
    },
}

/// Whether something may be cited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citations {
    /// It may.
    pub enabled: bool,
}

/// Where a picture is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ImageSource {
    /// Here.
    Base64 {
        /// What kind of picture it is.
        media_type: String,
        /// Its bytes.
        data: String,
    },
    /// On the web.
    Url {
        /// Where.
        url: String,
    },
    /// In a file of the organization.
    File {
        /// In which.
        file_id: String,
    },
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DocumentSource {
    /// Here.
    Base64 {
        /// What kind of document it is.
        media_type: String,
        /// Its bytes.
        data: String,
    },
    /// Here, as plain text.
    Text {
        /// `text/plain`.
        media_type: String,
        /// The text.
        data: String,
    },
    /// On the web.
    Url {
        /// Where.
        url: String,
    },
    /// In a file of the organization.
    File {
        /// In which.
        file_id: String,
    },
}

/// Which blocks may stand in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    /// Those of a message.
    Message,
    /// Those of a result, with what a search found.
    Result,
}

#[derive(Debug, Clone, Copy)]
enum BlockKind {
    Text,
    Image,
    Document,
    SearchResult,
}

#[derive(Debug, Clone, Copy)]
enum SourceKind {
    Base64,
    Text,
    Url,
    File,
}

impl ContentBlock {
    /// The id of the file that it is in, if it is in one.
    pub fn file_id(&self) -> Option<&str> {
        match self {
            Self::Image {
                source: ImageSource::File { file_id },
            }
            | Self::Document {
                source: DocumentSource::File { file_id },
                ..
            } => Some(file_id),
            Self::Text { .. }
            | Self::Image { .. }
            | Self::Document { .. }
            | Self::SearchResult { .. } => None,
        }
    }

    /// Whether it is a document in a file.
    pub(super) fn is_file_document(&self) -> bool {
        matches!(
            self,
            Self::Document {
                source: DocumentSource::File { .. },
                ..
            }
        )
    }

    fn read(reader: &mut Reader, place: &Place<'_>, blocks: Blocks) -> Option<Self> {
        let all = [
            ("text", BlockKind::Text),
            ("image", BlockKind::Image),
            ("document", BlockKind::Document),
            ("search_result", BlockKind::SearchResult),
        ];
        let words = match blocks {
            Blocks::Message => &all[..3],
            Blocks::Result => &all[..],
        };
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let Some(kind) = kind.and_then(|place| reader.word(&place, words)) else {
                // Which other fields there may be depends on it.
                fields.ignore_rest();
                return None;
            };
            match kind {
                BlockKind::Text => {
                    let text = fields.required(reader, "text")?;
                    let text = reader.text(&text, 1..=usize::MAX)?.to_owned();
                    Some(Self::Text { text })
                }
                BlockKind::Image => {
                    let source = fields.required(reader, "source")?;
                    let source = ImageSource::read(reader, &source)?;
                    Some(Self::Image { source })
                }
                BlockKind::Document => {
                    let (source, title, context) = (
                        fields.required(reader, "source"),
                        fields.take("title"),
                        fields.take("context"),
                    );
                    let mut text = |place: Option<Place<'_>>, most| match place {
                        Some(place) => reader.text(&place, 0..=most).map(|it| Some(it.to_owned())),
                        None => Some(None),
                    };
                    let title = text(title, limits::DOCUMENT_TITLE_CHARS);
                    let context = text(context, usize::MAX);
                    Some(Self::Document {
                        source: DocumentSource::read(reader, &source?)?,
                        title: title?,
                        context: context?,
                    })
                }
                BlockKind::SearchResult => {
                    let (source, title, content, citations) = (
                        fields.required(reader, "source"),
                        fields.required(reader, "title"),
                        fields.required(reader, "content"),
                        fields.required(reader, "citations"),
                    );
                    let source = source.and_then(|it| reader.text(&it, 1..=usize::MAX));
                    let title = title.and_then(|it| reader.text(&it, 1..=usize::MAX));
                    let content = content.and_then(|it| texts(reader, &it, 0));
                    let citations = citations.and_then(|it| Citations::read(reader, &it));
                    Some(Self::SearchResult {
                        source: source?.to_owned(),
                        title: title?.to_owned(),
                        content: content?,
                        citations: citations?,
                    })
                }
            }
        })
    }
}

impl TextBlock {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let (kind, text) = (
                fields.required(reader, "type"),
                fields.required(reader, "text"),
            );
            reader.word(&kind?, &[("text", ())])?;
            let text = reader.text(&text?, 1..=usize::MAX)?.to_owned();
            Some(Self::Text { text })
        })
    }
}

impl Citations {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let enabled = fields.required(reader, "enabled")?;
            let enabled = reader.boolean(&enabled)?;
            Some(Self { enabled })
        })
    }
}

impl ImageSource {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        let words = [
            ("base64", SourceKind::Base64),
            ("url", SourceKind::Url),
            ("file", SourceKind::File),
        ];
        Some(match DocumentSource::of(reader, place, &words)? {
            DocumentSource::Base64 { media_type, data } => Self::Base64 { media_type, data },
            DocumentSource::Url { url } => Self::Url { url },
            DocumentSource::File { file_id } => Self::File { file_id },
            DocumentSource::Text { .. } => return None,
        })
    }
}

impl DocumentSource {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        let words = [
            ("base64", SourceKind::Base64),
            ("text", SourceKind::Text),
            ("url", SourceKind::Url),
            ("file", SourceKind::File),
        ];
        Self::of(reader, place, &words)
    }

    fn of(
        reader: &mut Reader,
        place: &Place<'_>,
        words: &[(&'static str, SourceKind)],
    ) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let kind = fields.required(reader, "type");
            let Some(kind) = kind.and_then(|place| reader.word(&place, words)) else {
                fields.ignore_rest();
                return None;
            };
            match kind {
                SourceKind::Base64 => {
                    let (media_type, data) = (
                        fields.required(reader, "media_type"),
                        fields.required(reader, "data"),
                    );
                    let media_type =
                        media_type.and_then(|it| reader.text(&it, 1..=limits::MEDIA_TYPE_BYTES));
                    Some(Self::Base64 {
                        data: base64(reader, &data?)?,
                        media_type: media_type?.to_owned(),
                    })
                }
                SourceKind::Text => {
                    let (media_type, data) = (
                        fields.required(reader, "media_type"),
                        fields.required(reader, "data"),
                    );
                    reader.word(&media_type?, &[("text/plain", ())])?;
                    Some(Self::Text {
                        media_type: "text/plain".to_owned(),
                        data: reader.text(&data?, 1..=usize::MAX)?.to_owned(),
                    })
                }
                SourceKind::Url => {
                    let url = fields.required(reader, "url")?;
                    web_address(reader, &url).map(|url| Self::Url { url })
                }
                SourceKind::File => {
                    let file = fields.required(reader, "file_id")?;
                    let file_id = reader.text(&file, 1..=limits::REFERENCE_CHARS)?.to_owned();
                    Some(Self::File { file_id })
                }
            }
        })
    }
}

fn base64(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.text(place, 1..=usize::MAX)?;
    let data = text.trim_end_matches('=');
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if text.len() % 4 == 0 && text.len() - data.len() <= 2 && data.bytes().all(is_digit) {
        return Some(text.to_owned());
    }
    let message = "is not base 64 (RFC 4648, section 4)";
    reader.refuse(
        &place.path,
        "invalid_base64",
        message,
        "encode the bytes with padding",
    );
    None
}

fn web_address(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let text = reader.text(place, 1..=limits::CONTENT_URL_CHARS)?;
    let host = ["https://", "http://"]
        .iter()
        .find_map(|it| text.strip_prefix(it));
    if host.is_some_and(|host| !host.is_empty() && !text.contains(char::is_whitespace)) {
        return Some(text.to_owned());
    }
    let help = "write https://HOST/PATH";
    reader.refuse(
        &place.path,
        "invalid_url",
        "is not an address of the web",
        help,
    );
    None
}

/// A list of blocks; of documents in files it has so many at most.
pub(super) fn blocks(
    reader: &mut Reader,
    place: &Place<'_>,
    kinds: Blocks,
    least: usize,
) -> Option<Vec<ContentBlock>> {
    let places = reader.list(place, least..=limits::CONTENT_BLOCKS)?;
    reader.each(&places, |reader, place| {
        ContentBlock::read(reader, place, kinds)
    })
}

/// A list of texts.
pub(super) fn texts(
    reader: &mut Reader,
    place: &Place<'_>,
    least: usize,
) -> Option<Vec<TextBlock>> {
    let places = reader.list(place, least..=limits::CONTENT_BLOCKS)?;
    reader.each(&places, TextBlock::read)
}
