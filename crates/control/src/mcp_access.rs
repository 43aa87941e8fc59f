//! What a session may use an MCP server with, at one moment: the policy of its environment, and a credential of its vaults.
//!
//! It is looked up for every use, so that a floor, a rotated secret and a credential that was taken away hold from the next request on. The
//! token goes from here to the client of the server, and nowhere else.

use std::sync::Arc;

use bailiwick_mcp::{Access, McpClient};
use bailiwick_model::limits::{CREDENTIALS_OF_VAULT, MCP_REFRESH_AHEAD, SESSION_SANDBOX_LOOK};
use bailiwick_model::{CredentialId, OrganizationId, SandboxId, SessionId, VaultId};
use bailiwick_outbound::{Account, OutboundError};
use bailiwick_policy::{Policy, SessionGrants, Uncompiled};
use bailiwick_store::{Credential, PageRequest, Session};
use bailiwick_wire::{CredentialAuth, SecretName, SecretText, StaticBearer};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::credentials::corrupt;
use crate::error::ControlError;
use crate::flows::FlowsOf;
use crate::fresh;
use crate::oauth::NoToken;
use crate::organizations::Policies;
use crate::session_agents::mcp_hosts;

/// A policy, and a token if there is one.
pub(crate) struct McpAccess {
    uncompiled: Uncompiled,
    policy: Policy,
    credential: Option<Found>,
}

/// A credential for a server.
struct Found {
    vault: VaultId,
    id: CredentialId,
    kind: Kind,
    token: SecretText,
}

/// Where its token comes from.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It stays.
    Static,
    /// Another one may be had.
    Oauth { expires_at: Option<Timestamp> },
}

/// Why a server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoMcpAccess {
    /// There is no way out.
    #[error("this server asks no MCP servers")]
    NoWayOut,
    /// Nothing of the session's vaults is for it.
    #[error("it wants a credential, and no vault of the session has one for its URL")]
    NoCredential,
    /// It was shown the one that there is.
    #[error("it does not take the session's credential")]
    NotTaken,
    /// Its access token is over, and there is no other one.
    #[error("its access token is not taken any more: {0}")]
    NoToken(NoToken),
    /// Something here failed.
    #[error("it cannot be found out what holds for it")]
    Control(#[from] ControlError),
}

impl McpAccess {
    /// For one request.
    pub(crate) fn under(&self) -> Access<'_> {
        Access {
            policy: &self.policy,
            token: self.token().map(SecretText::reveal),
        }
    }

    fn token(&self) -> Option<&SecretText> {
        self.credential.as_ref().map(|found| &found.token)
    }
}

impl Control {
    /// What a session may use the server with that has this URL. An access token that is about to be over is replaced first.
    pub(crate) async fn mcp_access(
        self: &Arc<Self>,
        organization: &OrganizationId,
        session: &Session,
        server: &str,
    ) -> Result<McpAccess, NoMcpAccess> {
        let uncompiled = self.egress_now(organization, &session.id).await?;
        let mut access = McpAccess {
            policy: uncompiled.clone().compile(),
            uncompiled,
            credential: self
                .mcp_credential(organization, &session.pins.vaults, server)
                .await?,
        };
        if let Some(found) = &mut access.credential {
            self.with_time_left(organization, found).await?;
        }
        Ok(access)
    }

    /// The same, after the server did not take the token of `refused`: one that was stored meanwhile, or another one that is asked for.
    pub(crate) async fn mcp_access_anew(
        self: &Arc<Self>,
        organization: &OrganizationId,
        session: &Session,
        server: &str,
        refused: &McpAccess,
    ) -> Result<McpAccess, NoMcpAccess> {
        let mut access = self.mcp_access(organization, session, server).await?;
        let found = access.credential.as_mut();
        let found = found.ok_or(NoMcpAccess::NoCredential)?;
        let refused = refused.token().map(SecretText::reveal);
        let is_refused = |token: &SecretText| refused == Some(token.reveal());
        found.token = self.other_token(organization, found, is_refused).await?;
        Ok(access)
    }

    /// With whom the flows of a session's MCP servers are kept. They are counted to no sandbox of the session's, which need not have one.
    pub(crate) async fn mcp_account(
        self: &Arc<Self>,
        organization: &OrganizationId,
        session: &Session,
    ) -> Result<Account, ControlError> {
        let environment = session.pins.environment.clone();
        let found = self
            .store
            .scope(organization)
            .environment(&environment)
            .await?;
        let name = found.and_then(|found| found.values.name.parse().ok());
        let whose = FlowsOf {
            organization: organization.clone(),
            session: Some(session.id.clone()),
            environment,
        };
        let sandbox = SandboxId::from_random(u64::from_ne_bytes(fresh::random()));
        Ok(self.account(whose, sandbox, name))
    }

    /// Ends once a session is not known to be let to a server any more, with why: with a tightening at once, and with another floor when it is
    /// looked at. While nobody can say what holds, nothing ends here: the lease on the session does, with all that is under way in it.
    pub(crate) async fn until_denied(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
        access: &McpAccess,
        client: &McpClient,
    ) -> OutboundError {
        let mut tightened = self.tightened.subscribe();
        let mut held = access.uncompiled.clone();
        loop {
            if let Ok(now) = self.egress_now(organization, session).await
                && now != held
            {
                held = now.clone();
                if let Err(error) = client.allowed(&now.compile()).await {
                    return error;
                }
            }
            let next_look = sleep(SESSION_SANDBOX_LOOK);
            tokio::pin!(next_look);
            loop {
                tokio::select! {
                    () = &mut next_look => break,
                    heard = tightened.recv() => match heard {
                        Ok(other) if other != *session => {}
                        // Who does not know which ones looks too.
                        Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => break,
                    },
                }
            }
        }
    }

    /// What decides now for a session. A self-hosted environment has no policy of its own and its sessions pin none: there it is the
    /// organization's default policy, as it is now.
    async fn egress_now(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Uncompiled, ControlError> {
        let session = self.session_at_work(organization, session).await?;
        let session = session.ok_or(ControlError::NotFound("session"))?;
        if let Some(uncompiled) = self.uncompiled(organization, &session).await? {
            return Ok(uncompiled);
        }
        let caller = Caller::system(organization.clone());
        let Policies { default, floor } = self.policies(&caller).await?;
        Ok(Uncompiled {
            effective: bailiwick_policy::effective(None, default),
            narrowed_by: Vec::new(),
            organization: floor,
            grants: SessionGrants {
                mcp_hosts: mcp_hosts(&session.values.agent)?,
                ..SessionGrants::none()
            },
        })
    }

    /// The token of a vault for a server, for whoever is not a session. An access token that is about to be over is replaced first.
    pub(crate) async fn vault_token(
        self: &Arc<Self>,
        organization: &OrganizationId,
        vault: &VaultId,
        server: &str,
    ) -> Result<SecretText, NoMcpAccess> {
        let vaults = std::slice::from_ref(vault);
        let found = self.mcp_credential(organization, vaults, server).await?;
        let mut found = found.ok_or(NoMcpAccess::NoCredential)?;
        self.with_time_left(organization, &mut found).await?;
        Ok(found.token)
    }

    /// The same, after the server did not take one: what was stored meanwhile, or another one that is asked for.
    pub(crate) async fn vault_token_anew(
        self: &Arc<Self>,
        (organization, vault): (&OrganizationId, &VaultId),
        server: &str,
        is_refused: impl Fn(&SecretText) -> bool,
    ) -> Result<SecretText, NoMcpAccess> {
        let vaults = std::slice::from_ref(vault);
        let found = self.mcp_credential(organization, vaults, server).await?;
        let found = found.ok_or(NoMcpAccess::NoCredential)?;
        self.other_token(organization, &found, is_refused).await
    }

    /// Another token than one that was not taken.
    async fn other_token(
        self: &Arc<Self>,
        organization: &OrganizationId,
        found: &Found,
        is_refused: impl Fn(&SecretText) -> bool,
    ) -> Result<SecretText, NoMcpAccess> {
        if !is_refused(&found.token) {
            return Ok(found.token.clone());
        }
        match found.kind {
            Kind::Static => Err(NoMcpAccess::NotTaken),
            Kind::Oauth { .. } => self.another_token(organization, found).await,
        }
    }

    /// Replaces an access token that is about to be over.
    async fn with_time_left(
        self: &Arc<Self>,
        organization: &OrganizationId,
        found: &mut Found,
    ) -> Result<(), NoMcpAccess> {
        let Kind::Oauth {
            expires_at: Some(over),
        } = found.kind
        else {
            return Ok(());
        };
        if !is_about_to_be(over) {
            return Ok(());
        }
        match self.another_token(organization, found).await {
            Ok(token) => found.token = token,
            // It may still be taken until then.
            Err(_) if over > clock::now() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether a vault has an active credential for a server.
    pub(crate) async fn has_mcp_credential(
        &self,
        organization: &OrganizationId,
        vault: &VaultId,
        server: &str,
    ) -> Result<bool, ControlError> {
        let vaults = std::slice::from_ref(vault);
        let found = self.mcp_credential(organization, vaults, server).await?;
        Ok(found.is_some())
    }

    /// The first credential for a server, in the order of the vaults.
    async fn mcp_credential(
        &self,
        organization: &OrganizationId,
        vaults: &[VaultId],
        server: &str,
    ) -> Result<Option<Found>, ControlError> {
        let wanted = CredentialAuth::StaticBearer(StaticBearer {
            mcp_server_url: server.to_owned(),
        });
        let wanted = wanted.target();
        let all = PageRequest {
            before: None,
            limit: u32::try_from(CREDENTIALS_OF_VAULT).unwrap_or(u32::MAX),
        };
        let scope = self.store.scope(organization);
        for vault in vaults {
            for credential in scope.credentials(vault, &all, false).await?.items {
                let Some(kind) = kind_for(&credential, &wanted)? else {
                    continue;
                };
                match self.opened(organization, &credential, kind).await {
                    // Somebody took it away meanwhile.
                    Err(ControlError::NotFound(_) | ControlError::Archived(_)) => {}
                    found => return found.map(Some),
                }
            }
        }
        Ok(None)
    }

    async fn opened(
        &self,
        organization: &OrganizationId,
        credential: &Credential,
        kind: Kind,
    ) -> Result<Found, ControlError> {
        let name = match kind {
            Kind::Static => SecretName::Token,
            Kind::Oauth { .. } => SecretName::AccessToken,
        };
        let (vault, id) = (credential.vault.clone(), credential.id.clone());
        let secrets = self.unsealed_credential(organization, &vault, &id).await?;
        let secret = secrets.into_iter().find(|(known, _)| *known == name);
        let (_, token) = secret.ok_or_else(|| corrupt("sealed"))?;
        Ok(Found {
            vault,
            id,
            kind,
            token,
        })
    }

    /// Another access token than the one that was found.
    async fn another_token(
        self: &Arc<Self>,
        organization: &OrganizationId,
        found: &Found,
    ) -> Result<SecretText, NoMcpAccess> {
        let caller = Caller::system(organization.clone());
        // A vault is no environment's, so neither is its token endpoint.
        let way = self.way_out(&caller).await?.ok_or(NoMcpAccess::NoWayOut)?;
        let place = (&found.vault, &found.id);
        let token = self.fresh_access_token(&caller, place, &found.token, (&way.0, &way.1));
        token.await.map_err(|error| match error {
            NoToken::Control(error) => error.into(),
            NoToken::NoRefreshToken | NoToken::Refused(_) => NoMcpAccess::NoToken(error),
        })
    }
}

/// Of which kind a credential is, if it is for this target.
fn kind_for(credential: &Credential, wanted: &str) -> Result<Option<Kind>, ControlError> {
    let auth: CredentialAuth =
        serde_json::from_str(&credential.values.auth).map_err(|_| corrupt("auth"))?;
    if auth.target() != wanted {
        return Ok(None);
    }
    Ok(match auth {
        CredentialAuth::StaticBearer(_) => Some(Kind::Static),
        CredentialAuth::McpOauth(auth) => Some(Kind::Oauth {
            expires_at: auth.expires_at,
        }),
        CredentialAuth::EnvironmentVariable(_) => None,
    })
}

fn is_about_to_be(over: Timestamp) -> bool {
    let ahead = SignedDuration::try_from(MCP_REFRESH_AHEAD).unwrap_or(SignedDuration::ZERO);
    over.checked_sub(ahead).is_ok_and(|at| at <= clock::now())
}
