//! What was agreed with a server, and the transport that is used since.

use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::line::Line;
use super::talk::Talk;
use super::{Access, METHOD, McpClient, McpError, NAME, SESSION, VERSION};

/// What was agreed with a server.
pub(super) struct Begun {
    pub(super) version: HeaderValue,
    pub(super) transport: Transport,
}

/// How requests reach it.
pub(super) enum Transport {
    /// Streamable HTTP, with the id of its session if it keeps one.
    Sessions(Option<HeaderValue>),
    /// Streamable HTTP of the revision where each request carries everything.
    NoSessions,
    /// The older transport.
    Line(Line),
}

impl Begun {
    pub(super) fn has_sessions(&self) -> bool {
        !matches!(self.transport, Transport::NoSessions)
    }

    /// Whether the server knows a session by an id.
    pub(super) fn has_session_id(&self) -> bool {
        matches!(self.transport, Transport::Sessions(Some(_)))
    }

    /// Whether it may be used under this access. What keeps no connection is looked at by each request.
    pub(super) fn holds(&self, client: &McpClient, access: Access<'_>) -> bool {
        match &self.transport {
            Transport::Sessions(_) | Transport::NoSessions => true,
            Transport::Line(line) => line.holds(&client.outbound, access),
        }
    }

    /// A request, and its result.
    pub(super) async fn request(
        &self,
        talk: &Talk<'_>,
        (id, method): (u64, &'static str),
        message: &Value,
    ) -> Result<Map<String, Value>, McpError> {
        match &self.transport {
            Transport::Line(line) => line.request(talk, id, message).await,
            Transport::Sessions(_) | Transport::NoSessions => {
                let name = message["params"]["name"].as_str();
                talk.request(id, message, &self.headers(method, name)).await
            }
        }
    }

    /// Something that is not answered. Whether it arrives does not matter.
    pub(super) async fn tell(&self, talk: &Talk<'_>, method: &'static str, message: &Value) {
        match &self.transport {
            Transport::Line(line) => talk.tell(&line.endpoint, message, &[]).await,
            Transport::Sessions(_) | Transport::NoSessions => {
                let headers = self.headers(method, None);
                talk.tell(&talk.client.server, message, &headers).await;
            }
        }
    }

    /// What goes along with requests of Streamable HTTP.
    pub(super) fn headers(
        &self,
        method: &'static str,
        name: Option<&str>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(VERSION, self.version.clone())];
        match &self.transport {
            Transport::Sessions(session) => {
                headers.extend(session.clone().map(|session| (SESSION, session)));
            }
            Transport::NoSessions => {
                headers.push((METHOD, HeaderValue::from_static(method)));
                let name = name.and_then(|name| HeaderValue::from_str(name).ok());
                headers.extend(name.map(|name| (NAME, name)));
            }
            Transport::Line(_) => {}
        }
        headers
    }
}
