//! From events to the whole message.

use bailiwick_model::limits::{LLM_MESSAGE_BLOCKS, LLM_MESSAGE_BYTES};

use crate::{
    Block, Delta, Event, Malformed, Raw, Rest, Role, Start, Stopped, Text, ToolUse, Turn, Usage,
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
    /// A call whose input `max_tokens` or the context cut off: it is none, and not in the content.
    pub cut_tool: Option<CutTool>,
    /// Why it ended.
    pub stopped: Stopped,
    /// What it took; none where the upstream did not tell.
    pub usage: Option<Usage>,
}

/// A call that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTool {
    /// Its id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// As much as there is of the JSON of its input.
    pub partial_input: String,
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
        let (mut content, mut cut_tool) = (Vec::new(), None);
        let last = self.blocks.len().saturating_sub(1);
        for (index, building) in self.blocks.into_iter().enumerate() {
            match building.finish()? {
                Finished::Block(block) => content.push(block),
                Finished::Cut(cut) if index == last => cut_tool = Some(cut),
                Finished::Cut(_) => {
                    return Err(Malformed::Json("the input of a tool is no JSON".to_owned()));
                }
            }
        }
        Ok(Message {
            id: start.id,
            model: start.model,
            content,
            cut_tool,
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
        citation: serde_json::Value,
    }
    if let Ok(Citation { citation }) = raw.read() {
        let mut citations = block
            .rest
            .get("citations")
            .and_then(|found| found.as_array().cloned())
            .unwrap_or_default();
        citations.push(citation);
        block.rest.insert("citations", citations.into());
    }
}

enum Finished {
    Block(Block),
    Cut(CutTool),
}

impl Building {
    fn finish(self) -> Result<Finished, Malformed> {
        let Self {
            mut block,
            input,
            open,
        } = self;
        if open {
            return Err(Malformed::OutOfPlace("of a block's end, which is missing,"));
        }
        // Nothing where the tool takes no input.
        if input.trim().is_empty() {
            return Ok(Finished::Block(block));
        }
        match &mut block {
            Block::ToolUse(call) => match Raw::parse(input.clone()) {
                Ok(whole) => call.input = whole,
                Err(_) => {
                    return Ok(Finished::Cut(CutTool {
                        id: std::mem::take(&mut call.id),
                        name: std::mem::take(&mut call.name),
                        partial_input: input,
                    }));
                }
            },
            Block::Other(raw) => {
                let mut fields: Rest = raw.read().map_err(Malformed::json)?;
                let kind: serde_json::Value = raw.read().map_err(Malformed::json)?;
                fields.insert("type", kind["type"].clone());
                fields.insert(
                    "input",
                    serde_json::from_str(&input).map_err(Malformed::json)?,
                );
                *raw = Raw::of(&fields).map_err(Malformed::json)?;
            }
            Block::Text(_)
            | Block::Thinking(_)
            | Block::RedactedThinking(_)
            | Block::ToolResult(_)
            | Block::Image(_)
            | Block::Document(_) => {}
        }
        Ok(Finished::Block(block))
    }
}
