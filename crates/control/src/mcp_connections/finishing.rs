//! What a browser brings back, and how who began finishes with it.

use std::net::IpAddr;
use std::sync::Arc;

use bailiwick_model::limits::{
    MCP_CONNECTION_ATTEMPTS, OAUTH_FOREIGN_CODE_BYTES, OAUTH_PROBLEM_BYTES,
};
use bailiwick_model::{McpConnectionId, Permission, ResourceId as _};
use bailiwick_store::{Change, Credential, McpConnection};
use bailiwick_wire::CredentialBody;
use url::Url;

use super::pending::Pending;
use super::{KIND, RESOURCE, person, problem, told};
use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::oauth_server::is_same;
use crate::to_the_end::to_the_end;
use crate::{clock, fresh};

/// What people tell apart and can say to each other.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// 40 bits, of which five may be tried in ten minutes.
const CONFIRMATION_LETTERS: usize = 8;
/// The longest state that is looked at.
const STATE_BYTES: usize = 256;

/// What a browser brings back (RFC 6749, section 4.1.2, and RFC 9207).
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionAnswer<'a> {
    /// What is exchanged for tokens.
    pub code: Option<&'a str>,
    /// What was asked.
    pub state: Option<&'a str>,
    /// Whose answer it says that it is.
    pub issuer: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
}

/// What a person is shown who came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownConfirmation {
    /// What finishes it, for who began.
    pub confirmation: String,
    /// The host of the MCP server.
    pub server: String,
    /// The address of mail of who began.
    pub began: String,
}

/// Why nothing comes of what a browser brought back.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionProblem {
    /// Nobody waits for it, or not any more: which of these, nobody is told.
    #[error(
        "nobody waits for this: it was used already, it came too late, or it was never asked for"
    )]
    Unknown,
    /// It says that it is the answer of another server than the one that was asked.
    #[error("this is not the answer of the server that was asked")]
    OtherIssuer,
    /// The authorization server gave no code.
    #[error("the authorization server gave no access: {0}")]
    Declined(String),
    /// Something else failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Control {
    /// Takes what a browser brings back, once. It is no credential before who began has finished.
    ///
    /// # Errors
    ///
    /// See [`ConnectionProblem`]; [`ControlError::TooManyFailures`] for an address that brought too much that nobody waits for.
    pub async fn answer_mcp_connection(
        &self,
        answer: ConnectionAnswer<'_>,
        address: Option<IpAddr>,
    ) -> Result<ShownConfirmation, ConnectionProblem> {
        let taken = self.take_answer(answer, address).await;
        if matches!(taken, Err(ConnectionProblem::Unknown))
            && let Err(error @ ControlError::TooManyFailures { .. }) =
                self.counted::<()>(Err(ControlError::Unauthenticated), address)
        {
            return Err(error.into());
        }
        taken
    }

    async fn take_answer(
        &self,
        answer: ConnectionAnswer<'_>,
        address: Option<IpAddr>,
    ) -> Result<ShownConfirmation, ConnectionProblem> {
        let (mut change, connection) = self.awaited(answer.state.unwrap_or_default()).await?;
        let organization = change.organization().clone();
        let sealed = connection.sealed.clone();
        let pending = Pending::unsealed(&self.sealing, &organization, &connection.id, sealed)?;
        // Who brings it is not known: that they came is what is entered.
        let browser = Caller {
            address,
            ..Caller::system(organization.clone())
        };
        let code = match judged(&pending, answer) {
            Ok(code) => code,
            Err(problem) => {
                let deleted = change.delete_mcp_connection(&connection.id).await;
                deleted.map_err(ControlError::from)?;
                commit(change, &browser, "mcp_connection.fail", &connection.id).await?;
                return Err(problem);
            }
        };
        let member = change.member(&connection.user).await;
        let member = member.map_err(ControlError::from)?;
        let began = member.ok_or(ConnectionProblem::Unknown)?.email;
        let (confirmation, shown) = confirmation();
        let sealed = pending.with_code(code);
        let sealed = sealed.sealed(&self.sealing, &organization, &connection.id);
        let hash = fresh::hash(&confirmation);
        let answered = change.answer_mcp_connection(&connection.id, sealed, hash);
        answered.await.map_err(ControlError::from)?;
        commit(change, &browser, "mcp_connection.answer", &connection.id).await?;
        Ok(ShownConfirmation {
            confirmation: shown,
            server: host(&connection.mcp_url),
            began,
        })
    }

    /// The connection that waits for an answer with this state, in a change of its organization.
    async fn awaited(&self, state: &str) -> Result<(Change, McpConnection), ConnectionProblem> {
        if state.is_empty() || state.len() > STATE_BYTES {
            return Err(ConnectionProblem::Unknown);
        }
        let found = self.store.mcp_connection_of(&fresh::hash(state)).await;
        let found = found.map_err(ControlError::from)?;
        let (organization, id) = found.ok_or(ConnectionProblem::Unknown)?;
        let change = self.store.change(&organization, clock::now()).await;
        let mut change = change.map_err(ControlError::from)?;
        let connection = change
            .mcp_connection(&id)
            .await
            .map_err(ControlError::from)?;
        let at = change.at();
        let waits = |connection: &McpConnection| {
            connection.confirmation_hash.is_none() && connection.expires_at > at
        };
        let connection = connection.filter(waits);
        Ok((change, connection.ok_or(ConnectionProblem::Unknown)?))
    }

    /// Finishes what the caller began, with the word that the page showed: exchanges the code, and puts the tokens into the vault. It goes on also
    /// when nobody waits for it any more: what was granted could be had no second time, and nobody could end it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], also for what somebody else began, [`ControlError::Invalid`] for another word, [`ControlError::McpServer`] if there
    /// are no tokens, those of [`Self::create_credential`], and what every use case may answer.
    pub async fn finish_mcp_connection(
        self: &Arc<Self>,
        caller: &Caller,
        id: &McpConnectionId,
        confirmation: &str,
    ) -> Result<Credential, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let (control, caller) = (Arc::clone(self), caller.clone());
        let (id, confirmation) = (id.clone(), confirmation.to_owned());
        to_the_end(async move { control.exchanged(&caller, &id, &confirmation).await }).await
    }

    async fn exchanged(
        &self,
        caller: &Caller,
        id: &McpConnectionId,
        confirmation: &str,
    ) -> Result<Credential, ControlError> {
        let connection = self.confirmed(caller, id, confirmation).await?;
        let organization = &caller.organization;
        let pending = Pending::unsealed(&self.sealing, organization, id, connection.sealed)?;
        let way = self.way_out(caller).await?;
        let (outbound, policy) = way.ok_or_else(|| told("this server asks none"))?;
        let endpoint = pending.token_endpoint()?;
        let exchange = pending.exchange(&endpoint);
        let exchange = exchange.ok_or(ControlError::NotFound(KIND))?;
        let _turn = self.validations.wait(organization).await;
        let tokens = bailiwick_mcp::exchange(&outbound, &policy, exchange).await;
        let tokens = tokens.map_err(told)?;
        let now = clock::now();
        let body = pending.credential(&connection.mcp_url, &tokens, now);
        let body = CredentialBody::create(&body, now)?;
        self.put_connected_credential(caller, &connection.vault, body, pending.replaces())
            .await
    }

    /// Takes a connection that the word finishes, which nobody finishes a second time.
    async fn confirmed(
        &self,
        caller: &Caller,
        id: &McpConnectionId,
        confirmation: &str,
    ) -> Result<McpConnection, ControlError> {
        let user = person(caller)?;
        let mut change = self.change(caller, clock::now()).await?;
        let at = change.at();
        let found = change.mcp_connection(id).await?;
        let is_own =
            |connection: &McpConnection| connection.user == *user && connection.expires_at > at;
        let connection = found.filter(is_own).ok_or(ControlError::NotFound(KIND))?;
        let Some(expected) = connection.confirmation_hash else {
            let message = "nobody has come back from the authorization server yet";
            let help = "open the URL in a browser, agree, and write what the page shows in the end";
            return Err(problem("confirmation", "not_answered", message, help));
        };
        if is_same(&expected, &fresh::hash(&normal(confirmation))) {
            change.delete_mcp_connection(id).await?;
            commit(change, caller, "mcp_connection.finish", id).await?;
            return Ok(connection);
        }
        if connection.attempts + 1 >= MCP_CONNECTION_ATTEMPTS {
            change.delete_mcp_connection(id).await?;
        } else {
            change.count_mcp_connection_attempt(id).await?;
        }
        commit(change, caller, "mcp_connection.mistake", id).await?;
        let message = "this is not what the page showed";
        let help = "write it as the page shows it; after some mistakes the connection ends, and another one is to be begun";
        Err(problem("confirmation", "wrong_confirmation", message, help))
    }
}

/// The code of an answer, if it is one of the server that was asked.
fn judged<'a>(
    pending: &Pending,
    answer: ConnectionAnswer<'a>,
) -> Result<&'a str, ConnectionProblem> {
    if !pending.is_answered_by(answer.issuer) {
        return Err(ConnectionProblem::OtherIssuer);
    }
    if let Some(error) = answer.error {
        return Err(ConnectionProblem::Declined(visible(error)));
    }
    let is_visible = |byte: u8| (0x20..=0x7e).contains(&byte);
    let fits = |code: &&str| {
        !code.is_empty() && code.len() <= OAUTH_FOREIGN_CODE_BYTES && code.bytes().all(is_visible)
    };
    let no_code = || ConnectionProblem::Declined("no code that can be used".to_owned());
    answer.code.filter(fits).ok_or_else(no_code)
}

/// A word for an error (RFC 6749, section 4.1.2.1), as far as it is one.
fn visible(error: &str) -> String {
    let word = error.chars().filter(char::is_ascii_graphic);
    word.take(OAUTH_PROBLEM_BYTES).collect()
}

/// A word that nobody guesses, as it is hashed and as it is shown.
fn confirmation() -> (String, String) {
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte % 32)]);
    let word: String = fresh::random::<CONFIRMATION_LETTERS>()
        .map(letter)
        .iter()
        .collect();
    let shown = format!("{}-{}", &word[..4], &word[4..]);
    (word, shown)
}

/// As it is hashed, however somebody wrote it.
fn normal(confirmation: &str) -> String {
    let letters = confirmation.chars().filter(char::is_ascii_alphanumeric);
    let short = letters.take(2 * CONFIRMATION_LETTERS);
    short.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str);
    host.unwrap_or_default().to_owned()
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    id: &McpConnectionId,
) -> Result<(), ControlError> {
    let event = caller.event(action, (RESOURCE, id.as_str()), None, None);
    Ok(change.commit(&event).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_is_taken_as_people_write_it() {
        let (word, shown) = confirmation();
        assert_eq!(word.len(), CONFIRMATION_LETTERS);
        for written in [&shown, &word, &shown.to_lowercase(), &format!(" {shown}\n")] {
            assert_eq!(normal(written), word);
        }
        assert_ne!(normal("2345-6789"), normal("2345-678A"));
        assert_eq!(normal(&"A".repeat(100)).len(), 2 * CONFIRMATION_LETTERS);
    }

    #[test]
    fn what_a_server_says_went_wrong_is_a_word() {
        assert_eq!(visible("access_denied"), "access_denied");
        assert_eq!(visible("a\r\nb <c>"), "ab<c>");
        assert_eq!(visible(&"e".repeat(5000)).len(), OAUTH_PROBLEM_BYTES);
    }
}
