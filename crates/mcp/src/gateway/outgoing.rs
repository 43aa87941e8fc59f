//! What clients are sent: messages of JSON-RPC around what stays as it is.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::revision::{Era, Revision};
use crate::news::Change;
use crate::raw::{Fields, raw_text, write_text};
use crate::view::{Greeting, Notice, ViewRequest};

/// Whether a result may be kept by a client, by the protocol (2026-07-28, Caching).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// It is of a kind that says so: here that nobody but the caller may, and not without asking again.
    Private,
    /// It is of another kind.
    Unsaid,
}

impl Keeping {
    pub(super) fn of(request: &ViewRequest) -> Self {
        match request {
            ViewRequest::Tools { .. }
            | ViewRequest::Resources { .. }
            | ViewRequest::Templates { .. }
            | ViewRequest::Prompts { .. }
            | ViewRequest::Read { .. } => Self::Private,
            ViewRequest::Call { .. }
            | ViewRequest::Subscribe { .. }
            | ViewRequest::Unsubscribe { .. }
            | ViewRequest::Prompt { .. }
            | ViewRequest::Complete { .. }
            | ViewRequest::Level(_) => Self::Unsaid,
        }
    }
}

/// The answer with a result.
pub(super) fn result(id: &[u8], result: &[u8], era: Era, keeping: Keeping) -> Bytes {
    match era {
        Era::Sessions => answer(id, b"result", result),
        Era::Requests => answer(id, b"result", &complete(result, keeping)),
    }
}

/// The answer with an error.
pub(super) fn error(id: Option<&[u8]>, error: &[u8]) -> Bytes {
    answer(id.unwrap_or(b"null"), b"error", error)
}

fn answer(id: &[u8], kind: &[u8], value: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(40 + id.len() + value.len());
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
    out.push(b'}');
    out.into()
}

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// A result with what results of 2026-07-28 have besides. Whose server it was, and how long that says it may be kept, is not told: who may see
/// what is decided here.
fn complete(result: &[u8], keeping: Keeping) -> Vec<u8> {
    let Some(fields) = Fields::of(result) else {
        return result.to_vec();
    };
    let meta = fields
        .get("_meta")
        .and_then(|meta| Fields::of(meta.get().as_bytes()));
    let meta = meta.unwrap_or_default().without(&[SERVER_INFO]);
    let mut out = Vec::with_capacity(result.len() + 160);
    out.extend_from_slice(br#"{"resultType":"complete""#);
    if keeping == Keeping::Private {
        out.extend_from_slice(br#","ttlMs":0,"cacheScope":"private""#);
    }
    out.extend_from_slice(br#","_meta":{"io.modelcontextprotocol/serverInfo":"#);
    out.extend_from_slice(server_info(&Greeting::default()).to_string().as_bytes());
    meta.write_into(&mut out, true);
    out.push(b'}');
    let rest = fields.without(&["resultType", "ttlMs", "cacheScope", "_meta"]);
    rest.write_into(&mut out, true);
    out.push(b'}');
    out
}

/// What is told while a result is awaited.
pub(super) fn notice(notice: &Notice, token: Option<&Bytes>) -> Option<Bytes> {
    match (notice, token) {
        (Notice::Progress(params), Some(token)) => {
            let mut out = br#"{"progressToken":"#.to_vec();
            out.extend_from_slice(token);
            Fields::of(params)?.write_into(&mut out, true);
            out.push(b'}');
            Some(notification("notifications/progress", &out))
        }
        (Notice::Progress(_), None) => None,
        (Notice::Log(_, params), _) => Some(notification("notifications/message", params)),
    }
}

pub(super) fn notification(method: &str, params: &[u8]) -> Bytes {
    let mut out = br#"{"jsonrpc":"2.0","method":"#.to_vec();
    write_text(&mut out, method);
    if !params.is_empty() {
        out.extend_from_slice(br#","params":"#);
        out.extend_from_slice(params);
    }
    out.push(b'}');
    out.into()
}

/// A change, on a stream of news; on one that a request of 2026-07-28 asked for, with the id of that.
pub(super) fn change(change: &Change, subscription: Option<&Bytes>) -> Bytes {
    let method = match change {
        Change::Tools => "notifications/tools/list_changed",
        Change::Prompts => "notifications/prompts/list_changed",
        Change::Resources => "notifications/resources/list_changed",
        Change::Updated(_) => "notifications/resources/updated",
    };
    let uri = match change {
        Change::Updated(uri) => Some(raw_text(uri)),
        Change::Tools | Change::Prompts | Change::Resources => None,
    };
    let mut fields = Fields::default();
    if let Some(uri) = &uri {
        fields.push("uri".into(), uri);
    }
    if uri.is_none() && subscription.is_none() {
        return notification(method, b"");
    }
    let mut params = vec![b'{'];
    if let Some(id) = subscription {
        write_subscription(&mut params, id);
    }
    fields.write_into(&mut params, subscription.is_some());
    params.push(b'}');
    notification(method, &params)
}

fn write_subscription(out: &mut Vec<u8>, id: &Bytes) {
    out.extend_from_slice(br#""_meta":{"io.modelcontextprotocol/subscriptionId":"#);
    out.extend_from_slice(id);
    out.push(b'}');
}

/// That news of these kinds will come (2026-07-28, Subscriptions, "Acknowledgment").
pub(super) fn acknowledged(id: &Bytes, notifications: &Value) -> Bytes {
    let mut params = vec![b'{'];
    write_subscription(&mut params, id);
    params.extend_from_slice(br#","notifications":"#);
    params.extend_from_slice(notifications.to_string().as_bytes());
    params.push(b'}');
    notification("notifications/subscriptions/acknowledged", &params)
}

/// The result of `initialize`.
pub(super) fn initialized(revision: Revision, greeting: &Greeting) -> Vec<u8> {
    let mut result = json!({
        "protocolVersion": revision.name(),
        "capabilities": capabilities(),
        "serverInfo": server_info(greeting),
    });
    instruct(&mut result, greeting);
    result.to_string().into_bytes()
}

/// The result of `server/discover`.
pub(super) fn discovered(greeting: &Greeting) -> Vec<u8> {
    let mut result = json!({
        // Those with sessions too: who knows only them can begin one.
        "supportedVersions": Revision::ALL.map(Revision::name),
        "capabilities": capabilities(),
        "serverInfo": server_info(greeting),
    });
    instruct(&mut result, greeting);
    result.to_string().into_bytes()
}

fn instruct(result: &mut Value, greeting: &Greeting) {
    if let Some(instructions) = &greeting.instructions {
        result["instructions"] = instructions.as_str().into();
    }
}

fn server_info(greeting: &Greeting) -> Value {
    let mut info = json!({"name": "bailiwick", "version": env!("CARGO_PKG_VERSION")});
    if let Some(title) = &greeting.title {
        info["title"] = title.as_str().into();
    }
    info
}

/// Everything: what there is of it is for servers to say, and they are not asked before their caller wants something of them.
fn capabilities() -> Value {
    json!({
        "tools": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
        "prompts": {"listChanged": true},
        "completions": {},
        "logging": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_passed_on_as_it_is_where_the_revision_has_sessions() {
        let raw = br#"{"content" : [], "x":1e400}"#;
        let answer = result(b"7", raw, Era::Sessions, Keeping::Unsaid);
        assert_eq!(
            &answer[..],
            br#"{"jsonrpc":"2.0","id":7,"result":{"content" : [], "x":1e400}}"#
        );
    }

    #[test]
    fn no_result_is_kept_for_somebody_else_whatever_its_server_says() {
        let raw = br#"{"tools":[],"ttlMs":9,"cacheScope":"public","resultType":"x","_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"y"}}}"#;
        let answer = result(b"7", raw, Era::Requests, Keeping::Private);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let expect = json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": [],
            "_meta": {"a": 1, SERVER_INFO: server_info(&Greeting::default())},
        });
        assert_eq!(answer["result"], expect);
    }

    #[test]
    fn progress_goes_under_the_token_of_the_client() {
        let told = Notice::of(
            "notifications/progress",
            br#"{"progressToken":99,"progress":1}"#,
        );
        let token = Bytes::from_static(b"\"mine\"");
        let sent = notice(&told.unwrap(), Some(&token)).unwrap();
        let expect = br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","progress":1}}"#;
        assert_eq!(&sent[..], expect);
    }

    #[test]
    fn a_change_says_which_subscription_it_is_of() {
        let id = Bytes::from_static(b"3");
        let sent = change(&Change::Updated("a:b".to_owned()), Some(&id));
        let expect = br#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3},"uri":"a:b"}}"#;
        assert_eq!(&sent[..], expect);
        let sent = change(&Change::Tools, None);
        assert_eq!(
            &sent[..],
            br#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
        );
    }
}
