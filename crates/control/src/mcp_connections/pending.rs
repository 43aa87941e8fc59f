//! What is needed to finish a connection: it is sealed until then.

use bailiwick_mcp::{
    AuthorizationServer, ClientAuthentication, Exchange, RegisteredAs, RegisteredMethod, Tokens,
};
use bailiwick_model::{McpConnectionId, OrganizationId};
use bailiwick_store::SealedConnection;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{NewConnectionRequest, place};
use crate::credentials::corrupt;
use crate::error::ControlError;
use crate::sealing::{Sealed, SealingKeys};

/// It has no `Debug`: most of it is secret.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    issuer: String,
    says_issuer: bool,
    token_endpoint: String,
    client_id: String,
    client_secret: Option<Zeroizing<String>>,
    method: Method,
    code_verifier: Zeroizing<String>,
    redirect_uri: String,
    resource: Option<String>,
    scope: Option<String>,
    display_name: Option<String>,
    replaces: bool,
    /// What the person brought back.
    code: Option<Zeroizing<String>>,
}

/// How a client proves itself, in the words of RFC 7591.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    None,
    ClientSecretBasic,
    ClientSecretPost,
}

impl Pending {
    pub(super) fn new(
        request: &NewConnectionRequest,
        server: &AuthorizationServer,
        client: RegisteredAs,
        redirect_uri: &str,
        code_verifier: String,
    ) -> Self {
        Self {
            issuer: server.issuer.clone(),
            says_issuer: server.says_issuer,
            token_endpoint: server.token_endpoint.to_string(),
            client_id: client.client_id,
            client_secret: client.client_secret,
            method: match client.method {
                RegisteredMethod::None => Method::None,
                RegisteredMethod::Basic => Method::ClientSecretBasic,
                RegisteredMethod::Post => Method::ClientSecretPost,
            },
            code_verifier: Zeroizing::new(code_verifier),
            redirect_uri: redirect_uri.to_owned(),
            resource: server.resource.clone(),
            scope: request.scope.clone().or_else(|| server.scope.clone()),
            display_name: request.display_name.clone(),
            replaces: request.replaces,
            code: None,
        }
    }

    pub(super) fn sealed(
        &self,
        keys: &SealingKeys,
        organization: &OrganizationId,
        id: &McpConnectionId,
    ) -> SealedConnection {
        let text = serde_json::to_vec(self).expect("texts are JSON");
        let text = Zeroizing::new(text);
        let Sealed { key, bytes } = keys.seal(&place(organization, id), &text);
        SealedConnection { key, bytes }
    }

    pub(super) fn unsealed(
        keys: &SealingKeys,
        organization: &OrganizationId,
        id: &McpConnectionId,
        sealed: SealedConnection,
    ) -> Result<Self, ControlError> {
        let sealed = Sealed {
            key: sealed.key,
            bytes: sealed.bytes,
        };
        let text = keys.unseal(&place(organization, id), &sealed)?;
        serde_json::from_slice(&text).map_err(|_| corrupt("sealed"))
    }

    pub(super) fn with_code(self, code: &str) -> Self {
        Self {
            code: Some(Zeroizing::new(code.to_owned())),
            ..self
        }
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    pub(super) fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(super) fn code_verifier(&self) -> &str {
        &self.code_verifier
    }

    pub(super) fn replaces(&self) -> bool {
        self.replaces
    }

    /// Whether an answer that says this of whose it is, or nothing, is that of the server that was asked (RFC 9207, section 2.4).
    pub(super) fn is_answered_by(&self, issuer: Option<&str>) -> bool {
        match issuer {
            Some(issuer) => issuer == self.issuer,
            None => !self.says_issuer,
        }
    }

    /// Where the code is exchanged.
    pub(super) fn token_endpoint(&self) -> Result<Url, ControlError> {
        Url::parse(&self.token_endpoint).map_err(|_| corrupt("sealed"))
    }

    /// The code, to be exchanged.
    pub(super) fn exchange<'a>(&'a self, token_endpoint: &'a Url) -> Option<Exchange<'a>> {
        let secret = self.client_secret.as_deref().map(String::as_str);
        let authentication = match (self.method, secret) {
            (Method::ClientSecretBasic, Some(secret)) => ClientAuthentication::Basic(secret),
            (Method::ClientSecretPost, Some(secret)) => ClientAuthentication::Post(secret),
            (Method::None | Method::ClientSecretBasic | Method::ClientSecretPost, _) => {
                ClientAuthentication::None
            }
        };
        Some(Exchange {
            token_endpoint,
            client_id: &self.client_id,
            authentication,
            code: self.code.as_ref()?,
            code_verifier: &self.code_verifier,
            redirect_uri: &self.redirect_uri,
            resource: self.resource(),
        })
    }

    /// As [`Self::credential`], before there are tokens.
    pub(super) fn likely_credential(&self, mcp_url: &str, now: Timestamp) -> Map<String, Value> {
        let token = || Zeroizing::new("later".to_owned());
        let tokens = Tokens {
            access_token: token(),
            refresh_token: Some(token()),
            expires_in: None,
        };
        self.credential(mcp_url, &tokens, now)
    }

    /// The credential that the tokens are, as whoever had them would write it.
    pub(super) fn credential(
        &self,
        mcp_url: &str,
        tokens: &Tokens,
        now: Timestamp,
    ) -> Map<String, Value> {
        // Nothing says that a token which was just given is worth nothing; a server that counts so has no lifetimes.
        let life = tokens.expires_in.filter(|life| !life.is_zero());
        let expires_at = life.and_then(|life| {
            let life = SignedDuration::try_from(life).ok()?;
            now.checked_add(life).ok()
        });
        let mut auth = json!({
            "type": "mcp_oauth",
            "mcp_server_url": mcp_url,
            "access_token": *tokens.access_token,
            "expires_at": expires_at,
        });
        if let Some(refresh_token) = &tokens.refresh_token {
            let mut method = json!({"type": self.method});
            if let (Method::ClientSecretBasic | Method::ClientSecretPost, Some(secret)) =
                (self.method, &self.client_secret)
            {
                method["client_secret"] = Value::from(secret.as_str());
            }
            auth["refresh"] = json!({
                "client_id": self.client_id,
                "refresh_token": **refresh_token,
                "token_endpoint": self.token_endpoint,
                "token_endpoint_auth": method,
                "resource": self.resource,
                "scope": self.scope,
            });
        }
        let mut body = Map::from_iter([("auth".to_owned(), auth)]);
        if let Some(name) = &self.display_name {
            body.insert("display_name".to_owned(), Value::from(name.as_str()));
        }
        body
    }
}
