//! One pass over the bytes of a request, without building a tree.

mod content;
mod tools;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bailiwick_model::limits::{
    LLM_CHOICES, LLM_MODEL_CHARS, LLM_REQUEST_BYTES, LLM_TOKENS_OF_REQUEST,
};
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::key::{Key, KeyIn, Seen};
use super::{AskedModel, AskedTool, Asks, AsksUsage, NotARequest};
use crate::proxy::Endpoint;
use content::Content;
use tools::{McpServers, Tools};
use value::{Anything, Flag, Number, Present, Word};

/// The tiers of service that cost no more than the usual one.
const SERVICE_TIERS: [&str; 5] = [
    "\"auto\"",
    "\"default\"",
    "\"flex\"",
    "\"standard\"",
    "\"standard_only\"",
];

/// What a request to this endpoint says. The JSON is that of RFC 8259, at most 128 maps and lists inside one another (`serde_json`'s bound).
///
/// # Errors
///
/// See [`NotARequest`].
pub fn read(endpoint: Endpoint, body: &Bytes) -> Result<Asks<'_>, NotARequest> {
    let bytes = body.len();
    if bytes > LLM_REQUEST_BYTES {
        return Err(NotARequest::TooLarge { bytes });
    }
    let asks = Asks::new(endpoint, bytes);
    if !endpoint.has_body() {
        return if body.is_empty() {
            Ok(asks)
        } else {
            Err(NotARequest::HasBody)
        };
    }
    let mut reading = Reading {
        asks,
        body,
        refused: None,
        stream_options: None,
    };
    reading.whole(endpoint)?;
    let Reading { asks, .. } = reading;
    if asks.model.is_none() {
        return Err(NotARequest::NoModel);
    }
    Ok(asks)
}

/// What has been read so far.
pub(super) struct Reading<'b> {
    asks: Asks<'b>,
    body: &'b [u8],
    refused: Option<NotARequest>,
    stream_options: Option<&'b RawValue>,
}

impl<'b> Reading<'b> {
    /// The error that ends the reading; why is kept here.
    pub(super) fn refuse<E: de::Error>(&mut self, error: NotARequest) -> E {
        self.refused.get_or_insert(error);
        E::custom("refused")
    }

    fn whole(&mut self, endpoint: Endpoint) -> Result<(), NotARequest> {
        let mut json = serde_json::Deserializer::from_slice(self.body);
        let top = Top {
            reading: self,
            endpoint,
        };
        let read = top.deserialize(&mut json).and_then(|()| json.end());
        self.checked(read)?;
        if endpoint == Endpoint::ChatCompletions && self.asks.stream {
            self.asks.usage = self.usage()?;
        }
        Ok(())
    }

    fn checked<T>(&mut self, read: serde_json::Result<T>) -> Result<T, NotARequest> {
        read.map_err(|error| {
            self.refused.take().unwrap_or(NotARequest::Json {
                line: error.line(),
                column: error.column(),
            })
        })
    }

    /// Where a part of the body is in it.
    fn place(&self, part: &str) -> Range<usize> {
        let at = part.as_ptr().addr() - self.body.as_ptr().addr();
        at..at + part.len()
    }

    fn model(&mut self, raw: &'b RawValue) -> Result<(), NotARequest> {
        let text = raw.get();
        let wrong = NotARequest::Value {
            field: "model",
            expected: "a string",
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let name = Word.deserialize(&mut json).ok().flatten().ok_or(wrong)?;
        if name.is_empty() || name.chars().count() > LLM_MODEL_CHARS {
            return Err(NotARequest::ModelName);
        }
        let at = self.place(text);
        self.asks.model = Some(AskedModel { name, at });
        Ok(())
    }

    /// Whether a stream of chat completions will tell what it took, and what to write if not.
    fn usage(&mut self) -> Result<AsksUsage, NotARequest> {
        let Some(options) = self.stream_options else {
            // The object is not empty: it names a model.
            let open = self.body.iter().position(|byte| *byte == b'{');
            let open = open.map_or(0, |at| at + 1);
            let with = r#""stream_options":{"include_usage":true},"#;
            return Ok(AsksUsage::With(open..open, with));
        };
        let place = self.place(options.get());
        if options.get() == "null" {
            return Ok(AsksUsage::With(place, r#"{"include_usage":true}"#));
        }
        let mut json = serde_json::Deserializer::from_str(options.get());
        let read = StreamOptions(self).deserialize(&mut json);
        let found = self.checked(read)?;
        Ok(match found {
            Options::Asked => AsksUsage::Anyway,
            Options::Declined(place) => AsksUsage::With(place, "true"),
            Options::Silent(is_empty) => {
                let open = place.start + 1..place.start + 1;
                AsksUsage::With(
                    open,
                    if is_empty {
                        r#""include_usage":true"#
                    } else {
                        r#""include_usage":true,"#
                    },
                )
            }
        })
    }
}

/// The request itself.
struct Top<'r, 'b> {
    reading: &'r mut Reading<'b>,
    endpoint: Endpoint,
}

impl<'b> DeserializeSeed<'b> for Top<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Top<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reading, endpoint } = self;
        let mut seen = Seen::default();
        loop {
            let key = KeyIn {
                reading,
                seen: &mut seen,
            };
            match map.next_key_seed(key)? {
                None => return Ok(()),
                Some(None) => map.next_value_seed(Anything)?,
                Some(Some(key)) => field(reading, endpoint, key, &mut map)?,
            }
        }
    }
}

/// One field of the request.
fn field<'b, A: MapAccess<'b>>(
    reading: &mut Reading<'b>,
    endpoint: Endpoint,
    key: Key,
    map: &mut A,
) -> Result<(), A::Error> {
    match key {
        Key::Model => {
            let raw = map.next_value()?;
            return reading.model(raw).map_err(|error| reading.refuse(error));
        }
        Key::Stream => reading.asks.stream = flag(reading, key, map)?,
        Key::Background => reading.asks.background = flag(reading, key, map)?,
        Key::StreamOptions => reading.stream_options = Some(map.next_value()?),
        Key::MaxTokens | Key::MaxCompletionTokens | Key::MaxOutputTokens => {
            let cap = number(reading, key, map, LLM_TOKENS_OF_REQUEST)?;
            if is_cap(endpoint, key) {
                // Of two the larger: servers differ in which they take.
                reading.asks.output_cap = reading.asks.output_cap.max(cap);
            }
        }
        Key::N => {
            let choices = number(reading, key, map, LLM_CHOICES)?;
            reading.asks.choices = choices.unwrap_or(1).max(1);
        }
        Key::Messages | Key::System | Key::Input | Key::Instructions => {
            map.next_value_seed(Content(reading))?;
        }
        Key::Tools | Key::Functions => map.next_value_seed(Tools(reading))?,
        Key::McpServers => map.next_value_seed(McpServers(reading))?,
        Key::Prediction => {
            let raw: &RawValue = map.next_value()?;
            reading.asks.predicted_bytes = super::tokens_of(raw.get().len());
        }
        Key::Container | Key::PreviousResponseId | Key::Conversation | Key::Prompt => {
            reading.asks.is_open |= map.next_value_seed(Present)?;
        }
        Key::Models
        | Key::Fallbacks
        | Key::WebSearchOptions
        | Key::Plugins
        | Key::ContextManagement => unforeseen(reading, key, map)?,
        Key::ServiceTier => surcharge(reading, key, map, &SERVICE_TIERS)?,
        Key::Speed => surcharge(reading, key, map, &["\"standard\""])?,
        Key::InferenceGeo => surcharge(reading, key, map, &["\"global\""])?,
        Key::Modalities => surcharge(reading, key, map, &["[\"text\"]"])?,
        Key::IncludeUsage
        | Key::Function
        | Key::ServerUrl
        | Key::ServerLabel
        | Key::Name
        | Key::Type
        | Key::Url
        | Key::ImageUrl
        | Key::FileUrl
        | Key::FileId
        | Key::MediaType
        | Key::Arguments
        | Key::Annotations
        | Key::Citations
        | Key::CacheControl
        | Key::Audio => map.next_value_seed(Anything)?,
    }
    Ok(())
}

/// What leads to other models, or to what costs more than tokens of this one.
fn unforeseen<'b, A: MapAccess<'b>>(
    reading: &mut Reading<'b>,
    key: Key,
    map: &mut A,
) -> Result<(), A::Error> {
    let raw: &RawValue = map.next_value()?;
    if raw.get() == "null" {
        return Ok(());
    }
    if matches!(key, Key::Models | Key::Fallbacks) {
        return Err(reading.refuse(NotARequest::OtherModels { field: key.name() }));
    }
    if key == Key::WebSearchOptions {
        let tool = AskedTool::Provider(key.name().into());
        reading.asks.defines(tool, key.name());
    }
    if key != Key::ContextManagement || !only_clears(raw) {
        reading.asks.surcharge = Some(key.name());
    }
    Ok(())
}

/// Which fields bound an answer of this endpoint.
fn is_cap(endpoint: Endpoint, key: Key) -> bool {
    match endpoint {
        Endpoint::Messages => key == Key::MaxTokens,
        Endpoint::ChatCompletions => matches!(key, Key::MaxTokens | Key::MaxCompletionTokens),
        Endpoint::Responses => key == Key::MaxOutputTokens,
        Endpoint::CountTokens
        | Endpoint::AnthropicModels
        | Endpoint::Embeddings
        | Endpoint::OpenAiModels => false,
    }
}

fn flag<'b, A: MapAccess<'b>>(
    reading: &mut Reading<'b>,
    key: Key,
    map: &mut A,
) -> Result<bool, A::Error> {
    let wrong = NotARequest::Value {
        field: key.name(),
        expected: "true or false",
    };
    map.next_value_seed(Flag)?
        .ok_or_else(|| reading.refuse(wrong))
}

fn number<'b, A: MapAccess<'b>>(
    reading: &mut Reading<'b>,
    key: Key,
    map: &mut A,
    most: u64,
) -> Result<Option<u64>, A::Error> {
    let field = key.name();
    let expected = "a whole number from 0";
    match map.next_value_seed(Number)? {
        Ok(Some(number)) if number > most => {
            Err(reading.refuse(NotARequest::TooMuch { field, most }))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(reading.refuse(NotARequest::Value { field, expected })),
    }
}

/// What is asked for beside what costs nothing more, as it is written without space.
fn surcharge<'b, A: MapAccess<'b>>(
    reading: &mut Reading<'b>,
    key: Key,
    map: &mut A,
    usual: &[&str],
) -> Result<(), A::Error> {
    let raw: &RawValue = map.next_value()?;
    let text = raw.get();
    let dense = || text.chars().filter(|letter| !letter.is_ascii_whitespace());
    if text != "null" && !usual.iter().any(|usual| dense().eq(usual.chars())) {
        reading.asks.surcharge = Some(key.name());
    }
    Ok(())
}

/// Whether what is to become of a long conversation is that parts of it are left out. Writing a summary of it is another pass of the model, whose
/// tokens are not in the usage that is told.
fn only_clears(context_management: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Said<'s> {
        #[serde(borrow, default)]
        edits: Vec<Edit<'s>>,
    }
    #[derive(Deserialize)]
    struct Edit<'s> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'s, str>,
    }
    let said = serde_json::from_str::<Option<Said<'_>>>(context_management.get());
    let clears = |edit: &Edit<'_>| edit.kind.starts_with("clear_");
    said.is_ok_and(|said| said.is_none_or(|said| said.edits.iter().all(clears)))
}

/// What `stream_options` says.
enum Options {
    Asked,
    /// Not to have it; where the word is.
    Declined(Range<usize>),
    /// Nothing of it, and whether nothing at all.
    Silent(bool),
}

struct StreamOptions<'r, 'b>(&'r mut Reading<'b>);

impl<'b> DeserializeSeed<'b> for StreamOptions<'_, 'b> {
    type Value = Options;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Options, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for StreamOptions<'_, 'b> {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("options of a stream")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Options, A::Error> {
        let Self(reading) = self;
        let (mut seen, mut found) = (Seen::default(), Options::Silent(true));
        loop {
            let key = KeyIn {
                reading,
                seen: &mut seen,
            };
            let Some(key) = map.next_key_seed(key)? else {
                return Ok(found);
            };
            if key != Some(Key::IncludeUsage) {
                map.next_value_seed(Anything)?;
                if let Options::Silent(is_empty) = &mut found {
                    *is_empty = false;
                }
                continue;
            }
            let raw: &RawValue = map.next_value()?;
            found = match raw.get() {
                "true" => Options::Asked,
                "false" | "null" => Options::Declined(reading.place(raw.get())),
                _ => {
                    return Err(reading.refuse(NotARequest::Value {
                        field: Key::IncludeUsage.name(),
                        expected: "true or false",
                    }));
                }
            };
        }
    }
}
