//! What clients send: messages of JSON-RPC, read in one pass. Arguments and the like stay as they are.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bailiwick_model::limits::{
    MCP_GATEWAY_BATCH, MCP_GATEWAY_CURSOR_BYTES, MCP_GATEWAY_ID_BYTES, MCP_GATEWAY_NAME_CHARS,
    MCP_GATEWAY_URI_CHARS,
};
use hyper::body::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::raw::{Fields, is_shallow, part, there};
use crate::view::{Completed, LogLevel, ViewRequest};

/// A message as it came.
#[derive(serde::Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "there")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
    #[serde(borrow, default, deserialize_with = "there")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    error: Option<&'a RawValue>,
}

/// Everything that a method that is served takes.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cursor: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    level: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) protocol_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<Reference<'a>>,
    #[serde(borrow, default)]
    argument: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) request_id: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) notifications: Option<Wanted>,
    #[serde(borrow, default, rename = "_meta")]
    pub(super) meta: Meta<'a>,
}

/// What a completion is about.
#[derive(serde::Deserialize)]
struct Reference<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uri: Option<Cow<'a, str>>,
}

/// Which news are wanted (2026-07-28, Subscriptions, "Notification Filter").
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Wanted {
    pub(super) tools_list_changed: bool,
    pub(super) prompts_list_changed: bool,
    pub(super) resources_list_changed: bool,
    pub(super) resource_subscriptions: Vec<String>,
}

/// `_meta` of a request.
#[derive(Default)]
pub(super) struct Meta<'a> {
    pub(super) progress_token: Option<&'a RawValue>,
    pub(super) revision: Option<Cow<'a, str>>,
    pub(super) capabilities: Option<&'a RawValue>,
    pub(super) level: Option<Cow<'a, str>>,
    /// What is none of the gateway's business.
    rest: Fields<'a>,
}

/// What a message is.
pub(super) enum Kind<'a> {
    Request { id: Bytes, method: &'a str },
    Notification { method: &'a str },
    Response,
}

/// A body: one message, or several.
pub(super) enum Body<'a> {
    One(Box<Message<'a>>),
    Batch(Vec<Message<'a>>),
}

impl<'a> Body<'a> {
    pub(super) fn of(body: &'a Bytes) -> Result<Self, Refusal> {
        if !is_shallow(body) {
            return Err(Refusal::TooDeep);
        }
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'[') {
            let message = serde_json::from_slice(body).map_err(|error| no_message(&error))?;
            return Ok(Self::One(Box::new(message)));
        }
        let Batch(batch) = serde_json::from_slice(body).map_err(|error| no_message(&error))?;
        if batch.is_empty() || batch.len() > MCP_GATEWAY_BATCH {
            return Err(Refusal::BatchLength);
        }
        Ok(Self::Batch(batch))
    }
}

/// Messages that came together; of those that are too many one. They are counted while they are read: a message of two bytes takes hundreds.
struct Batch<'a>(Vec<Message<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Reading<'a> {
            type Value = Batch<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Batch<'a>, A::Error> {
                let mut batch = Vec::new();
                while batch.len() <= MCP_GATEWAY_BATCH {
                    match all.next_element()? {
                        Some(message) => batch.push(message),
                        None => return Ok(Batch(batch)),
                    }
                }
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Batch(batch))
            }
        }
        deserializer.deserialize_seq(Reading(PhantomData))
    }
}

fn no_message(error: &serde_json::Error) -> Refusal {
    match error.classify() {
        serde_json::error::Category::Data => Refusal::NoMessage,
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => Refusal::NoJson,
    }
}

impl<'a> Message<'a> {
    /// What it is (JSON-RPC 2.0, sections 4 and 5).
    pub(super) fn kind(&self, body: &Bytes) -> Result<Kind<'_>, Refusal> {
        if self.jsonrpc.as_deref() != Some("2.0") {
            return Err(Refusal::NoMessage);
        }
        match (&self.method, self.id) {
            (Some(method), Some(id)) => Ok(Kind::Request {
                id: id_of(body, id).ok_or(Refusal::Id)?,
                method,
            }),
            (Some(method), None) => Ok(Kind::Notification { method }),
            (None, Some(_)) if self.result.is_some() || self.error.is_some() => Ok(Kind::Response),
            (None, _) => Err(Refusal::NoMessage),
        }
    }

    pub(super) fn params(&self) -> Option<&Params<'a>> {
        self.params.as_ref()
    }

    pub(super) fn into_params(self) -> Params<'a> {
        self.params.unwrap_or_default()
    }
}

/// The id of a request, which is text or a whole number and never `null`.
pub(super) fn id_of(body: &Bytes, id: &RawValue) -> Option<Bytes> {
    let text = id.get();
    let is_text = text.starts_with('"');
    let is_number = || {
        let digits = text.strip_prefix('-').unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let fits = text.len() <= MCP_GATEWAY_ID_BYTES && (is_text || is_number());
    fits.then(|| part(body, id))
}

impl Params<'_> {
    /// What is asked of the view; `None` if no view is asked this.
    pub(super) fn request(
        &self,
        method: &str,
        body: &Bytes,
    ) -> Option<Result<ViewRequest, Refusal>> {
        let cursor = || {
            let cursor = self.cursor.as_deref();
            if cursor.is_some_and(|cursor| cursor.len() > MCP_GATEWAY_CURSOR_BYTES) {
                return Err(Refusal::Params("the cursor is too long"));
            }
            Ok(cursor.map(str::to_owned))
        };
        let named = || name(self.name.as_deref().unwrap_or_default());
        let uri = || uri(self.uri.as_deref().unwrap_or_default());
        let arguments = || self.arguments(body);
        Some(match method {
            "tools/list" => cursor().map(|cursor| ViewRequest::Tools { cursor }),
            "resources/list" => cursor().map(|cursor| ViewRequest::Resources { cursor }),
            "resources/templates/list" => cursor().map(|cursor| ViewRequest::Templates { cursor }),
            "prompts/list" => cursor().map(|cursor| ViewRequest::Prompts { cursor }),
            "tools/call" => named().and_then(|tool| {
                let arguments = arguments()?;
                Ok(ViewRequest::Call { tool, arguments })
            }),
            "prompts/get" => named().and_then(|name| {
                let arguments = arguments()?;
                Ok(ViewRequest::Prompt { name, arguments })
            }),
            "resources/read" => uri().map(|uri| ViewRequest::Read { uri }),
            "resources/subscribe" => uri().map(|uri| ViewRequest::Subscribe { uri }),
            "resources/unsubscribe" => uri().map(|uri| ViewRequest::Unsubscribe { uri }),
            "completion/complete" => self.completion(body),
            "logging/setLevel" => {
                let level = LogLevel::of(self.level.as_deref().unwrap_or_default());
                let level = level.ok_or(Refusal::Params("there is no such level"));
                level.map(ViewRequest::Level)
            }
            _ => return None,
        })
    }

    fn arguments(&self, body: &Bytes) -> Result<Option<Bytes>, Refusal> {
        match self.arguments {
            Some(arguments) if arguments.get().starts_with('{') => Ok(Some(part(body, arguments))),
            Some(_) => Err(Refusal::Params("the arguments are no object")),
            None => Ok(None),
        }
    }

    fn completion(&self, body: &Bytes) -> Result<ViewRequest, Refusal> {
        const MISSING: Refusal = Refusal::Params("it is not said what is to be completed");
        let (reference, argument) = self.reference.as_ref().zip(self.argument).ok_or(MISSING)?;
        let of = match (&*reference.kind, &reference.name, &reference.uri) {
            ("ref/prompt", Some(prompt), _) => Completed::Prompt(name(prompt)?),
            ("ref/resource", _, Some(template)) => Completed::Template(uri(template)?),
            _ => return Err(MISSING),
        };
        Ok(ViewRequest::Complete {
            of,
            argument: part(body, argument),
            context: self.context.map(|context| part(body, context)),
        })
    }
}

fn name(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.len() > MCP_GATEWAY_NAME_CHARS {
        return Err(Refusal::Params("there is no name, or it is too long"));
    }
    Ok(name.to_owned())
}

fn uri(uri: &str) -> Result<String, Refusal> {
    if uri.is_empty() || uri.len() > MCP_GATEWAY_URI_CHARS {
        return Err(Refusal::Params("there is no URI, or it is too long"));
    }
    Ok(uri.to_owned())
}

impl Meta<'_> {
    /// What is passed on.
    pub(super) fn rest(&self) -> Option<Bytes> {
        (!self.rest.is_empty()).then(|| self.rest.whole().into())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Meta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Reading<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Reading<'a> {
            type Value = Meta<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Meta<'a>, E> {
                Ok(Meta::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Meta<'a>, A::Error> {
                let mut meta = Meta::default();
                while let Some(Text(name)) = map.next_key()? {
                    match &*name {
                        "progressToken" => meta.progress_token = Some(map.next_value()?),
                        "io.modelcontextprotocol/protocolVersion" => {
                            let Text(revision) = map.next_value()?;
                            meta.revision = Some(revision);
                        }
                        "io.modelcontextprotocol/clientCapabilities" => {
                            meta.capabilities = Some(map.next_value()?);
                        }
                        "io.modelcontextprotocol/logLevel" => {
                            let Text(level) = map.next_value()?;
                            meta.level = Some(level);
                        }
                        // The gateway is the client of its servers, and speaks for itself.
                        other if other.starts_with("io.modelcontextprotocol/") => {
                            let _: &RawValue = map.next_value()?;
                        }
                        _ => meta.rest.push(name, map.next_value()?),
                    }
                }
                Ok(meta)
            }
        }
        deserializer.deserialize_any(Reading(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Refusal {
        let body = Bytes::copy_from_slice(body.as_bytes());
        match Body::of(&body) {
            Err(refusal) => refusal,
            Ok(Body::One(message)) => match message.kind(&body) {
                Err(refusal) => refusal,
                Ok(_) => panic!("{body:?} is taken"),
            },
            Ok(Body::Batch(_)) => panic!("{body:?} is taken"),
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(refused("{"), Refusal::NoJson);
        assert_eq!(refused("\"x\""), Refusal::NoMessage);
        assert_eq!(refused("{}"), Refusal::NoMessage);
        assert_eq!(
            refused(r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#),
            Refusal::NoMessage
        );
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1}"#), Refusal::NoMessage);
        for id in [
            "null",
            "1.5",
            "1e3",
            "{}",
            "true",
            &format!("\"{}\"", "a".repeat(400)),
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
            assert_eq!(refused(&body), Refusal::Id, "{id}");
        }
        assert_eq!(refused("[]"), Refusal::BatchLength);
        // Nobody looks at what comes after those that are too many.
        let many = format!("[{}7]", "{},".repeat(MCP_GATEWAY_BATCH + 1));
        assert_eq!(refused(&many), Refusal::BatchLength);
        let deep = "[".repeat(100_000);
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"arguments":{deep}"#);
        assert_eq!(refused(&body), Refusal::TooDeep);
    }

    #[test]
    fn arguments_stay_as_they_were() {
        let body = Bytes::from_static(
            br#"{"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"name":"x","arguments":{"b":1e400, "a":[ ]},"_meta":{"progressToken":7,"a/b":{"c":1},"io.modelcontextprotocol/x":2}}}"#,
        );
        let Ok(Body::One(message)) = Body::of(&body) else {
            panic!("it is one");
        };
        let Ok(Kind::Request { id, method }) = message.kind(&body) else {
            panic!("it is a request");
        };
        assert_eq!(&id[..], br#""a\u0062""#);
        let params = message.params().unwrap();
        let Some(Ok(ViewRequest::Call { tool, arguments })) = params.request(method, &body) else {
            panic!("it is a call");
        };
        assert_eq!(tool, "x");
        assert_eq!(&arguments.unwrap()[..], br#"{"b":1e400, "a":[ ]}"#);
        assert_eq!(&params.meta.rest().unwrap()[..], br#"{"a/b":{"c":1}}"#);
    }
}
