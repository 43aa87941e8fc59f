//! Tools of a gateway by words: for models that are not to read the whole list. What is found is what its caller would be listed, and no more.

use std::cmp::Reverse;

use bailiwick_mcp::{Joined, Talk, View as _, ViewRequest};
use bailiwick_model::limits::{CONTROL_PLANE_TOOL_WORDS, CONTROL_PLANE_TOOLS_FOUND};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::backing::GatewayBacking;
use crate::error::ControlError;
use crate::names::problem;

/// What a name that has a word counts more than a description.
const NAMED: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    query: String,
    limit: Option<usize>,
}

/// The tools among those of a view that have these words.
pub(super) async fn tools(
    among: Option<&Joined<GatewayBacking>>,
    arguments: Value,
) -> Result<Value, ControlError> {
    let Arguments { query, limit } = serde_json::from_value(arguments).map_err(|error| {
        let message = format!("are not those of this tool: {error}");
        problem("arguments", "invalid", &message, "send `query`")
    })?;
    let limit = limit.unwrap_or(CONTROL_PLANE_TOOLS_FOUND);
    let words = words(&query);
    let mut found = Vec::new();
    let (mut cursor, silent) = (None, Talk::silent());
    while let Some(joined) = among {
        let asked = joined.ask(ViewRequest::Tools { cursor }, &silent);
        let page = asked
            .await
            .map_err(|error| ControlError::McpServer(error.to_string()))?;
        let mut page: Value = serde_json::from_slice(&page).unwrap_or_default();
        if let Value::Array(tools) = page["tools"].take() {
            found.extend(tools.iter().filter_map(|tool| scored(tool, &words)));
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    found.sort_by_key(|(score, _)| Reverse(*score));
    found.truncate(limit.min(CONTROL_PLANE_TOOLS_FOUND));
    let tools: Vec<_> = found.into_iter().map(|(_, tool)| tool).collect();
    Ok(json!({"tools": tools}))
}

fn words(query: &str) -> Vec<String> {
    let words = query.split(|character: char| !character.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words
        .take(CONTROL_PLANE_TOOL_WORDS)
        .map(str::to_lowercase)
        .collect()
}

/// What is told of a tool that has one of the words, and how well it fits.
fn scored(tool: &Value, words: &[String]) -> Option<(usize, Value)> {
    let text = |field: &str| tool[field].as_str().unwrap_or_default().to_lowercase();
    let (name, description) = (text("name"), text("description"));
    let fits = |word: &String| {
        NAMED * usize::from(name.contains(word)) + usize::from(description.contains(word))
    };
    let score: usize = words.iter().map(fits).sum();
    let shown = json!({
        "name": tool["name"],
        "description": tool["description"],
        "inputSchema": tool["inputSchema"],
    });
    (score > 0).then_some((score, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_more_of_the_words_fits_better() {
        let score = |name: &str, query: &str| {
            let tool = json!({"name": name, "description": "Finds Issues of a project."});
            scored(&tool, &words(query)).map_or(0, |(score, _)| score)
        };
        assert_eq!(score("github__search", "weather"), 0);
        assert!(score("github__search", "ISSUES search") > score("github__list", "issues search"));
        assert_eq!(score("github__search", "  ..  "), 0);
    }
}
