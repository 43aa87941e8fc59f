//! What the model is asked: the turns of a request, as the Messages API has them.
//!
//! The first is the user's, roles alternate, and a call is followed by its result; whatever was told keeps its place.

use bailiwick_llm::{Block, Rest, Role, ToolResult, Turn};
use bailiwick_model::SessionEventId;

use super::history::{Outcome, Speaker, Told};

/// The turns that tell the model what happened.
pub(crate) fn messages(told: &[Told]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for part in told {
        let (role, content) = blocks(part);
        match turns.last_mut() {
            Some(last) if last.role == role => last.content.extend(content),
            Some(_) | None => turns.push(Turn { role, content }),
        }
    }
    turns
}

fn blocks(part: &Told) -> (Role, Vec<Block>) {
    match part {
        Told::Said(Speaker::User, content) => (Role::User, content.clone()),
        // Models differ in whether they take a system message in the middle; all take a text that says what it is.
        Told::Said(Speaker::System, content) => {
            (Role::User, content.iter().map(as_system).collect())
        }
        Told::Answered(content) => (Role::Assistant, content.clone()),
        Told::Results(results) => (Role::User, results.iter().map(result).collect()),
        Told::Summary(summary) => {
            let text = format!(
                "What happened before, summarised because it was too long to repeat:\n\n{summary}"
            );
            (Role::User, vec![Block::text(text)])
        }
    }
}

fn result((id, outcome): &(SessionEventId, Outcome)) -> Block {
    Block::ToolResult(ToolResult {
        tool_use_id: id.to_string(),
        content: outcome.content.clone(),
        is_error: outcome.is_error,
        cache_control: None,
        rest: Rest::none(),
    })
}

fn as_system(block: &Block) -> Block {
    let Block::Text(text) = block else {
        return block.clone();
    };
    Block::text(format!(
        "<system-message>\n{}\n</system-message>",
        text.text
    ))
}
