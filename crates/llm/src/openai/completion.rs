//! Streams.

use bailiwick_model::limits::LLM_MESSAGE_BLOCKS;
use serde::Deserialize;

use crate::{
    Block, Delta, Event, Malformed, Raw, Rest, Start, StopReason, Stopped, Text, Thinking, ToolUse,
    UsageUpdate,
};

#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<ChatUsage>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: ChatDelta,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct ChatDelta {
    content: Option<String>,
    refusal: Option<String>,
    /// DeepSeek's and vLLM's name for thinking.
    reasoning_content: Option<String>,
    /// Ollama's and OpenRouter's.
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Debug, Deserialize)]
struct CallDelta {
    /// Some servers leave it out where there is one.
    #[serde(default)]
    index: usize,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Debug, Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ChatUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

/// The translation of one stream.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    id: String,
    started: bool,
    /// Blocks begun so far.
    blocks: usize,
    /// The block of text or thinking that is open.
    open: Option<(Kind, usize)>,
    /// Blocks of calls, by the upstream's number of the call. They stay open to the end, since pieces of several may mix.
    calls: Vec<(usize, usize)>,
    refused: bool,
    stopped: Option<StopReason>,
    usage: UsageUpdate,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

impl Completion {
    /// Servers report errors as data like any other.
    pub(crate) fn is_error(&self, data: &str) -> bool {
        #[derive(Deserialize)]
        struct Probe {
            error: Option<serde::de::IgnoredAny>,
        }
        // Nearly every chunk is none: those are read once.
        data.contains("\"error\"")
            && serde_json::from_str(data).is_ok_and(|Probe { error }| error.is_some())
    }

    pub(crate) fn decode(&mut self, data: &str) -> Result<Vec<Event>, Malformed> {
        if data == "[DONE]" {
            return self.finish().ok_or(Malformed::OutOfPlace("[DONE]"));
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(Malformed::json)?;
        let mut events = Vec::new();
        if !std::mem::replace(&mut self.started, true) {
            self.id.clone_from(&chunk.id);
            events.push(Event::Start(Start {
                id: chunk.id,
                model: chunk.model,
                usage: UsageUpdate::default(),
            }));
        }
        if let Some(usage) = chunk.usage {
            self.usage = usage.into();
        }
        // More than one is never asked for.
        if let Some(choice) = chunk.choices.into_iter().next() {
            self.choice(choice, &mut events)?;
        }
        Ok(events)
    }

    /// The end, if the upstream has said why; the usage comes after that, so that this waits for the very end.
    pub(crate) fn finish(&mut self) -> Option<Vec<Event>> {
        if std::mem::replace(&mut self.ended, true) {
            return Some(Vec::new());
        }
        let reason = self.stopped.take()?;
        let mut events = Vec::new();
        self.close(&mut events);
        events.extend(
            self.calls
                .drain(..)
                .map(|(_, index)| Event::BlockStop { index }),
        );
        let stopped = Stopped {
            reason,
            sequence: None,
            details: None,
        };
        events.push(Event::Stopping {
            stopped: Some(stopped),
            usage: self.usage,
        });
        events.push(Event::End);
        Some(events)
    }

    fn choice(&mut self, choice: Choice, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let ChatDelta {
            content,
            refusal,
            reasoning_content,
            reasoning,
            tool_calls,
        } = choice.delta;
        if let Some(text) = reasoning_content
            .or(reasoning)
            .filter(|text| !text.is_empty())
        {
            self.say(Kind::Thinking, text, events)?;
        }
        if let Some(text) = content.filter(|text| !text.is_empty()) {
            self.say(Kind::Text, text, events)?;
        }
        if let Some(text) = refusal.filter(|text| !text.is_empty()) {
            self.refused = true;
            self.say(Kind::Text, text, events)?;
        }
        for call in tool_calls.unwrap_or_default() {
            self.call(call, events)?;
        }
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            self.stopped = Some(self.reason(&word));
        }
        Ok(())
    }

    fn reason(&self, word: &str) -> StopReason {
        match word {
            "stop" | "tool_calls" | "function_call" if !self.calls.is_empty() => {
                StopReason::ToolUse
            }
            "stop" if self.refused => StopReason::Refusal,
            "stop" => StopReason::EndTurn,
            "length" => StopReason::MaxTokens,
            "content_filter" => StopReason::Refusal,
            other => StopReason::Other(other.to_owned()),
        }
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        events.extend(
            self.open
                .take()
                .map(|(_, index)| Event::BlockStop { index }),
        );
    }

    fn begin(&mut self, block: Block, events: &mut Vec<Event>) -> Result<usize, Malformed> {
        let index = self.blocks;
        if index >= LLM_MESSAGE_BLOCKS {
            return Err(Malformed::TooLarge);
        }
        self.blocks += 1;
        events.push(Event::BlockStart { index, block });
        Ok(index)
    }

    fn say(&mut self, kind: Kind, text: String, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let index = match self.open {
            Some((open, index)) if open == kind => index,
            Some(_) | None => {
                self.close(events);
                let index = self.begin(empty(kind), events)?;
                self.open = Some((kind, index));
                index
            }
        };
        let delta = match kind {
            Kind::Text => Delta::Text(text),
            Kind::Thinking => Delta::Thinking(text),
        };
        events.push(Event::Delta { index, delta });
        Ok(())
    }

    fn call(&mut self, delta: CallDelta, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let (name, arguments) = delta
            .function
            .map_or((None, None), |function| (function.name, function.arguments));
        let known = self.calls.iter().find(|(number, _)| *number == delta.index);
        let index = match known {
            Some((_, index)) => *index,
            None => {
                let name = name.filter(|name| !name.is_empty());
                let name = name.ok_or(Malformed::OutOfPlace("of a call without a name"))?;
                let id = delta.id.filter(|id| !id.is_empty());
                let id = id.unwrap_or_else(|| own_id(&self.id, self.blocks));
                self.close(events);
                let block = Block::ToolUse(ToolUse {
                    id,
                    name,
                    input: Raw::empty_object(),
                    cache_control: None,
                    rest: Rest::none(),
                });
                let index = self.begin(block, events)?;
                self.calls.push((delta.index, index));
                index
            }
        };
        if let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty()) {
            events.push(Event::Delta {
                index,
                delta: Delta::InputJson(arguments),
            });
        }
        Ok(())
    }
}

/// For servers that give calls no ids: of the characters that the Messages API takes.
fn own_id(answer: &str, index: usize) -> String {
    let answer: String = answer
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    format!("call_{answer}_{index}")
}

fn empty(kind: Kind) -> Block {
    match kind {
        Kind::Text => Block::Text(Text {
            text: String::new(),
            cache_control: None,
            rest: Rest::none(),
        }),
        Kind::Thinking => Block::Thinking(Thinking {
            thinking: String::new(),
            signature: String::new(),
            rest: Rest::none(),
        }),
    }
}

impl From<ChatUsage> for UsageUpdate {
    /// Here the input that a cache had is part of the input; writing to one costs nothing extra.
    fn from(usage: ChatUsage) -> Self {
        let cached = usage
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        let cached = cached.unwrap_or(0).min(usage.prompt_tokens);
        Self {
            input_tokens: Some(usage.prompt_tokens - cached),
            output_tokens: Some(usage.completion_tokens),
            cache_read_tokens: Some(cached),
            cache_write_5m_tokens: None,
            cache_write_1h_tokens: None,
        }
    }
}
