//! Streams of the Messages API.

use serde::Deserialize;

use crate::usage::WireUsage;
use crate::{
    Block, Delta, Event, Malformed, Raw, SseEvent, Start, StopReason, Stopped, UsageUpdate,
};

#[derive(Deserialize)]
struct WireStart {
    message: WireMessage,
}

#[derive(Deserialize)]
struct WireMessage {
    id: String,
    model: String,
    #[serde(default)]
    usage: WireUsage,
}

#[derive(Deserialize)]
struct WireBlockStart {
    index: usize,
    content_block: Block,
}

#[derive(Deserialize)]
struct WireBlockDelta {
    index: usize,
    delta: Raw,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireDelta {
    TextDelta {
        text: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct WireBlockStop {
    index: usize,
}

#[derive(Deserialize)]
struct WireMessageDelta {
    delta: WireStopping,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireStopping {
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    stop_details: Option<Raw>,
}

/// What one event says; nothing if it is of a kind that is not known, which the API reserves the right to add. `error` is the caller's.
pub(crate) fn decode(sse: &SseEvent) -> Result<Option<Event>, Malformed> {
    let data = sse.data.as_str();
    Ok(Some(match sse.name.as_str() {
        "message_start" => {
            let WireStart { message } = read(data)?;
            Event::Start(Start {
                id: message.id,
                model: message.model,
                usage: message.usage.into(),
            })
        }
        "content_block_start" => {
            let WireBlockStart {
                index,
                content_block: block,
            } = read(data)?;
            Event::BlockStart { index, block }
        }
        "content_block_delta" => block_delta(data)?,
        "content_block_stop" => {
            let WireBlockStop { index } = read(data)?;
            Event::BlockStop { index }
        }
        "message_delta" => message_delta(read(data)?),
        "message_stop" => Event::End,
        "ping" => Event::Ping,
        _ => return Ok(None),
    }))
}

fn read<'d, T: Deserialize<'d>>(data: &'d str) -> Result<T, Malformed> {
    serde_json::from_str(data).map_err(Malformed::json)
}

fn block_delta(data: &str) -> Result<Event, Malformed> {
    let WireBlockDelta { index, delta: raw } = read(data)?;
    let delta = match read(raw.get())? {
        WireDelta::TextDelta { text } => Delta::Text(text),
        WireDelta::ThinkingDelta { thinking } => Delta::Thinking(thinking),
        WireDelta::SignatureDelta { signature } => Delta::Signature(signature),
        WireDelta::InputJsonDelta { partial_json } => Delta::InputJson(partial_json),
        WireDelta::Other => Delta::Other(raw),
    };
    Ok(Event::Delta { index, delta })
}

fn message_delta(wire: WireMessageDelta) -> Event {
    let WireStopping {
        stop_reason,
        stop_sequence: sequence,
        stop_details: details,
    } = wire.delta;
    let stopped = stop_reason.map(|word| Stopped {
        reason: StopReason::of(&word),
        sequence,
        details: details.filter(|details| details.get() != "null"),
    });
    let usage = wire
        .usage
        .map_or_else(UsageUpdate::default, UsageUpdate::from);
    Event::Stopping { stopped, usage }
}
