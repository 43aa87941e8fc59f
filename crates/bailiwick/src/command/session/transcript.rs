//! A session as people read it: what is said, what is called, what that came to.

use serde_json::Value;

use crate::output::{Colour, Tone, printable};

/// Lines of what a tool came to that are shown.
const RESULT_LINES: usize = 20;
/// Characters of a tool's input that are shown.
const INPUT_CHARS: usize = 200;

/// Turns events into text, in order.
pub(super) struct Transcript {
    colour: Colour,
    /// The message that is shown as it comes, and how much of it was.
    partial: Option<Partial>,
}

struct Partial {
    id: String,
    shown: String,
}

impl Transcript {
    pub(super) fn new(colour: Colour) -> Self {
        let partial = None;
        Self { colour, partial }
    }

    /// What is shown of an event; empty for what says nothing to people.
    pub(super) fn tell(&mut self, event: &Value) -> String {
        match text(event, "/type") {
            "event_start" if text(event, "/event/type") == "agent.message" => {
                let before = self.broken_off();
                self.partial = Some(Partial {
                    id: text(event, "/event/id").to_owned(),
                    shown: String::new(),
                });
                before
            }
            "event_delta" => self.part(event),
            "agent.message" => self.message(event),
            _ => {
                let line = self.line(event);
                if line.is_empty() {
                    return line;
                }
                format!("{}{line}\n", self.broken_off())
            }
        }
    }

    /// A line that was begun is ended.
    fn broken_off(&mut self) -> String {
        match self.partial.take() {
            Some(partial) if !partial.shown.is_empty() => "\n".to_owned(),
            Some(_) | None => String::new(),
        }
    }

    fn part(&mut self, event: &Value) -> String {
        let Some(partial) = &mut self.partial else {
            return String::new();
        };
        let part = text(event, "/delta/content/text");
        if partial.id != text(event, "/event_id") {
            return String::new();
        }
        partial.shown.push_str(part);
        shown(part)
    }

    /// What was not shown of it as it came.
    fn message(&mut self, event: &Value) -> String {
        let whole = blocks(event);
        match self.partial.take() {
            Some(partial) if partial.id == text(event, "/id") => {
                match whole.strip_prefix(&partial.shown) {
                    Some(rest) => format!("{}\n", shown(rest)),
                    None => format!("\n{}\n", shown(&whole)),
                }
            }
            Some(partial) if !partial.shown.is_empty() => format!("\n{}\n", shown(&whole)),
            Some(_) | None => format!("{}\n", shown(&whole)),
        }
    }

    fn line(&self, event: &Value) -> String {
        match text(event, "/type") {
            "user.message" => {
                let said = shown(&blocks(event));
                self.colour.paint(Tone::Strong, &format!("you: {said}"))
            }
            "agent.tool_use" | "agent.mcp_tool_use" | "agent.custom_tool_use" => self.call(event),
            "agent.tool_result"
            | "agent.mcp_tool_result"
            | "user.tool_result"
            | "user.custom_tool_result" => self.result(event),
            "user.tool_confirmation" if text(event, "/result") == "allow" => {
                self.colour.paint(Tone::Good, "[allowed]")
            }
            "user.tool_confirmation" => {
                self.aside(Tone::Bad, "not allowed", "/deny_message", event)
            }
            "user.interrupt" => self.colour.paint(Tone::Bad, "[interrupted]"),
            "session.error" => self.aside(Tone::Bad, "error", "/error/message", event),
            "session.status_running" => self.colour.paint(Tone::Quiet, "[running]"),
            "session.status_idle" => self.aside(Tone::Quiet, "idle", "/stop_reason/type", event),
            "session.status_rescheduled" => self.colour.paint(Tone::Quiet, "[tries again]"),
            "session.status_terminated" => self.colour.paint(Tone::Bad, "[terminated]"),
            "session.deleted" => self.colour.paint(Tone::Bad, "[deleted]"),
            _ => String::new(),
        }
    }

    /// `[word: what is there]`.
    fn aside(&self, tone: Tone, word: &str, place: &str, event: &Value) -> String {
        let more = match text(event, place) {
            "" => String::new(),
            more => format!(": {}", printable(more)),
        };
        self.colour.paint(tone, &format!("[{word}{more}]"))
    }

    fn call(&self, event: &Value) -> String {
        let input = &event["input"];
        let words = match input["command"].as_str() {
            Some(command) => command.to_owned(),
            None => input.to_string(),
        };
        let short: String = words.chars().take(INPUT_CHARS).collect();
        let more = if short.len() < words.len() {
            " …"
        } else {
            ""
        };
        let name = printable(text(event, "/name"));
        let call = format!("> {name}: {}{more}", indented(&short, "  "));
        let asks = match text(event, "/evaluated_permission") {
            "ask" => format!("\n[asks for permission: {}]", printable(text(event, "/id"))),
            "deny" => "\n[not allowed]".to_owned(),
            _ if text(event, "/type") == "agent.custom_tool_use" => {
                format!("\n[waits for a result: {}]", printable(text(event, "/id")))
            }
            _ => String::new(),
        };
        format!("{}{asks}", self.colour.paint(Tone::Strong, &call))
    }

    fn result(&self, event: &Value) -> String {
        let whole = blocks(event);
        let lines: Vec<_> = whole.trim_end().split('\n').collect();
        let first = lines[..lines.len().min(RESULT_LINES)].join("\n");
        let mut result = format!("  | {}", indented(&first, "  | "));
        if lines.len() > RESULT_LINES {
            let more = lines.len() - RESULT_LINES;
            result.push_str(&format!("\n  | … and {more} more lines"));
        }
        let tone = if event["is_error"] == true {
            Tone::Bad
        } else {
            Tone::Quiet
        };
        self.colour.paint(tone, &result)
    }
}

/// Lines after the first one begin with `indent`, so that nothing in there looks like something else.
fn indented(text: &str, indent: &str) -> String {
    shown(text).replace('\n', &format!("\n{indent}"))
}

/// A text that came from elsewhere, with its lines.
fn shown(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let columns: Vec<_> = line.split('\t').map(printable).collect();
        columns.join("\t")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text<'v>(event: &'v Value, place: &str) -> &'v str {
    event
        .pointer(place)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The texts of an event's content; what is no text is named.
fn blocks(event: &Value) -> String {
    let blocks = event["content"].as_array().into_iter().flatten();
    let texts = blocks.map(|block| match block["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("({})", text(block, "/type")),
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(events: &[Value], expect: &str) {
        let mut transcript = Transcript::new(Colour::Off);
        let told: String = events.iter().map(|event| transcript.tell(event)).collect();
        assert_eq!(told, expect);
    }

    fn start(id: &str) -> Value {
        json!({"type": "event_start", "event": {"type": "agent.message", "id": id}})
    }

    fn part(id: &str, text: &str) -> Value {
        json!({"type": "event_delta", "event_id": id, "delta": {"type": "content_delta", "content": {"type": "text", "text": text}}})
    }

    fn message(id: &str, text: &str) -> Value {
        json!({"type": "agent.message", "id": id, "content": [{"type": "text", "text": text}]})
    }

    #[test]
    fn a_message_is_shown_once_however_it_comes() {
        check(&[message("a", "One.")], "One.\n");
        check(
            &[
                start("a"),
                part("a", "On"),
                part("a", "e."),
                message("a", "One."),
            ],
            "One.\n",
        );
        // Parts are lost to the slow.
        check(
            &[start("a"), part("a", "On"), message("a", "One.")],
            "One.\n",
        );
        check(&[start("a"), message("a", "One.")], "One.\n");
        check(&[part("a", "On"), message("a", "One.")], "One.\n");
        // A request that failed, and was made again.
        check(
            &[
                start("a"),
                part("a", "On"),
                start("b"),
                part("b", "Two."),
                message("b", "Two."),
            ],
            "On\nTwo.\n",
        );
        let stopped = json!({"type": "session.status_terminated", "id": "x"});
        check(
            &[start("a"), part("a", "On"), stopped],
            "On\n[terminated]\n",
        );
    }

    #[test]
    fn what_comes_from_a_sandbox_does_nothing_to_a_terminal() {
        let call = json!({"type": "agent.tool_use", "name": "bash", "id": "c", "input": {"command": "printf '\u{1b}]0;x\u{7}'\necho"}});
        let result = json!({"type": "agent.tool_result", "content": [{"type": "text", "text": "\u{1b}[2J\n[idle: end_turn]"}]});
        check(
            &[call, result, message("a", "\u{1b}[31mred")],
            "> bash: printf '\\u{1b}]0;x\\u{7}'\n  echo\n  | \\u{1b}[2J\n  | [idle: end_turn]\n\\u{1b}[31mred\n",
        );
    }

    #[test]
    fn a_call_that_asks_says_what_to_confirm() {
        let call = json!({"type": "agent.tool_use", "name": "write", "id": "sevt_1", "input": {"file_path": "a"}, "evaluated_permission": "ask"});
        check(
            &[call],
            "> write: {\"file_path\":\"a\"}\n[asks for permission: sevt_1]\n",
        );
        let long = (1..=25)
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
            .join("\n");
        let result =
            json!({"type": "agent.tool_result", "content": [{"type": "text", "text": long}]});
        let mut transcript = Transcript::new(Colour::Off);
        assert!(
            transcript
                .tell(&result)
                .ends_with("  | 20\n  | … and 5 more lines\n")
        );
    }
}
