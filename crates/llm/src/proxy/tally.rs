//! What an answer says it took, and how much of it was said, while it passes.

use bailiwick_model::limits::LLM_BYTES_OF_A_TOKEN;

use super::Endpoint;
use super::scan::Places;
use crate::Usage;

/// What an answer has told so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    counts: Counts,
    /// Bytes of what the model said.
    said: u64,
    /// What the event at hand has.
    event: Event,
    /// Whether the last that was told of usage is behind the last that was said.
    is_told: bool,
    /// Whether anything of either was there.
    has_begun: bool,
}

/// Tokens as they are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    five_minutes: Option<u64>,
    one_hour: Option<u64>,
    prompt: Option<u64>,
    total: Option<u64>,
}

/// What one event has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Event {
    has_usage: bool,
    has_said: bool,
    pub(super) has_choices: bool,
    has_empty_choices: bool,
}

impl Event {
    /// Whether it has nothing but what the answer took.
    pub(super) fn is_usage_alone(self) -> bool {
        self.has_usage && self.has_empty_choices
    }
}

/// A place in an answer: of the Messages API, of chat completions, of responses; they do not get in each other's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Elsewhere,
    Root,
    /// `message` of `message_start`.
    Message,
    /// `response` of the events of responses.
    Response,
    /// `usage` that more may follow, in `message`.
    FirstUsage,
    /// `usage` that is told when all is known.
    Usage,
    CacheCreation,
    InputDetails,
    Choices,
    Choice,
    Delta,
    Calls,
    Call,
    Function,
    /// A string of what the model says.
    Said,
    Count(Count),
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    FiveMinutes,
    OneHour,
    Prompt,
    Total,
}

impl Places for Tally {
    type Place = Place;

    const ELSEWHERE: Place = Place::Elsewhere;
    const ROOT: Place = Place::Root;

    fn below(parent: Place, name: Option<&[u8]>) -> Place {
        let name = name.unwrap_or_default();
        match parent {
            Place::Root => of_root(name),
            Place::Message if name == b"usage" => Place::FirstUsage,
            Place::Response if name == b"usage" => Place::Usage,
            Place::FirstUsage | Place::Usage => of_usage(name),
            Place::CacheCreation => of_cache_creation(name),
            Place::InputDetails => of_input_details(name),
            Place::Choices => Place::Choice,
            Place::Choice if name == b"delta" => Place::Delta,
            Place::Delta => of_delta(name),
            Place::Calls => Place::Call,
            Place::Call if name == b"function" => Place::Function,
            Place::Function if name == b"arguments" => Place::Said,
            Place::Elsewhere
            | Place::Message
            | Place::Response
            | Place::Choice
            | Place::Call
            | Place::Function
            | Place::Said
            | Place::Count(_) => Place::Elsewhere,
        }
    }

    fn begins(&mut self, place: Place) {
        if place == Place::Choices {
            self.event.has_empty_choices = true;
        } else if place == Place::Choice {
            self.event.has_choices = true;
            self.event.has_empty_choices = false;
        }
    }

    fn ends(&mut self, place: Place) {
        self.event.has_usage |= place == Place::Usage;
    }

    fn number(&mut self, place: Place, number: u64) {
        let Place::Count(count) = place else { return };
        let counts = &mut self.counts;
        let counted = match count {
            Count::Input => &mut counts.input,
            Count::Output => &mut counts.output,
            Count::CacheRead => &mut counts.cache_read,
            Count::CacheWrite => &mut counts.cache_write,
            Count::FiveMinutes => &mut counts.five_minutes,
            Count::OneHour => &mut counts.one_hour,
            Count::Prompt => &mut counts.prompt,
            Count::Total => &mut counts.total,
        };
        *counted = Some(number);
        self.has_begun = true;
    }

    fn text(&mut self, place: Place, bytes: usize) {
        // `delta` of responses is a string where it is an object elsewhere.
        if matches!(place, Place::Said | Place::Delta) {
            self.said = self
                .said
                .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            self.event.has_said = true;
            self.has_begun = true;
        }
    }
}

fn of_root(name: &[u8]) -> Place {
    match name {
        b"message" => Place::Message,
        b"response" => Place::Response,
        b"usage" => Place::Usage,
        b"choices" => Place::Choices,
        b"delta" => Place::Delta,
        _ => Place::Elsewhere,
    }
}

fn of_usage(name: &[u8]) -> Place {
    Place::Count(match name {
        b"input_tokens" => Count::Input,
        b"output_tokens" | b"completion_tokens" => Count::Output,
        // DeepSeek has another name for it.
        b"cache_read_input_tokens" | b"prompt_cache_hit_tokens" => Count::CacheRead,
        b"cache_creation_input_tokens" => Count::CacheWrite,
        b"prompt_tokens" => Count::Prompt,
        b"total_tokens" => Count::Total,
        b"cache_creation" => return Place::CacheCreation,
        b"prompt_tokens_details" | b"input_tokens_details" => return Place::InputDetails,
        _ => return Place::Elsewhere,
    })
}

fn of_input_details(name: &[u8]) -> Place {
    match name {
        b"cached_tokens" => Place::Count(Count::CacheRead),
        b"cache_write_tokens" | b"cache_creation_tokens" => Place::Count(Count::CacheWrite),
        _ => Place::Elsewhere,
    }
}

fn of_cache_creation(name: &[u8]) -> Place {
    match name {
        b"ephemeral_5m_input_tokens" => Place::Count(Count::FiveMinutes),
        b"ephemeral_1h_input_tokens" => Place::Count(Count::OneHour),
        _ => Place::Elsewhere,
    }
}

fn of_delta(name: &[u8]) -> Place {
    match name {
        b"text" | b"thinking" | b"partial_json" | b"content" | b"refusal"
        | b"reasoning_content" | b"reasoning" => Place::Said,
        b"tool_calls" => Place::Calls,
        b"function_call" => Place::Function,
        _ => Place::Elsewhere,
    }
}

impl Tally {
    /// What the event at hand has so far.
    pub(super) fn event(&self) -> Event {
        self.event
    }

    /// An event, or the whole answer, is over.
    pub(super) fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        if event.has_usage {
            self.is_told = self.counts != Counts::default();
        } else if event.has_said {
            self.is_told = false;
        }
    }

    /// Whether what was told is all there is.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Whether anything has come that says that the model works.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// What was told.
    pub(super) fn told(&self, endpoint: Endpoint) -> Usage {
        match endpoint.provider() {
            super::Provider::Anthropic => self.counts.of_anthropic(),
            super::Provider::OpenAi => self.counts.of_openai(),
        }
    }

    /// What an answer took that was cut off: what was told, and at least what was said. Nothing where nobody knows the input.
    pub(super) fn streamed(&self, endpoint: Endpoint, likely_input: Option<u64>) -> Option<Usage> {
        let mut usage = self.told(endpoint);
        if self.counts.input.or(self.counts.prompt).is_none() {
            usage.input_tokens = likely_input?;
        }
        let said = self.said.div_ceil(LLM_BYTES_OF_A_TOKEN);
        usage.output_tokens = usage.output_tokens.max(said);
        Some(usage)
    }
}

impl Counts {
    /// Where the parts of what was written to the cache lack something of the sum, it counts as five minutes.
    fn of_anthropic(&self) -> Usage {
        let one_hour = self.one_hour.unwrap_or(0);
        let of_sum = self.cache_write.unwrap_or(0).saturating_sub(one_hour);
        Usage {
            input_tokens: self.input.unwrap_or(0),
            output_tokens: self.output.unwrap_or(0),
            cache_read_tokens: self.cache_read.unwrap_or(0),
            cache_write_5m_tokens: self.five_minutes.unwrap_or(0).max(of_sum),
            cache_write_1h_tokens: one_hour,
        }
    }

    /// Input that comes from a cache, or goes to one, is told as part of the input. Some servers leave thinking out of the output, but not out of the total.
    fn of_openai(&self) -> Usage {
        let prompt = self.prompt.or(self.input).unwrap_or(0);
        let cached = self.cache_read.unwrap_or(0).min(prompt);
        let written = self.cache_write.unwrap_or(0).min(prompt - cached);
        let of_total = self.total.unwrap_or(0).saturating_sub(prompt);
        Usage {
            input_tokens: prompt - cached - written,
            output_tokens: self.output.unwrap_or(0).max(of_total),
            cache_read_tokens: cached,
            cache_write_5m_tokens: written,
            cache_write_1h_tokens: 0,
        }
    }
}
