//! Where servers of a view are: behind a URL, or in this process.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::value::RawValue;

use super::names::ServerName;
use crate::client::McpError;
use crate::raw::Fields;
use crate::upstream::{Question, Upstream};
use crate::view::{Talk, ViewError};

/// A server that is asked without a connection. It is a member like any other: who may see what of it is asked before each use.
pub trait InProcess: Send + Sync + 'static {
    /// Asks it. `params` is the object that the protocol has for the method, raw; so is the result.
    fn ask<'a>(
        &'a self,
        method: &'static str,
        params: Bytes,
        talk: &'a Talk,
    ) -> InProcessFuture<'a>;
}

/// What comes of asking such a server.
pub type InProcessFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Bytes, InProcessError>> + Send + 'a>>;

/// Why such a server gives no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InProcessError {
    /// It does not know the method.
    #[error("the server does not do this")]
    NotOffered,
    /// It refuses, in these words: an error of JSON-RPC, raw.
    #[error("the server answered with an error")]
    Refused(Bytes),
}

/// A server of this process in a gateway.
#[derive(Clone)]
pub struct LocalMember {
    /// What it is called.
    pub name: ServerName,
    /// Who answers.
    pub server: Arc<dyn InProcess>,
}

/// Where a server is.
pub(super) enum At {
    Url(Arc<Upstream>),
    Here(Arc<dyn InProcess>),
}

pub(super) async fn ask(
    local: &dyn InProcess,
    question: &Question<'_>,
    talk: &Talk,
) -> Result<Bytes, ViewError> {
    let params = [&b"{"[..], question.fields, b"}"].concat();
    let asked = local.ask(question.method, params.into(), talk).await;
    asked.map_err(|error| match error {
        InProcessError::NotOffered => ViewError::NotOffered,
        InProcessError::Refused(error) => ViewError::Refused(error),
    })
}

/// What it lists: one page, since it is not read from outside.
pub(super) async fn list(
    local: &dyn InProcess,
    method: &'static str,
    field: &str,
) -> Result<Vec<Bytes>, McpError> {
    let talk = Talk::silent();
    let page = match local.ask(method, Bytes::from_static(b"{}"), &talk).await {
        Ok(page) => page,
        Err(InProcessError::NotOffered) => return Ok(Vec::new()),
        Err(InProcessError::Refused(error)) => {
            let said = Fields::of(&error).and_then(|error| error.text("message"));
            let said = said.map_or_else(|| "it says nothing".to_owned(), Cow::into_owned);
            return Err(McpError::NotAsked(said));
        }
    };
    let malformed = McpError::Malformed("what it lists is not a list");
    let fields = Fields::of(&page).unwrap_or_default();
    let listed = fields.get(field).map(RawValue::get).unwrap_or_default();
    let listed: Vec<&RawValue> = serde_json::from_str(listed).map_err(|_| malformed)?;
    let own = |thing: &&RawValue| page.slice_ref(thing.get().as_bytes());
    Ok(listed.iter().map(own).collect())
}
