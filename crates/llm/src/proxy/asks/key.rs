//! The fields of requests that matter.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

use super::NotARequest;
use super::reading::Reading;

/// A field that matters somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Key {
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
    Messages,
    System,
    Input,
    Instructions,
    Tools,
    Functions,
    Function,
    McpServers,
    ServerUrl,
    ServerLabel,
    Name,
    Type,
    Url,
    ImageUrl,
    FileUrl,
    FileId,
    MediaType,
    Container,
    PreviousResponseId,
    Conversation,
    Prompt,
    Prediction,
    Background,
    WebSearchOptions,
    ServiceTier,
    Speed,
    InferenceGeo,
    Modalities,
    Arguments,
    Annotations,
    Citations,
    CacheControl,
    Audio,
    Models,
    Fallbacks,
    Plugins,
    ContextManagement,
}

/// Each with its name.
const KEYS: [(Key, &str); 45] = [
    (Key::Model, "model"),
    (Key::Stream, "stream"),
    (Key::StreamOptions, "stream_options"),
    (Key::IncludeUsage, "include_usage"),
    (Key::MaxTokens, "max_tokens"),
    (Key::MaxCompletionTokens, "max_completion_tokens"),
    (Key::MaxOutputTokens, "max_output_tokens"),
    (Key::N, "n"),
    (Key::Messages, "messages"),
    (Key::System, "system"),
    (Key::Input, "input"),
    (Key::Instructions, "instructions"),
    (Key::Tools, "tools"),
    (Key::Functions, "functions"),
    (Key::Function, "function"),
    (Key::McpServers, "mcp_servers"),
    (Key::ServerUrl, "server_url"),
    (Key::ServerLabel, "server_label"),
    (Key::Name, "name"),
    (Key::Type, "type"),
    (Key::Url, "url"),
    (Key::ImageUrl, "image_url"),
    (Key::FileUrl, "file_url"),
    (Key::FileId, "file_id"),
    (Key::MediaType, "media_type"),
    (Key::Container, "container"),
    (Key::PreviousResponseId, "previous_response_id"),
    (Key::Conversation, "conversation"),
    (Key::Prompt, "prompt"),
    (Key::Prediction, "prediction"),
    (Key::Background, "background"),
    (Key::WebSearchOptions, "web_search_options"),
    (Key::ServiceTier, "service_tier"),
    (Key::Speed, "speed"),
    (Key::InferenceGeo, "inference_geo"),
    (Key::Modalities, "modalities"),
    (Key::Arguments, "arguments"),
    (Key::Annotations, "annotations"),
    (Key::Citations, "citations"),
    (Key::CacheControl, "cache_control"),
    (Key::Audio, "audio"),
    (Key::Models, "models"),
    (Key::Fallbacks, "fallbacks"),
    (Key::Plugins, "plugins"),
    (Key::ContextManagement, "context_management"),
];

impl Key {
    pub(super) fn name(self) -> &'static str {
        KEYS[self as usize].1
    }

    /// The field of this name; nothing for one that matters nowhere. Parsers that do not mind the case (Go's, which Ollama is read by, folds two
    /// letters beyond ASCII too) would take another spelling for the same field.
    pub(super) fn of(name: &str) -> Result<Option<Self>, NotARequest> {
        // A folded letter has three bytes at most where the name has one.
        if name.len() > 3 * LONGEST {
            return Ok(None);
        }
        let same_length = |known: &&(Key, &str)| known.1.len() == name.len();
        if let Some((key, _)) = KEYS
            .iter()
            .filter(same_length)
            .find(|known| known.1 == name)
        {
            return Ok(Some(*key));
        }
        if !has_another_case(name) {
            return Ok(None);
        }
        let almost = KEYS
            .iter()
            .find(|(_, known)| folded(name).eq(known.chars()));
        match almost {
            Some((_, field)) => Err(NotARequest::Spelling { field }),
            None => Ok(None),
        }
    }
}

const LONGEST: usize = "max_completion_tokens".len();

fn has_another_case(name: &str) -> bool {
    name.bytes()
        .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
}

fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    })
}

/// The fields that an object had so far.
#[derive(Debug, Default)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) fn add(&mut self, key: Key) -> Result<(), NotARequest> {
        let bit = 1 << (key as u8);
        if self.0 & bit != 0 {
            return Err(NotARequest::Twice { field: key.name() });
        }
        self.0 |= bit;
        Ok(())
    }
}

/// Reads one key of an object, which must not be there twice.
pub(super) struct KeyIn<'r, 'b> {
    pub(super) reading: &'r mut Reading<'b>,
    pub(super) seen: &'r mut Seen,
}

impl<'b> DeserializeSeed<'b> for KeyIn<'_, 'b> {
    type Value = Option<Key>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Option<Key>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIn<'_, '_> {
    type Value = Option<Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Option<Key>, E> {
        let key = Key::of(name).and_then(|key| {
            key.map_or(Ok(()), |key| self.seen.add(key))?;
            Ok(key)
        });
        key.map_err(|error| self.reading.refuse(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_key_at_its_place() {
        for (place, (key, name)) in KEYS.iter().enumerate() {
            assert_eq!(*key as usize, place);
            assert_eq!(Key::of(name), Ok(Some(*key)));
            assert!(name.len() <= LONGEST);
        }
    }

    #[test]
    fn another_spelling_that_some_parser_takes_is_none() {
        let field = |name: &str| Key::of(name).unwrap_err();
        let model = NotARequest::Spelling { field: "model" };
        assert_eq!(field("Model"), model);
        assert_eq!(field("MODEL"), model);
        let stream = NotARequest::Spelling { field: "stream" };
        assert_eq!(field("\u{17f}tream"), stream);
        let cap = NotARequest::Spelling {
            field: "max_tokens",
        };
        assert_eq!(field("max_to\u{212a}en\u{17f}"), cap);
        assert_eq!(Key::of("modes"), Ok(None));
        assert_eq!(Key::of("Modell"), Ok(None));
        assert_eq!(Key::of(&"M".repeat(1000)), Ok(None));
    }
}
