//! From events to the whole message.

use bailiwick_model::limits::{LLM_MESSAGE_BLOCKS, LLM_MESSAGE_BYTES};
use serde_json::{Map, Value};

use crate::{
    Block, Delta, Event, Malformed, Raw, Role, Start, Stopped, Text, ToolUse, Turn, Usage,
    UsageUpdate,
};

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The upstream's id of it.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// What it said, as it goes back in the next request.
    pub content: Vec<Block>,
    /// Calls whose input is no JSON, since `max_tokens` cut it off or the model wrote it wrong. They are not in the content: nothing can be run
    /// with such an input, and no upstream takes it back.
    pub broken_calls: Vec<BrokenCall>,
    /// Why it ended.
    pub stopped: Stopped,
    /// What it took; none where the upstream did not tell.
    pub usage: Option<Usage>,
}

/// A call whose input is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenCall {
    /// Its id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// What there is of its input.
    pub input: String,
}

/// Takes the events of one answer.
#[derive(Debug, Default)]
pub struct Fold {
    start: Option<Start>,
    blocks: Vec<Building>,
    stopped: Option<Stopped>,
    usage: Option<Usage>,
    bytes: usize,
    ended: bool,
}

#[derive(Debug)]
struct Building {
    block: Block,
    input: String,
    open: bool,
}

impl Message {
    /// The calls of tools that it wants.
    pub fn calls(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(Block::as_call)
    }

    /// As it goes back in the next request.
    pub fn turn(&self) -> Turn {
        Turn {
            role: Role::Assistant,
            content: self.content.clone(),
        }
    }
}

impl Fold {
    /// Before any event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one more event.
    ///
    /// # Errors
    ///
    /// It does not fit what came before, or the answer is larger than one may be.
    pub fn push(&mut self, event: &Event) -> Result<(), Malformed> {
        if self.ended {
            return Err(Malformed::OutOfPlace("after the end"));
        }
        if self.start.is_none() && !matches!(event, Event::Start(_) | Event::Ping) {
            return Err(Malformed::OutOfPlace("before the start"));
        }
        match event {
            Event::Start(_) if self.start.is_some() => {
                return Err(Malformed::OutOfPlace("of a second start"));
            }
            Event::Start(start) => {
                self.count(&start.usage);
                self.start = Some(start.clone());
            }
            Event::BlockStart { index, block } => self.begin(*index, block)?,
            Event::Delta { index, delta } => self.extend(*index, delta)?,
            Event::BlockStop { index } => self.open(*index)?.open = false,
            Event::Stopping { stopped, usage } => {
                self.count(usage);
                self.stopped = stopped.clone().or(self.stopped.take());
            }
            Event::Ping => {}
            Event::End => self.ended = true,
        }
        Ok(())
    }

    /// What it took so far, as far as the upstream told: also of an answer that was cut off, for which it is owed.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Bytes of what was said so far, by which the output of an answer that was cut off can be estimated.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole message, once [`Event::End`] came.
    ///
    /// # Errors
    ///
    /// Something is missing: the end, the reason for it, the end of a block.
    pub fn finish(self) -> Result<Message, Malformed> {
        let start = self
            .start
            .ok_or(Malformed::OutOfPlace("before the start"))?;
        let stopped = self.stopped.filter(|_| self.ended);
        let stopped = stopped.ok_or(Malformed::OutOfPlace("of the end, which is missing,"))?;
        let (mut content, mut broken_calls) = (Vec::new(), Vec::new());
        for building in self.blocks {
            match building.finish()? {
                Finished::Block(block) => content.push(block),
                Finished::Broken(call) => broken_calls.push(call),
            }
        }
        Ok(Message {
            id: start.id,
            model: start.model,
            content,
            broken_calls,
            stopped,
            usage: self.usage,
        })
    }

    fn count(&mut self, update: &UsageUpdate) {
        if update.is_something() {
            update.apply(self.usage.get_or_insert_default());
        }
    }

    fn begin(&mut self, index: usize, block: &Block) -> Result<(), Malformed> {
        if index != self.blocks.len() {
            return Err(Malformed::OutOfPlace("of a block's start"));
        }
        if index >= LLM_MESSAGE_BLOCKS {
            return Err(Malformed::TooLarge);
        }
        let size = Raw::of(block).map_err(Malformed::json)?.get().len();
        self.grow(size)?;
        self.blocks.push(Building {
            block: block.clone(),
            input: String::new(),
            open: true,
        });
        Ok(())
    }

    fn open(&mut self, index: usize) -> Result<&mut Building, Malformed> {
        let found = self.blocks.get_mut(index).filter(|building| building.open);
        found.ok_or(Malformed::OutOfPlace("of a block that is not open"))
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > LLM_MESSAGE_BYTES {
            return Err(Malformed::TooLarge);
        }
        Ok(())
    }

    fn extend(&mut self, index: usize, delta: &Delta) -> Result<(), Malformed> {
        self.grow(match delta {
            Delta::Text(text)
            | Delta::Thinking(text)
            | Delta::Signature(text)
            | Delta::InputJson(text) => text.len(),
            Delta::Other(raw) => raw.get().len(),
        })?;
        let building = self.open(index)?;
        let misplaced = Err(Malformed::OutOfPlace("of another kind of block"));
        let Building { block, input, .. } = building;
        match delta {
            Delta::Text(more) => {
                let Block::Text(block) = block else {
                    return misplaced;
                };
                block.text.push_str(more);
            }
            Delta::Thinking(more) => {
                let Block::Thinking(block) = block else {
                    return misplaced;
                };
                block.thinking.push_str(more);
            }
            Delta::Signature(more) => {
                let Block::Thinking(block) = block else {
                    return misplaced;
                };
                block.signature.push_str(more);
            }
            Delta::InputJson(more) => {
                // Tools that the upstream runs have inputs too.
                let (Block::ToolUse(_) | Block::Other(_)) = block else {
                    return misplaced;
                };
                input.push_str(more);
            }
            Delta::Other(raw) => {
                if let Block::Text(block) = block {
                    add_citation(block, raw);
                }
            }
        }
        Ok(())
    }
}

/// `citations_delta` is the one delta besides that adds to a block: the block has to go back with what it cites.
fn add_citation(block: &mut Text, raw: &Raw) {
    #[derive(serde::Deserialize)]
    struct Citation {
        citation: Value,
    }
    if let Ok(Citation { citation }) = raw.read() {
        block.rest.append("citations", citation);
    }
}

enum Finished {
    Block(Block),
    Broken(BrokenCall),
}

impl Building {
    fn finish(self) -> Result<Finished, Malformed> {
        let Self { block, input, open } = self;
        if open {
            return Err(Malformed::OutOfPlace("of a block's end, which is missing,"));
        }
        // Nothing where the tool takes no input.
        if input.trim().is_empty() {
            return Ok(Finished::Block(block));
        }
        match block {
            Block::ToolUse(call) => Ok(with_input(call, input)),
            Block::Other(raw) => other_with_input(&raw, input),
            Block::Text(_)
            | Block::Thinking(_)
            | Block::RedactedThinking(_)
            | Block::ToolResult(_)
            | Block::Image(_)
            | Block::Document(_) => Ok(Finished::Block(block)),
        }
    }
}

fn with_input(call: ToolUse, input: String) -> Finished {
    // What no reader has a value for (half a pair of surrogates, 1e999, a thousand levels) is no JSON to whoever would run it.
    let read = Raw::parse(input.clone()).and_then(|raw| raw.read::<Value>().map(|_| raw));
    match read {
        Ok(input) => Finished::Block(Block::ToolUse(ToolUse { input, ..call })),
        Err(_) => Finished::Broken(BrokenCall {
            id: call.id,
            name: call.name,
            input,
        }),
    }
}

/// A call of a tool that the upstream runs.
fn other_with_input(raw: &Raw, input: String) -> Result<Finished, Malformed> {
    let mut fields: Map<String, Value> = raw.read().map_err(Malformed::json)?;
    let Ok(read) = serde_json::from_str(&input) else {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        return Ok(Finished::Broken(BrokenCall {
            id: text("id").to_owned(),
            name: text("name").to_owned(),
            input,
        }));
    };
    fields.insert("input".to_owned(), read);
    let block = Raw::of(&fields).map_err(Malformed::json)?;
    Ok(Finished::Block(Block::Other(block)))
}
