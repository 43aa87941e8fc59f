//! Content: whether the bytes of a request bound its tokens.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::value::{Anything, Present, Word};
use super::{Key, KeyIn, Reading, Seen};

/// Types of content whose tokens are no more than its bytes, or whose inner parts say of what they are. Any other is open.
const BOUNDED: [&str; 37] = [
    "text",
    "input_text",
    "output_text",
    "summary_text",
    "reasoning_text",
    "refusal",
    "content",
    "message",
    "ephemeral",
    "base64",
    // Anthropic: thinking and tools.
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "tool_reference",
    "server_tool_use",
    "mcp_tool_use",
    "mcp_tool_result",
    "search_result",
    "web_search_tool_result",
    "web_search_result",
    "compaction",
    // What their sources say.
    "image",
    "document",
    "url",
    "image_url",
    "input_image",
    // OpenAI.
    "function",
    "function_call",
    "function_call_output",
    "custom",
    "custom_tool_call",
    "custom_tool_call_output",
    "local_shell_call",
    "local_shell_call_output",
    "reasoning",
    "web_search_call",
];

/// Sound costs several times what text does, and prices do not say it.
const SOUND: &str = "input_audio";

/// Content of any form.
pub(super) struct Content<'r, 'b>(pub(super) &'r mut Reading<'b>);

impl<'b> DeserializeSeed<'b> for Content<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Content<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("content")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Content(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(reading) = self;
        let (mut seen, mut part) = (Seen::default(), Part::default());
        loop {
            let key = KeyIn {
                reading,
                seen: &mut seen,
            };
            let Some(key) = map.next_key_seed(key)? else {
                part.judge(reading);
                return Ok(());
            };
            match key {
                Some(Key::Type) => part.kind(map.next_value_seed(Word)?.as_deref()),
                Some(Key::MediaType) => part.medium(map.next_value_seed(Word)?.as_deref()),
                Some(Key::Url | Key::ImageUrl | Key::FileUrl) => {
                    map.next_value_seed(Link(reading))?;
                }
                Some(Key::FileId | Key::Container | Key::Audio) => {
                    reading.asks.is_open |= map.next_value_seed(Present)?;
                }
                // The input of a call is free, and text to the model; what is cited or cached is told of elsewhere.
                Some(
                    Key::Input
                    | Key::Arguments
                    | Key::Function
                    | Key::Annotations
                    | Key::Citations
                    | Key::CacheControl,
                ) => map.next_value_seed(Anything)?,
                Some(_) | None => map.next_value_seed(Content(reading))?,
            }
        }
    }
}

/// What one object says of itself.
#[derive(Debug, Default)]
struct Part {
    is_sound: bool,
    is_unknown: bool,
    is_base64: bool,
    is_picture: bool,
}

impl Part {
    fn kind(&mut self, kind: Option<&str>) {
        let kind = kind.unwrap_or_default();
        self.is_sound = kind == SOUND;
        self.is_unknown = !BOUNDED.contains(&kind);
        self.is_base64 = kind == "base64";
    }

    fn medium(&mut self, medium: Option<&str>) {
        self.is_picture = medium.is_some_and(|medium| medium.starts_with("image/"));
    }

    fn judge(&self, reading: &mut Reading<'_>) {
        if self.is_base64 && self.is_picture {
            reading.asks.pictures += 1;
        }
        if self.is_sound {
            reading.asks.surcharge = Some(SOUND);
        }
        // A document has more pages than its bytes tell.
        reading.asks.is_open |= self.is_unknown || (self.is_base64 && !self.is_picture);
    }
}

/// Where content is: in the URL itself, or elsewhere.
struct Link<'r, 'b>(&'r mut Reading<'b>);

impl<'b> DeserializeSeed<'b> for Link<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Link<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL")
    }

    fn visit_str<E: de::Error>(self, url: &str) -> Result<(), E> {
        let asks = &mut self.0.asks;
        if url.starts_with("data:image/") {
            asks.pictures += 1;
        } else {
            asks.is_open = true;
        }
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(self, map: A) -> Result<(), A::Error> {
        Content(self.0).visit_map(map)
    }
}
