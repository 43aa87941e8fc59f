//! Why a request is not served, and how the protocol says so.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::json;

use super::revision::{Era, Revision};
use crate::raw::Fields;
use crate::view::ViewError;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the page that asks is of an origin that may not")]
    Origin,
    #[error("the host that is asked for is not this one")]
    Host,
    #[error("only POST, GET and DELETE are served here")]
    Method,
    #[error("the client has to accept application/json and text/event-stream")]
    Accept,
    #[error("the client has to accept text/event-stream")]
    AcceptEvents,
    #[error("the message has to be application/json")]
    MediaType,
    #[error("the message is too long")]
    TooLong,
    #[error("the message did not come in time")]
    TooSlow,
    #[error("the message broke off")]
    BrokeOff,
    #[error("the message is not JSON")]
    NoJson,
    #[error("the message is nested too deeply")]
    TooDeep,
    #[error("it is no message of JSON-RPC 2.0")]
    NoMessage,
    #[error("the id of a request is text or a whole number, and not very long")]
    Id,
    #[error("a batch has some messages, and not very many")]
    BatchLength,
    #[error("this revision has no batches")]
    Batch,
    #[error("a session is not begun in a batch")]
    BeginsInBatch,
    #[error("{0}")]
    Header(&'static str),
    #[error("this revision of the protocol is not served")]
    Revision(String),
    #[error("the session is of another revision than the header says")]
    OtherRevision,
    #[error("_meta of the request does not say {0}")]
    Meta(&'static str),
    #[error("there is no session: one is begun with initialize")]
    NoSession,
    #[error("there is no such session")]
    Session,
    #[error("there are too many sessions")]
    Sessions,
    #[error("there are too many requests at once")]
    Requests,
    #[error("a request of this id is running")]
    Twice,
    #[error("there is no such method: {0}")]
    Unknown(String),
    #[error("{0}")]
    Params(&'static str),
    #[error("the client wants it no more")]
    Cancelled,
}

/// The codes of JSON-RPC 2.0, section 5.1, and of MCP (2026-07-28, Overview, "Error Codes").
mod code {
    pub(super) const NO_JSON: i64 = -32700;
    pub(super) const NO_REQUEST: i64 = -32600;
    pub(super) const NO_METHOD: i64 = -32601;
    pub(super) const PARAMS: i64 = -32602;
    pub(super) const INTERNAL: i64 = -32603;
    pub(super) const NO_RESOURCE_BEFORE_2026: i64 = -32002;
    pub(super) const HEADER: i64 = -32020;
    pub(super) const REVISION: i64 = -32022;
}

impl Refusal {
    pub(super) fn status(&self, era: Era) -> StatusCode {
        match self {
            Self::Origin | Self::Host => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Accept | Self::AcceptEvents => StatusCode::NOT_ACCEPTABLE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Session => StatusCode::NOT_FOUND,
            Self::Sessions => StatusCode::SERVICE_UNAVAILABLE,
            Self::Requests => StatusCode::TOO_MANY_REQUESTS,
            Self::BrokeOff
            | Self::NoJson
            | Self::TooDeep
            | Self::NoMessage
            | Self::Id
            | Self::BatchLength
            | Self::Batch
            | Self::BeginsInBatch
            | Self::Header(_)
            | Self::Revision(_)
            | Self::OtherRevision
            | Self::Meta(_)
            | Self::NoSession
            | Self::Twice => StatusCode::BAD_REQUEST,
            // 2026-07-28, Streamable HTTP, "Protocol Version Header": the method is told by the status too.
            Self::Unknown(_) => match era {
                Era::Sessions => StatusCode::OK,
                Era::Requests => StatusCode::NOT_FOUND,
            },
            Self::Params(_) | Self::Cancelled => StatusCode::OK,
        }
    }

    fn code(&self) -> i64 {
        match self {
            Self::NoJson => code::NO_JSON,
            Self::Header(_) => code::HEADER,
            Self::Revision(_) => code::REVISION,
            Self::Unknown(_) => code::NO_METHOD,
            Self::Params(_) | Self::Meta(_) => code::PARAMS,
            Self::Sessions | Self::Requests | Self::Cancelled => code::INTERNAL,
            Self::Origin
            | Self::Host
            | Self::Method
            | Self::Accept
            | Self::AcceptEvents
            | Self::MediaType
            | Self::TooLong
            | Self::TooSlow
            | Self::BrokeOff
            | Self::TooDeep
            | Self::NoMessage
            | Self::Id
            | Self::BatchLength
            | Self::Batch
            | Self::BeginsInBatch
            | Self::OtherRevision
            | Self::NoSession
            | Self::Session
            | Self::Twice => code::NO_REQUEST,
        }
    }

    /// The error of JSON-RPC.
    pub(super) fn error(&self) -> Vec<u8> {
        let mut error = json!({"code": self.code(), "message": self.to_string()});
        if let Self::Revision(asked) = self {
            let supported = Revision::ALL.map(Revision::name);
            error["data"] = json!({"supported": supported, "requested": asked});
        }
        error.to_string().into_bytes()
    }
}

/// The error of JSON-RPC for what a view says.
pub(super) fn view_error(error: &ViewError, era: Era) -> Bytes {
    let code = match error {
        ViewError::Refused(raw) => return translated(raw, era),
        ViewError::Resource(_) => match era {
            Era::Sessions => code::NO_RESOURCE_BEFORE_2026,
            Era::Requests => code::PARAMS,
        },
        ViewError::Tool(_)
        | ViewError::Prompt(_)
        | ViewError::Cursor
        | ViewError::Subscriptions => code::PARAMS,
        ViewError::NotOffered => code::NO_METHOD,
        ViewError::Failed { .. } => code::INTERNAL,
    };
    let mut said = json!({"code": code, "message": error.to_string()});
    if let ViewError::Resource(uri) = error {
        said["data"] = json!({"uri": uri});
    }
    said.to_string().into()
}

/// A server's error as it is, but for codes that the client's revision has not (2026-07-28, Overview, "Error Codes") and those that would say
/// something of the gateway's own conversation with its server.
fn translated(raw: &Bytes, era: Era) -> Bytes {
    let Some(error) = Fields::of(raw) else {
        return raw.clone();
    };
    let code = error.get("code").and_then(|code| code.get().parse().ok());
    let better = match (code, era) {
        (Some(code::NO_RESOURCE_BEFORE_2026), Era::Requests) => code::PARAMS,
        (Some(-32099..=-32020), _) => code::INTERNAL,
        _ => return raw.clone(),
    };
    match serde_json::value::to_raw_value(&better) {
        Ok(better) => error.with("code", &better).whole().into(),
        Err(_) => raw.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_error_is_passed_on_unless_its_code_means_something_else() {
        let check = |raw: &'static str, era, expect: &str| {
            let error = ViewError::Refused(Bytes::from_static(raw.as_bytes()));
            assert_eq!(&view_error(&error, era)[..], expect.as_bytes());
        };
        let own = r#"{"code":-7, "message":"no","data":{"a":1}}"#;
        check(own, Era::Requests, own);
        let gone = r#"{"code":-32002,"message":"no"}"#;
        check(gone, Era::Sessions, gone);
        check(gone, Era::Requests, r#"{"code":-32602,"message":"no"}"#);
        let header = r#"{"code":-32020,"message":"no"}"#;
        check(header, Era::Sessions, r#"{"code":-32603,"message":"no"}"#);
        let odd = r#"{"code":-32020,"message":"no","data":1e400}"#;
        let better = r#"{"code":-32603,"message":"no","data":1e400}"#;
        check(odd, Era::Sessions, better);
    }
}
