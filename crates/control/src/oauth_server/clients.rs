//! Programs that ask for tokens: what they say of themselves (RFC 7591), and what is believed of it, which is nothing but where they are.

use std::net::IpAddr;
use std::time::Instant;

use bailiwick_model::limits::{
    OAUTH_CLIENT_BYTES, OAUTH_CLIENT_ID_BYTES, OAUTH_CLIENT_LIFE, OAUTH_CLIENT_NAME_CHARS,
    OAUTH_REDIRECT_URIS, OAUTH_REGISTRATION_ADDRESSES, OAUTH_REGISTRATION_FORGOTTEN,
    OAUTH_REGISTRATIONS,
};
use bailiwick_model::{RedirectUri, RedirectUriProblem};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::buckets::{Bound, Buckets};
use crate::control::Control;
use crate::error::ControlError;
use crate::failures::counted_as;
use crate::sealing::Sealed;
use crate::{clock, fresh};

/// What the place of a sealed client begins with.
const PLACE: &str = "OAuth client";
const PREFIX: &str = "bwoc_";
const BOUND: Bound = Bound {
    burst: OAUTH_REGISTRATIONS,
    forgotten_after: OAUTH_REGISTRATION_FORGOTTEN,
    told_apart: OAUTH_REGISTRATION_ADDRESSES,
};

/// How many programs each address registered lately.
#[derive(Debug)]
pub(crate) struct Registrations(Buckets<IpAddr>);

impl Default for Registrations {
    fn default() -> Self {
        Self(Buckets::new(BOUND))
    }
}

/// What a program says of itself.
#[derive(Debug, Clone)]
pub struct NewClientRequest {
    /// How it calls itself; nobody knows whether it is so.
    pub name: Option<String>,
    /// Where it has people sent back to.
    pub redirect_uris: Vec<String>,
}

/// A program that said what it is. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClient {
    /// What it is known by from now on.
    pub id: String,
    /// How it calls itself.
    pub name: String,
    /// Where it has people sent back to.
    pub redirect_uris: Vec<String>,
    /// When it said so.
    pub made_at: Timestamp,
}

/// Why a program is not registered (RFC 7591, section 3.2.2).
#[derive(Debug, thiserror::Error)]
pub enum ClientProblem {
    /// It has people sent nowhere, or to too many places.
    #[error("redirect_uris has 1 to {OAUTH_REDIRECT_URIS} URIs")]
    RedirectUris,
    /// It has people sent where nobody is sent.
    #[error("redirect_uris[{index}]: {problem}")]
    RedirectUri {
        /// Which.
        index: usize,
        /// Why.
        problem: RedirectUriProblem,
    },
    /// It says too much.
    #[error("its name and its redirect URIs may have {OAUTH_CLIENT_BYTES} bytes together")]
    TooLarge,
    /// Something else failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// What the id of a program holds, sealed.
#[derive(Serialize, Deserialize)]
struct Said {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "r")]
    redirect_uris: Vec<String>,
    #[serde(rename = "t")]
    made_at: i64,
}

/// A program that is known.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) hash: [u8; 32],
    pub(super) name: String,
    pub(super) redirect_uris: Vec<RedirectUri>,
    /// The host whose document says all this; without one the program said it itself.
    pub(super) vouched_by: Option<String>,
}

impl Control {
    /// Gives a program an id.
    ///
    /// # Errors
    ///
    /// See [`ClientProblem`]; [`ControlError::TooManyFailures`] for an address that registered too many.
    pub fn register_oauth_client(
        &self,
        request: NewClientRequest,
        address: Option<IpAddr>,
    ) -> Result<RegisteredClient, ClientProblem> {
        let counted = self
            .registrations
            .0
            .count(address.map(counted_as), Instant::now());
        counted.map_err(|retry_after| ControlError::TooManyFailures { retry_after })?;
        let name = visible(request.name.as_deref().unwrap_or_default());
        let uris = request.redirect_uris;
        redirect_uris(&uris)?;
        let bytes = name.len() + uris.iter().map(String::len).sum::<usize>();
        if bytes > OAUTH_CLIENT_BYTES {
            return Err(ClientProblem::TooLarge);
        }
        let made_at = clock::now();
        let said = Said {
            name,
            redirect_uris: uris,
            made_at: made_at.as_second(),
        };
        let text = serde_json::to_vec(&said).expect("texts and a number are JSON");
        let sealed = self.sealing.seal(&[PLACE], &text);
        let bytes = URL_SAFE_NO_PAD.encode(sealed.bytes);
        Ok(RegisteredClient {
            id: format!("{PREFIX}{}.{bytes}", sealed.key),
            name: said.name,
            redirect_uris: said.redirect_uris,
            made_at,
        })
    }

    /// The program that has this id, if it is known still: one that nobody let do anything is forgotten after a while.
    pub(super) async fn registered_client(&self, id: &str) -> Result<Option<Client>, ControlError> {
        let Some(said) = self.said(id) else {
            return Ok(None);
        };
        let Ok(redirect_uris) = redirect_uris(&said.redirect_uris) else {
            return Ok(None);
        };
        let hash = fresh::hash(id);
        let life = SignedDuration::try_from(OAUTH_CLIENT_LIFE).unwrap_or(SignedDuration::ZERO);
        let is_old = said.made_at + life.as_secs() < clock::now().as_second();
        if is_old && !self.store.has_oauth_client(&hash).await? {
            return Ok(None);
        }
        Ok(Some(Client {
            hash,
            name: said.name,
            redirect_uris,
            vouched_by: None,
        }))
    }

    fn said(&self, id: &str) -> Option<Said> {
        let rest = id
            .strip_prefix(PREFIX)
            .filter(|_| id.len() <= OAUTH_CLIENT_ID_BYTES)?;
        let (key, bytes) = rest.split_once('.')?;
        let sealed = Sealed {
            key: key.to_owned(),
            bytes: URL_SAFE_NO_PAD.decode(bytes).ok()?,
        };
        let opened = self.sealing.unseal(&[PLACE], &sealed).ok()?;
        serde_json::from_slice(&opened).ok()
    }
}

pub(super) fn redirect_uris(texts: &[String]) -> Result<Vec<RedirectUri>, ClientProblem> {
    if !(1..=OAUTH_REDIRECT_URIS).contains(&texts.len()) {
        return Err(ClientProblem::RedirectUris);
    }
    let read = |(index, text): (usize, &String)| {
        let read = text.parse();
        read.map_err(|problem| ClientProblem::RedirectUri { index, problem })
    };
    texts.iter().enumerate().map(read).collect()
}

/// A name as far as it can be seen: no characters that control, or that turn the direction of what stands around them.
pub(super) fn visible(name: &str) -> String {
    let turns = |one: char| matches!(one, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let seen = name.chars().filter(|one| !one.is_control() && !turns(*one));
    let name: String = seen.take(OAUTH_CLIENT_NAME_CHARS).collect();
    let name = name.trim();
    if name.is_empty() {
        "a program without a name".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_nothing_that_cannot_be_seen() {
        assert_eq!(visible("Cur\u{202e}sor\n\u{0}"), "Cursor");
        assert_eq!(visible(" \t"), "a program without a name");
        assert_eq!(visible(&"a".repeat(500)).len(), OAUTH_CLIENT_NAME_CHARS);
    }
}
