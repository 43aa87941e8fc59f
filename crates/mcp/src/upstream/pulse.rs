//! Whether a server is well, for whoever looks after it.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_outbound::NotHttpUrl;
use tokio::time::timeout;
use url::Url;

use super::{Failure, HeldAccess, Question, Upstream};
use crate::client::McpError;
use crate::news::Change;
use crate::view::Talk;

/// A session with a server in which nothing is asked but whether it is there.
pub struct Pulse(Arc<Upstream>);

impl Pulse {
    /// Nothing is sent until it is used.
    ///
    /// # Errors
    ///
    /// [`NotHttpUrl`]. Of a server with pipes the URL is not used.
    pub fn new(url: Url) -> Result<Self, NotHttpUrl> {
        Ok(Self(Arc::new(Upstream::new(url)?)))
    }

    /// Begins with it where that was not done (`initialize`), and asks whether it is there (`ping`). A server that refuses is there.
    ///
    /// # Errors
    ///
    /// Why it is not well; [`McpError::Timeout`] where it says nothing within `time`.
    pub async fn beat(&self, access: &HeldAccess, time: Duration) -> Result<(), McpError> {
        let question = Question {
            method: "ping",
            fields: b"",
            name: None,
        };
        let silent = (&Talk::silent(), &|_: Change| {});
        let asking = async {
            // Whether it refused this, or to begin at all, is not the same.
            self.0.agreed(access).await.map_err(Failure::error)?;
            match self.0.ask(access, &question, (silent.0, silent.1)).await {
                Ok(_) | Err(Failure::Refused(_)) => Ok(()),
                Err(Failure::Failed(error)) => Err(error),
            }
        };
        let asked = timeout(time, asking).await;
        asked.unwrap_or(Err(McpError::Timeout))
    }
}
