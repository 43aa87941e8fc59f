//! What a person is asked before a program opens a gateway for them, and what becomes of their answer.

use bailiwick_model::limits::{
    OAUTH_CODE_LIFE, OAUTH_GRANT_LIFE, OAUTH_GRANTS_OF_ONE, OAUTH_STATE_BYTES,
};
use bailiwick_model::{
    McpGatewayId, OauthGrantId, Permission, RedirectPlace, RedirectUri, ResourceId as _, UserId,
};
use bailiwick_store::NewOauthGrant;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::address::GatewayAddress;
use super::clients::Client;
use super::tokens::RESOURCE;
use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

/// What a program asks for (RFC 6749, section 4.1.1), as it came.
#[derive(Debug, Clone, Default)]
pub struct AuthorizationRequest {
    /// Which program.
    pub client_id: String,
    /// Where the person is sent back to.
    pub redirect_uri: Option<String>,
    /// `code`, and nothing else.
    pub response_type: Option<String>,
    /// What proves later who asked (RFC 7636).
    pub code_challenge: Option<String>,
    /// `S256`, and nothing else.
    pub code_challenge_method: Option<String>,
    /// Given back as it is.
    pub state: Option<String>,
    /// The address of the gateway (RFC 8707).
    pub resource: Option<String>,
    /// What the person was shown, as [`AuthorizationQuestion::shown`] has it, where this comes with their answer.
    pub shown: Option<String>,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationQuestion {
    /// How the program calls itself.
    pub client_name: String,
    /// The host whose document says so; without one the program said it itself.
    pub vouched_by: Option<String>,
    /// Where the person is sent: a host, or a program of their machine.
    pub sent_to: String,
    /// The origin, or the scheme, of that.
    pub redirect_source: String,
    /// The gateway's name.
    pub gateway: String,
    /// The name of the environment that it is in.
    pub environment: String,
    /// The address of mail of who is asked.
    pub email: String,
    /// What their answer is about: a program that says something else by then has no answer.
    pub shown: String,
}

/// Why nobody is asked, or nothing comes of it. None of these sends anybody anywhere by itself.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationRefusal {
    /// The program is not known.
    #[error("the program that sent you here is not known to this server: it must register again")]
    UnknownClient,
    /// It would have the person sent where it never said.
    #[error("the program that sent you here did not register the address that you would return to")]
    RedirectUri,
    /// It is not what the person was shown: a program's document, or what a gateway is called, has changed since.
    #[error(
        "what the program asks for has changed since you were asked: go back to it and begin again"
    )]
    Changed,
    /// What it asks for cannot be given; the person may return and say so.
    #[error("{description}")]
    Asked {
        /// The word for the program (RFC 6749, section 4.1.2.1).
        code: &'static str,
        /// What is wrong, for people.
        description: &'static str,
        /// Where the person may return to, with the word.
        back: String,
    },
    /// Something else failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A request that can be answered.
struct Asked {
    client: Client,
    redirect_uri: RedirectUri,
    code_challenge: String,
    state: Option<String>,
    resource: String,
    gateway: OfferedGateway,
}

/// A gateway that a program would open.
struct OfferedGateway {
    id: McpGatewayId,
    name: String,
    environment: String,
}

impl Asked {
    /// What a person agrees to.
    fn shown(&self) -> String {
        format!("{} {}", self.gateway.id, self.redirect_uri)
    }
}

impl Control {
    /// What a person who is signed in is asked.
    ///
    /// # Errors
    ///
    /// See [`AuthorizationRefusal`].
    pub async fn authorization_question(
        &self,
        caller: &Caller,
        request: &AuthorizationRequest,
    ) -> Result<AuthorizationQuestion, AuthorizationRefusal> {
        let asked = self.asked(caller, request).await?;
        let user = person(caller)?;
        let scope = self.store.scope(&caller.organization);
        let member = scope.member(user).await.map_err(ControlError::from)?;
        let member = member.ok_or(ControlError::Unauthenticated)?;
        Ok(AuthorizationQuestion {
            shown: asked.shown(),
            client_name: asked.client.name,
            vouched_by: asked.client.vouched_by,
            sent_to: shown(&asked.redirect_uri),
            redirect_source: asked.redirect_uri.source(),
            gateway: asked.gateway.name,
            environment: asked.gateway.environment,
            email: member.email,
        })
    }

    /// The person agreed: where they are sent, with a code.
    ///
    /// # Errors
    ///
    /// See [`AuthorizationRefusal`].
    pub async fn agree_to_authorization(
        &self,
        caller: &Caller,
        request: &AuthorizationRequest,
    ) -> Result<String, AuthorizationRefusal> {
        let asked = self.asked(caller, request).await?;
        if request.shown.as_deref() != Some(&asked.shown()) {
            return Err(AuthorizationRefusal::Changed);
        }
        let at = clock::now();
        let (id, code): (OauthGrantId, _) = (fresh::id(at), fresh::secret("bwac_"));
        let mut change = self.change(caller, at).await?;
        let new = NewOauthGrant {
            id: id.clone(),
            user: person(caller)?,
            gateway: &asked.gateway.id,
            resource: &asked.resource,
            client_hash: asked.client.hash,
            client_name: &asked.client.name,
            redirect_uri: asked.redirect_uri.as_str(),
            code_hash: code.hash,
            code_challenge: &asked.code_challenge,
            code_expires_at: after(at, OAUTH_CODE_LIFE),
            expires_at: after(at, OAUTH_GRANT_LIFE),
        };
        let inserted = change.insert_oauth_grant(new, OAUTH_GRANTS_OF_ONE).await;
        inserted.map_err(ControlError::without("MCP gateway"))?;
        let said = json!({
            "client_name": asked.client.name,
            "redirect_uri": asked.redirect_uri.as_str(),
            "gateway": asked.gateway.id,
        });
        let about = (RESOURCE, id.as_str());
        let event = caller.event("oauth_grant.create", about, None, Some(&said));
        change.commit(&event).await.map_err(ControlError::from)?;
        let pairs = [("code", code.text.as_str())];
        Ok(self.answer(&asked.redirect_uri, asked.state.as_deref(), &pairs))
    }

    /// The person did not agree: where they are sent, with that.
    ///
    /// # Errors
    ///
    /// See [`AuthorizationRefusal`].
    pub async fn decline_authorization(
        &self,
        caller: &Caller,
        request: &AuthorizationRequest,
    ) -> Result<String, AuthorizationRefusal> {
        let asked = self.asked(caller, request).await?;
        let pairs = [("error", "access_denied")];
        Ok(self.answer(&asked.redirect_uri, asked.state.as_deref(), &pairs))
    }

    /// An answer that says whose it is (RFC 9207), so that a client of several servers does not take it for another one's.
    fn answer(&self, to: &RedirectUri, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(pairs);
        query.extend_pairs(state.map(|state| ("state", state)));
        query.extend_pairs(self.public_url().map(|issuer| ("iss", issuer)));
        let mark = if to.as_str().contains('?') { '&' } else { '?' };
        format!("{to}{mark}{}", query.finish())
    }

    async fn asked(
        &self,
        caller: &Caller,
        request: &AuthorizationRequest,
    ) -> Result<Asked, AuthorizationRefusal> {
        let client = match self.registered_client(&request.client_id).await? {
            Some(client) => Some(client),
            None => self.documented_client(caller, &request.client_id).await?,
        };
        let client = client.ok_or(AuthorizationRefusal::UnknownClient)?;
        let redirect_uri = chosen(&client, request.redirect_uri.as_deref())?;
        let state = request.state.clone();
        let refused = |code, description| {
            let short = state
                .as_deref()
                .filter(|state| state.len() <= OAUTH_STATE_BYTES);
            AuthorizationRefusal::Asked {
                code,
                description,
                back: self.answer(&redirect_uri, short, &[("error", code)]),
            }
        };
        let code_challenge =
            checked(request).map_err(|(code, description)| refused(code, description))?;
        let resource = request.resource.clone().unwrap_or_default();
        let no_gateway = || refused("invalid_target", NO_RESOURCE);
        let issuer = self.public_url().unwrap_or_default();
        let address = GatewayAddress::read(issuer, &resource).ok_or_else(no_gateway)?;
        // Whether there is one is told to nobody who could not open it.
        let may = caller.require(Permission::McpGatewayUse);
        may.map_err(|_| refused("access_denied", NOT_ALLOWED))?;
        let gateway = self.offered_gateway(caller, address.reference()).await?;
        let gateway = gateway.ok_or_else(no_gateway)?;
        Ok(Asked {
            client,
            redirect_uri,
            code_challenge,
            state: request.state.clone(),
            resource,
            gateway,
        })
    }

    /// The gateway of the caller's organization that has this id or name, and the name of its environment.
    async fn offered_gateway(
        &self,
        caller: &Caller,
        reference: &str,
    ) -> Result<Option<OfferedGateway>, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = match reference.parse::<McpGatewayId>() {
            Ok(id) => scope.mcp_gateway(&id).await?,
            Err(_) => scope.mcp_gateway_named(reference).await?,
        };
        let Some(gateway) = found else {
            return Ok(None);
        };
        let environment = scope.environment(&gateway.values.environment).await?;
        let environment = environment.filter(|environment| environment.archived_at.is_none());
        Ok(environment.map(|environment| OfferedGateway {
            id: gateway.id,
            name: gateway.values.name,
            environment: environment.values.name,
        }))
    }
}

const NO_RESOURCE: &str = "the program does not say which gateway of yours it would open, or there is none like it (the parameter resource, RFC 8707)";
const NOT_ALLOWED: &str = "you may not open MCP gateways: the permission mcp-gateway:use is needed";

/// Where the person is sent, which must be known before anything is said to the program.
fn chosen(client: &Client, asked: Option<&str>) -> Result<RedirectUri, AuthorizationRefusal> {
    let registered = &client.redirect_uris;
    let chosen = match asked {
        Some(asked) => {
            let asked: Option<RedirectUri> = asked.parse().ok();
            asked.filter(|asked| registered.iter().any(|one| one.admits(asked)))
        }
        None => registered
            .first()
            .filter(|_| registered.len() == 1)
            .cloned(),
    };
    chosen.ok_or(AuthorizationRefusal::RedirectUri)
}

/// What a person is told of where they are sent.
fn shown(uri: &RedirectUri) -> String {
    match uri.place() {
        RedirectPlace::Server(host) => host.to_owned(),
        RedirectPlace::Loopback(host) => format!("{host} (a program on this machine)"),
        RedirectPlace::Program(scheme) => {
            format!("{scheme}: (the program on this machine that opens such addresses)")
        }
    }
}

/// The challenge, if everything is as it must be; else the word and the words for what is wrong.
fn checked(request: &AuthorizationRequest) -> Result<String, (&'static str, &'static str)> {
    if request.response_type.as_deref() != Some("code") {
        let description = "the program asks for something else than a code";
        return Err(("unsupported_response_type", description));
    }
    let state = request.state.as_deref().unwrap_or_default();
    if state.len() > OAUTH_STATE_BYTES {
        return Err(("invalid_request", "the program's state is too long"));
    }
    let challenge = request.code_challenge.as_deref().unwrap_or_default();
    // 32 bytes in base64url.
    let is_one = challenge.len() == 43
        && challenge
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if request.code_challenge_method.as_deref() != Some("S256") || !is_one {
        let description = "the program does not protect its request with PKCE and S256 (RFC 7636)";
        return Err(("invalid_request", description));
    }
    Ok(challenge.to_owned())
}

/// Only a person agrees to something.
fn person(caller: &Caller) -> Result<&UserId, ControlError> {
    caller.user().ok_or(ControlError::Unauthenticated)
}

/// So long after a moment.
pub(crate) fn after(at: Timestamp, life: std::time::Duration) -> Timestamp {
    let life = SignedDuration::try_from(life).unwrap_or(SignedDuration::ZERO);
    at.checked_add(life).unwrap_or(Timestamp::MAX)
}
