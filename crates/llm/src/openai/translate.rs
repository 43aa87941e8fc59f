//! Requests.

use serde::Serialize;

use super::Untranslatable;
use super::content::{self, Part, plain_text};
use crate::{Block, OutputCap, Raw, Request, Role, Tool, ToolChoice, Turn};

/// A request of the Chat Completions API.
#[derive(Debug, Serialize)]
pub(crate) struct ChatRequest<'r> {
    model: &'r str,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    messages: Vec<ChatMessage<'r>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ChatTool<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ChatToolChoice<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'r [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'r serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'r serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'r str>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum ChatMessage<'r> {
    System {
        content: String,
    },
    User {
        content: Vec<Part<'r>>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ChatCall<'r>>,
    },
    Tool {
        tool_call_id: &'r str,
        content: String,
    },
}

#[derive(Debug, Serialize)]
struct ChatCall<'r> {
    id: &'r str,
    #[serde(rename = "type")]
    kind: Function,
    function: CalledFunction<'r>,
}

#[derive(Debug, Serialize)]
struct CalledFunction<'r> {
    name: &'r str,
    /// JSON in a string.
    arguments: &'r str,
}

#[derive(Debug, Serialize)]
struct ChatTool<'r> {
    #[serde(rename = "type")]
    kind: Function,
    function: OfferedFunction<'r>,
}

#[derive(Debug, Serialize)]
struct OfferedFunction<'r> {
    name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'r str>,
    parameters: &'r Raw,
}

/// The only kind of tool there is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Function {
    Function,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ChatToolChoice<'r> {
    Word(&'static str),
    One {
        #[serde(rename = "type")]
        kind: Function,
        function: NamedFunction<'r>,
    },
}

#[derive(Debug, Serialize)]
struct NamedFunction<'r> {
    name: &'r str,
}

/// The request in this API's form. Thinking is left out, since nothing here takes it back, and so are fields that only the Messages API has;
/// what would change the conversation is an error.
pub(crate) fn translate(
    request: &Request,
    cap: OutputCap,
) -> Result<ChatRequest<'_>, Untranslatable> {
    let (max_tokens, max_completion_tokens) = match cap {
        OutputCap::MaxTokens => (Some(request.max_tokens), None),
        OutputCap::MaxCompletionTokens => (None, Some(request.max_tokens)),
    };
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        let content = plain_text(&request.system)?;
        messages.push(ChatMessage::System { content });
    }
    for turn in &request.messages {
        match turn.role {
            Role::User => user(turn, &mut messages)?,
            Role::Assistant => messages.extend(assistant(turn)?),
        }
    }
    let (tool_choice, parallel_tool_calls) = choice(request.tool_choice.as_ref());
    let effort = request
        .rest
        .get("output_config")
        .and_then(|output| output.get("effort"));
    Ok(ChatRequest {
        model: &request.model,
        stream: true,
        stream_options: StreamOptions {
            include_usage: true,
        },
        max_tokens,
        max_completion_tokens,
        messages,
        tools: request.tools.iter().map(tool).collect::<Result<_, _>>()?,
        tool_choice,
        parallel_tool_calls,
        stop: &request.stop_sequences,
        temperature: request.rest.get("temperature"),
        top_p: request.rest.get("top_p"),
        reasoning_effort: effort.and_then(|effort| effort.as_str()),
    })
}

/// Results of tools are messages of their own, which have to come right after the calls; then what the person says.
fn user<'r>(turn: &'r Turn, messages: &mut Vec<ChatMessage<'r>>) -> Result<(), Untranslatable> {
    let mut said = Vec::new();
    for block in &turn.content {
        let Block::ToolResult(result) = block else {
            said.extend(content::part(block)?);
            continue;
        };
        let is_text = |block: &&Block| matches!(block, Block::Text(_));
        let texts: Vec<_> = result.content.iter().filter(is_text).cloned().collect();
        let text = plain_text(&texts)?;
        messages.push(ChatMessage::Tool {
            tool_call_id: &result.tool_use_id,
            content: if result.is_error {
                format!("Error: {text}")
            } else {
                text
            },
        });
        // A message of a tool is text alone: pictures follow as the person's.
        for block in result.content.iter().filter(|block| !is_text(block)) {
            said.extend(content::part(block)?);
        }
    }
    if !said.is_empty() {
        messages.push(ChatMessage::User { content: said });
    }
    Ok(())
}

fn assistant(turn: &Turn) -> Result<Option<ChatMessage<'_>>, Untranslatable> {
    let (mut texts, mut tool_calls) = (Vec::new(), Vec::new());
    for block in &turn.content {
        match block {
            Block::Text(text) => texts.push(text.text.as_str()),
            Block::Thinking(_) | Block::RedactedThinking(_) => {}
            Block::ToolUse(call) => tool_calls.push(ChatCall {
                id: &call.id,
                kind: Function::Function,
                function: CalledFunction {
                    name: &call.name,
                    arguments: call.input.get(),
                },
            }),
            Block::ToolResult(_) => return Err(others("tool_result")),
            Block::Image(_) => return Err(others("image")),
            Block::Document(_) => return Err(others("document")),
            Block::Other(raw) => return Err(content::unknown(raw)),
        }
    }
    let content = (!texts.is_empty()).then(|| texts.concat());
    // Of an answer that was thinking alone nothing is left.
    let is_something = content.is_some() || !tool_calls.is_empty();
    Ok(is_something.then_some(ChatMessage::Assistant {
        content,
        tool_calls,
    }))
}

fn others(block: &'static str) -> Untranslatable {
    Untranslatable::Role {
        role: "assistant",
        block,
    }
}

fn tool(tool: &Tool) -> Result<ChatTool<'_>, Untranslatable> {
    match tool {
        Tool::Custom(custom) => Ok(ChatTool {
            kind: Function::Function,
            function: OfferedFunction {
                name: &custom.name,
                description: custom.description.as_deref(),
                parameters: &custom.input_schema,
            },
        }),
        Tool::Other(raw) => Err(Untranslatable::Tool(content::kind_of(raw))),
    }
}

fn choice(choice: Option<&ToolChoice>) -> (Option<ChatToolChoice<'_>>, Option<bool>) {
    let Some(choice) = choice else {
        return (None, None);
    };
    let parallel = |disabled: &bool| disabled.then_some(false);
    match choice {
        ToolChoice::Auto {
            disable_parallel_tool_use,
        } => (
            Some(ChatToolChoice::Word("auto")),
            parallel(disable_parallel_tool_use),
        ),
        ToolChoice::Any {
            disable_parallel_tool_use,
        } => (
            Some(ChatToolChoice::Word("required")),
            parallel(disable_parallel_tool_use),
        ),
        ToolChoice::Tool {
            name,
            disable_parallel_tool_use,
        } => {
            let one = ChatToolChoice::One {
                kind: Function::Function,
                function: NamedFunction { name },
            };
            (Some(one), parallel(disable_parallel_tool_use))
        }
        ToolChoice::None => (Some(ChatToolChoice::Word("none")), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str) -> Result<serde_json::Value, Untranslatable> {
        let request: Request = serde_json::from_str(request).unwrap();
        Ok(serde_json::to_value(translate(&request, OutputCap::MaxTokens)?).unwrap())
    }

    #[test]
    fn a_conversation_with_tools_is_translated() {
        let request = r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"a"},{"type":"text","text":"b"}],
            "tools":[{"name":"t","description":"d","input_schema":{"type":"object"}}],
            "tool_choice":{"type":"any","disable_parallel_tool_use":true},"stop_sequences":["x"],"temperature":0.5,
            "output_config":{"effort":"low"},"thinking":{"type":"adaptive"},
            "messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"h","signature":"s"},{"type":"text","text":"r"},{"type":"tool_use","id":"c1","name":"t","input":{"b":1,"a":2}},
            {"type":"tool_use","id":"c2","name":"t","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"one"},{"type":"tool_result","tool_use_id":"c2","is_error":true,
            "content":[{"type":"text","text":"two"},{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]},{"type":"text","text":"go"}]}]}"#;
        insta::assert_snapshot!(serde_json::to_string_pretty(&check(request).unwrap()).unwrap());
    }

    #[test]
    fn what_has_no_form_there_is_refused_and_not_left_out() {
        let ask = |tools: &str, content: &str| {
            check(&format!(r#"{{"model":"m","max_tokens":9,"tools":[{tools}],"messages":[{{"role":"user","content":[{content}]}}]}}"#)).unwrap_err()
        };
        let search = r#"{"type":"web_search_20250305","name":"web_search"}"#;
        assert_eq!(
            ask(search, ""),
            Untranslatable::Tool("web_search_20250305".to_owned())
        );
        let block = r#"{"type":"container_upload","file_id":"a"}"#;
        assert_eq!(
            ask("", block),
            Untranslatable::Block("container_upload".to_owned())
        );
        let file = r#"{"type":"document","source":{"type":"file","file_id":"a"}}"#;
        assert!(matches!(
            ask("", file),
            Untranslatable::Source {
                kind: "document",
                ..
            }
        ));
    }
}
