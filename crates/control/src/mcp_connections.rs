//! Credentials of MCP servers that people get there: they sign in at the authorization server of one, and what their browser brings back becomes
//! tokens in a vault.
//!
//! A browser that comes back proves nothing about who asked for it: somebody could have sent another person there, to have that person's tokens in
//! a vault of their own (RFC 9700, section 4.7). So it comes to a page that names who began and shows a word, and what was brought back is good for
//! nobody but who began, with that word.

mod finishing;
mod pending;

pub use finishing::{ConnectionAnswer, ConnectionProblem, ShownConfirmation};

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_mcp::{AuthorizationServer, RegisteredAs, RegisteredMethod};
use bailiwick_model::limits::{
    MCP_CONNECTION_FINDING, MCP_CONNECTION_LIFE, MCP_CONNECTIONS_OF_ONE,
};
use bailiwick_model::{
    McpConnectionId, OrganizationId, Permission, ResourceId as _, SecretText, UserId, VaultId,
};
use bailiwick_store::NewMcpConnection;
use bailiwick_wire::{CredentialBody, FieldProblem};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::oauth_server::after;
use crate::{clock, fresh, vaults};
use pending::Pending;

/// What the errors call it.
const KIND: &str = "connection";
/// What the audit log calls it.
const RESOURCE: &str = "mcp_connection";

/// A credential that somebody would get.
#[derive(Debug, Clone)]
pub struct NewConnectionRequest {
    /// Where it will be.
    pub vault: VaultId,
    /// The MCP server that it is for.
    pub url: String,
    /// Who Bailiwick is at the authorization server; without it registers itself.
    pub client: Option<GivenClient>,
    /// What the tokens are to allow; without it what the MCP server says.
    pub scope: Option<String>,
    /// What people call it.
    pub display_name: Option<String>,
    /// Whether it takes the place of one that the vault has for the server.
    pub replaces: bool,
}

/// Who Bailiwick is at an authorization server that knows it already.
#[derive(Debug, Clone)]
pub struct GivenClient {
    /// The client's id.
    pub id: String,
    /// Its secret, if it has one.
    pub secret: Option<SecretText>,
}

/// What somebody does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunConnection {
    /// Its id, for who has come back.
    pub id: McpConnectionId,
    /// Where a browser goes.
    pub authorize_url: String,
    /// Whom the person gives their consent at.
    pub issuer: String,
    /// Until when they may come back.
    pub expires_at: Timestamp,
}

impl Control {
    /// Where authorization servers send browsers back to; a client that is registered there by hand names it.
    pub fn connection_redirect_uri(&self) -> Option<String> {
        let public_url = self.public_url()?;
        Some(format!("{public_url}/oauth/callback"))
    }

    /// Finds out who gives tokens for an MCP server, and where a person goes for one. Whatever is asked for that is asked under the policy for what
    /// credentials name.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] and [`ControlError::Archived`] for the vault, [`ControlError::Invalid`], [`ControlError::TargetTaken`],
    /// [`ControlError::McpServer`] if the servers do not do their part or may not be asked, and what every use case may answer.
    pub async fn begin_mcp_connection(
        &self,
        caller: &Caller,
        request: NewConnectionRequest,
    ) -> Result<BegunConnection, ControlError> {
        caller.require(Permission::VaultWrite)?;
        let user = person(caller)?;
        let redirect_uri = self.connection_redirect_uri().ok_or_else(nowhere)?;
        let url = checked(&request)?;
        self.place_for(caller, &request).await?;
        let way = self.way_out(caller).await?;
        let (outbound, policy) = way.ok_or_else(|| told("this server asks none"))?;
        // So many at once: whoever comes later waits.
        let turn = self.validations.wait(&caller.organization).await;
        let finding = async {
            let server = bailiwick_mcp::discover(&outbound, &policy, &url).await;
            let server = server.map_err(told)?;
            let client = match &request.client {
                Some(given) => given.known(),
                None => {
                    let registered =
                        bailiwick_mcp::register(&outbound, &policy, &server, &redirect_uri);
                    registered.await.map_err(told)?
                }
            };
            Ok::<_, ControlError>((server, client))
        };
        let found = timeout(MCP_CONNECTION_FINDING, finding).await;
        let (server, client) = found.map_err(|_| told("its servers take too long"))??;
        drop(turn);
        let (state, verifier) = (fresh::secret("bwcs_"), fresh::secret(""));
        let pending = Pending::new(&request, &server, client, &redirect_uri, verifier.text);
        let authorize_url = authorize_url(&server, &pending, &state.text);
        let at = clock::now();
        // Nobody agrees to what could not be kept: the code would be spent by then.
        let kept = CredentialBody::create(&pending.likely_credential(&request.url, at), at);
        kept.map_err(|problems| unfit(&problems))?;
        let (id, expires_at) = (fresh::id(at), after(at, MCP_CONNECTION_LIFE));
        let mut change = self.change(caller, at).await?;
        let new = NewMcpConnection {
            id: McpConnectionId::clone(&id),
            user,
            vault: &request.vault,
            mcp_url: &request.url,
            state_hash: state.hash,
            sealed: pending.sealed(&self.sealing, &caller.organization, &id),
            expires_at,
        };
        let inserted = change.insert_mcp_connection(new, MCP_CONNECTIONS_OF_ONE);
        inserted
            .await
            .map_err(ControlError::without(vaults::KIND))?;
        let evidence = json!({
            "vault_id": request.vault,
            "mcp_server_url": request.url,
            "issuer": server.issuer,
        });
        let about = (RESOURCE, id.as_str());
        let event = caller.event("mcp_connection.begin", about, None, Some(&evidence));
        change.commit(&event).await?;
        Ok(BegunConnection {
            id,
            authorize_url,
            issuer: server.issuer,
            expires_at,
        })
    }

    /// Whether the credential would have a place, so that nobody signs in for nothing. It is looked at again when there is one.
    async fn place_for(
        &self,
        caller: &Caller,
        request: &NewConnectionRequest,
    ) -> Result<(), ControlError> {
        let scope = self.store.scope(&caller.organization);
        let vault = scope.vault(&request.vault).await?;
        let vault = vault.ok_or(ControlError::NotFound(vaults::KIND))?;
        if vault.archived_at.is_some() {
            return Err(ControlError::Archived(vaults::KIND));
        }
        let taken = self
            .has_mcp_credential(&caller.organization, &request.vault, &request.url)
            .await?;
        if taken && !request.replaces {
            return Err(ControlError::TargetTaken);
        }
        Ok(())
    }
}

impl GivenClient {
    fn known(&self) -> RegisteredAs {
        let secret = self.secret.as_ref();
        RegisteredAs {
            client_id: self.id.clone(),
            client_secret: secret.map(|secret| Zeroizing::new(secret.reveal().to_owned())),
            method: match secret {
                Some(_) => RegisteredMethod::Basic,
                None => RegisteredMethod::None,
            },
        }
    }
}

/// The URL of the server, if all that is said can be stored with a credential.
fn checked(request: &NewConnectionRequest) -> Result<Url, ControlError> {
    let client = request.client.as_ref();
    let method = match client.and_then(|client| client.secret.as_ref()) {
        Some(_) => json!({"type": "client_secret_basic", "client_secret": "later"}),
        None => json!({"type": "none"}),
    };
    let refresh = json!({
        "client_id": client.map_or("later", |client| client.id.as_str()),
        "refresh_token": "later",
        "token_endpoint": "https://later.example.com/",
        "token_endpoint_auth": method,
        "scope": request.scope,
    });
    let auth = json!({
        "type": "mcp_oauth",
        "mcp_server_url": request.url,
        "access_token": "later",
        "refresh": refresh,
    });
    let mut body = Map::from_iter([("auth".to_owned(), auth)]);
    if let Some(name) = &request.display_name {
        body.insert("display_name".to_owned(), Value::from(name.as_str()));
    }
    CredentialBody::create(&body, clock::now()).map_err(as_asked)?;
    let no_url = |_| {
        problem(
            "url",
            "not_a_url",
            "it is no URL",
            "write https://HOST/PATH",
        )
    };
    Url::parse(&request.url).map_err(no_url)
}

/// The fields of the request instead of those of a credential.
fn as_asked(problems: Vec<FieldProblem>) -> ControlError {
    let renamed = problems.into_iter().map(|problem| FieldProblem {
        field: match problem.field.as_str() {
            "auth.mcp_server_url" => "url".to_owned(),
            "auth.refresh.client_id" => "client_id".to_owned(),
            "auth.refresh.scope" => "scope".to_owned(),
            other => other.to_owned(),
        },
        ..problem
    });
    ControlError::Invalid(renamed.collect())
}

/// Where the browser goes (RFC 6749, section 4.1.1).
fn authorize_url(server: &AuthorizationServer, pending: &Pending, state: &str) -> String {
    let hash = digest(&SHA256, pending.code_verifier().as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(hash.as_ref());
    let mut url = server.authorization_endpoint.clone();
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", pending.client_id())
        .append_pair("redirect_uri", pending.redirect_uri())
        .append_pair("state", state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    query.extend_pairs(pending.resource().map(|resource| ("resource", resource)));
    query.extend_pairs(pending.scope().map(|scope| ("scope", scope)));
    drop(query);
    url.to_string()
}

fn told(error: impl std::fmt::Display) -> ControlError {
    ControlError::McpServer(error.to_string())
}

/// What servers say of themselves that no credential can have. The fields are of a credential, which nobody wrote.
fn unfit(problems: &[FieldProblem]) -> ControlError {
    let words = |problem: &FieldProblem| {
        let field = problem.field.rsplit('.').next().unwrap_or_default();
        format!("{field}: {}", problem.message)
    };
    let words: Vec<_> = problems.iter().map(words).collect();
    told(format!(
        "what its servers say cannot be kept with a credential ({}): name a scope or a client of your own, if it is about these",
        words.join("; ")
    ))
}

fn problem(field: &str, code: &'static str, message: &str, help: &str) -> ControlError {
    ControlError::Invalid(vec![FieldProblem {
        field: field.to_owned(),
        code,
        message: message.to_owned(),
        help: help.to_owned(),
    }])
}

/// Who signs in somewhere is a person.
fn person(caller: &Caller) -> Result<&UserId, ControlError> {
    caller.user().ok_or_else(|| {
        let help = "use a key of a member, or put the tokens into the vault as a credential";
        problem(
            "key",
            "not_a_person",
            "only a person can sign in there",
            help,
        )
    })
}

fn nowhere() -> ControlError {
    let message = "this server does not know where browsers reach it";
    let help = "say so with public_url in the file of `bailiwick up --config`";
    problem("public_url", "no_public_url", message, help)
}

/// Where what is needed to finish is sealed for.
fn place<'a>(organization: &'a OrganizationId, id: &'a McpConnectionId) -> [&'a str; 3] {
    ["MCP connection", organization.as_str(), id.as_str()]
}
