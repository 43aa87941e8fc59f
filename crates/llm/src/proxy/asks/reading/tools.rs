//! The tools that a request defines.

use std::borrow::Cow;
use std::fmt;

use bailiwick_model::limits::LLM_ASKED_TOOLS;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::value::{Anything, Word};
use super::{AskedTool, Key, KeyIn, NotARequest, Reading, Seen};

/// Types of tools that the client runs, up to the date behind them.
const OF_THE_CLIENT: [&str; 11] = [
    "function",
    "custom",
    // Anthropic.
    "bash",
    "computer",
    "memory",
    "text_editor",
    // OpenAI.
    "apply_patch",
    "computer_use_preview",
    "local_shell",
    "grammar",
    "text",
];

/// The list of tools, or of functions.
pub(super) struct Tools<'r, 'b>(pub(super) &'r mut Reading<'b>);

/// The list of servers that Anthropic connects to.
pub(super) struct McpServers<'r, 'b>(pub(super) &'r mut Reading<'b>);

macro_rules! list {
    ($list:ident, $one:ident) => {
        impl<'b> DeserializeSeed<'b> for $list<'_, 'b> {
            type Value = ();

            fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'b> Visitor<'b> for $list<'_, 'b> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }

            fn visit_seq<A: SeqAccess<'b>>(self, mut list: A) -> Result<(), A::Error> {
                while let Some(fields) = list.next_element_seed(Fields(self.0))? {
                    if self.0.asks.tools.len() == LLM_ASKED_TOOLS {
                        return Err(self.0.refuse(NotARequest::TooManyTools));
                    }
                    self.0.asks.defines(fields.$one(), Key::Tools.name());
                }
                Ok(())
            }
        }
    };
}

list!(Tools, tool);
list!(McpServers, server);

/// What one tool, or one server, says.
#[derive(Debug, Default)]
struct Said<'b> {
    kind: Option<Cow<'b, str>>,
    name: Option<Cow<'b, str>>,
    url: Option<Cow<'b, str>>,
}

impl<'b> Said<'b> {
    fn tool(self) -> AskedTool<'b> {
        let Some(kind) = self.kind else {
            return AskedTool::Client(self.name.unwrap_or_default());
        };
        if kind == "mcp" {
            return AskedTool::McpServer {
                name: self.name.unwrap_or_default(),
                url: self.url,
            };
        }
        let (stem, date) = kind.rsplit_once('_').unwrap_or((&kind, ""));
        let is_dated = date.len() == 8 && date.bytes().all(|digit| digit.is_ascii_digit());
        let stem = if is_dated { stem } else { &kind };
        // What is not known may be run by the provider.
        if OF_THE_CLIENT.contains(&stem) {
            let name = self.name.unwrap_or_else(|| kind.clone());
            AskedTool::Client(name)
        } else {
            AskedTool::Provider(kind)
        }
    }

    fn server(self) -> AskedTool<'b> {
        AskedTool::McpServer {
            name: self.name.unwrap_or_default(),
            url: self.url,
        }
    }
}

struct Fields<'r, 'b>(&'r mut Reading<'b>);

impl<'b> DeserializeSeed<'b> for Fields<'_, 'b> {
    type Value = Said<'b>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Said<'b>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Fields<'_, 'b> {
    type Value = Said<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tool")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Said<'b>, A::Error> {
        let Self(reading) = self;
        let (mut seen, mut said) = (Seen::default(), Said::default());
        loop {
            let key = KeyIn {
                reading,
                seen: &mut seen,
            };
            let Some(key) = map.next_key_seed(key)? else {
                return Ok(said);
            };
            match key {
                Some(Key::Type) => said.kind = map.next_value_seed(Word)?,
                Some(Key::Name | Key::ServerLabel) => said.name = map.next_value_seed(Word)?,
                Some(Key::Url | Key::ServerUrl) => said.url = map.next_value_seed(Word)?,
                // Chat completions have the name inside.
                Some(Key::Function) => {
                    let inner = map.next_value_seed(Fields(reading))?;
                    said.name = inner.name;
                }
                Some(_) | None => map.next_value_seed(Anything)?,
            }
        }
    }
}
