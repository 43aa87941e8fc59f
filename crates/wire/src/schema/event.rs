//! Events as requests carry them.

use bailiwick_model::{SessionThreadId, limits};
use serde_json::json;

use super::Schema;
use crate::event::UserEvent;

impl UserEvent {
    /// What [`crate::sent_events`] takes.
    pub fn send_schema() -> Schema {
        let kinds = [
            message(),
            interrupt(),
            confirmation(),
            result("user.custom_tool_result", "custom_tool_use_id"),
            result("user.tool_result", "tool_use_id")
                .says("In self-hosted environments, of tools of the sandbox."),
            system(),
        ];
        let events = Schema::list_of(1..=limits::SENT_EVENTS, Schema::any_of(kinds));
        let text = json!([{"type": "text", "text": "And the tests?"}]);
        Schema::object()
            .needs("events", events.says("All of them are taken, or none."))
            .example(json!({"events": [{"type": "user.message", "content": text}]}))
            .named("SessionEventsSend")
    }
}

/// A message to an agent.
pub(super) fn message() -> Schema {
    Schema::object()
        .needs("type", Schema::word("user.message"))
        .needs("content", blocks(1, [text(), image(), document()]))
        .named("UserMessageParams")
}

fn interrupt() -> Schema {
    let thread = Schema::id::<SessionThreadId>().says("All threads, if it is absent.");
    Schema::object()
        .needs("type", Schema::word("user.interrupt"))
        .may_be("session_thread_id", thread)
}

fn confirmation() -> Schema {
    Schema::object()
        .needs("type", Schema::word("user.tool_confirmation"))
        .needs("tool_use_id", Schema::chars(1..=limits::REFERENCE_CHARS))
        .needs("result", Schema::words(["allow", "deny"]))
        .may_be(
            "deny_message",
            Schema::chars(0..=limits::DENY_MESSAGE_CHARS).says("Of a call that is denied."),
        )
}

fn result(kind: &'static str, call: &'static str) -> Schema {
    Schema::object()
        .needs("type", Schema::word(kind))
        .needs(call, Schema::chars(1..=limits::REFERENCE_CHARS))
        .may_be(
            "content",
            blocks(0, [text(), image(), document(), search_result()]),
        )
        .may_be("is_error", Schema::boolean())
}

fn system() -> Schema {
    Schema::object()
        .needs("type", Schema::word("system.message"))
        .needs(
            "content",
            Schema::list_of(1..=limits::CONTENT_BLOCKS, text()),
        )
        .says("The last of a request, right after a message or a result.")
}

fn blocks(least: usize, kinds: impl IntoIterator<Item = Schema>) -> Schema {
    Schema::list_of(least..=limits::CONTENT_BLOCKS, Schema::any_of(kinds))
}

fn some() -> Schema {
    Schema::text().with("minLength", json!(1))
}

fn text() -> Schema {
    Schema::object()
        .needs("type", Schema::word("text"))
        .needs("text", some())
        .named("TextBlockParams")
}

fn here() -> Schema {
    let digits = some().matching("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$");
    Schema::object()
        .needs("type", Schema::word("base64"))
        .needs("media_type", Schema::chars(1..=limits::MEDIA_TYPE_BYTES))
        .needs("data", digits)
}

fn on_the_web() -> Schema {
    let url = Schema::chars(1..=limits::CONTENT_URL_CHARS).matching("^https?://[^\\s]+$");
    Schema::object()
        .needs("type", Schema::word("url"))
        .needs("url", url)
}

fn in_a_file() -> Schema {
    Schema::object()
        .needs("type", Schema::word("file"))
        .needs("file_id", Schema::chars(1..=limits::REFERENCE_CHARS))
}

fn image() -> Schema {
    let source = Schema::any_of([here(), on_the_web(), in_a_file()]);
    Schema::object()
        .needs("type", Schema::word("image"))
        .needs("source", source)
        .named("ImageBlockParams")
}

fn document() -> Schema {
    let plain = Schema::object()
        .needs("type", Schema::word("text"))
        .needs("media_type", Schema::word("text/plain"))
        .needs("data", some());
    let source = Schema::any_of([here(), plain, on_the_web(), in_a_file()]);
    Schema::object()
        .needs("type", Schema::word("document"))
        .needs("source", source)
        .may_be("title", Schema::chars(0..=limits::DOCUMENT_TITLE_CHARS))
        .may_be("context", Schema::text())
        .named("DocumentBlockParams")
}

fn search_result() -> Schema {
    let citations = Schema::object().needs("enabled", Schema::boolean());
    Schema::object()
        .needs("type", Schema::word("search_result"))
        .needs("source", some())
        .needs("title", some())
        .needs(
            "content",
            Schema::list_of(0..=limits::CONTENT_BLOCKS, text()),
        )
        .needs("citations", citations)
        .named("SearchResultBlockParams")
}
