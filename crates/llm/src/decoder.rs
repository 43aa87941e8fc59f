//! From server-sent events to events of an answer, in any upstream's API. Pure, so that a proxy can read what it passes on.

use crate::openai::Completion;
use crate::upstream::Protocol;
use crate::{Event, Secret, SseEvent, UpstreamError, messages, refusal};

/// Reads one stream.
#[derive(Debug)]
pub struct Decoder {
    dialect: Dialect,
    key: Option<Secret>,
    ended: bool,
}

#[derive(Debug)]
enum Dialect {
    Messages,
    Completions(Box<Completion>),
}

impl Decoder {
    /// For a stream of this protocol. The key is taken out of what the upstream says about errors.
    pub fn new(protocol: Protocol, key: Option<Secret>) -> Self {
        let dialect = match protocol {
            Protocol::Messages => Dialect::Messages,
            Protocol::Completions(_) => Dialect::Completions(Box::default()),
        };
        Self {
            dialect,
            key,
            ended: false,
        }
    }

    /// What one event of the stream says, in order; nothing for what is not known.
    ///
    /// # Errors
    ///
    /// The error that the upstream sent in the stream, or [`UpstreamError::Malformed`].
    pub fn decode(&mut self, sse: &SseEvent) -> Result<Vec<Event>, UpstreamError> {
        let events = match &mut self.dialect {
            Dialect::Messages if sse.name == "error" => {
                return Err(refusal::of_event(&sse.data, self.key.as_ref()));
            }
            Dialect::Messages => messages::decode(sse)?.into_iter().collect(),
            Dialect::Completions(completion) => {
                if sse.name == "error" || completion.is_error(&sse.data) {
                    return Err(refusal::of_event(&sse.data, self.key.as_ref()));
                }
                completion.decode(&sse.data)?
            }
        };
        self.ended |= events.last() == Some(&Event::End);
        Ok(events)
    }

    /// What the end of the bytes says.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Cut`] if the answer is not whole.
    pub fn finish(&mut self) -> Result<Vec<Event>, UpstreamError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(Vec::new());
        }
        match &mut self.dialect {
            Dialect::Messages => Err(UpstreamError::Cut),
            // Some servers leave `[DONE]` out.
            Dialect::Completions(completion) => completion.finish().ok_or(UpstreamError::Cut),
        }
    }
}
