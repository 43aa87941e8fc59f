//! The access tokens of OAuth credentials: how one is replaced before or after its time is over. Sessions and validations get theirs here.
//!
//! An authorization server may take a refresh token once and give another one with the access token. So nobody refreshes a credential twice
//! at a time here, what was given is stored whatever becomes of whoever asked, and what another server of the same database stored meanwhile
//! is used and never overwritten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bailiwick_mcp::{ClientAuthentication, Refresh, RefreshError, Tokens};
use bailiwick_model::{CredentialId, VaultId};
use bailiwick_outbound::Outbound;
use bailiwick_policy::Policy;
use bailiwick_wire::{
    CredentialAuth, CredentialSecrets, McpOauth, OauthRefresh, SecretName, SecretText,
    TokenEndpointAuthKind,
};
use jiff::SignedDuration;
use url::Url;

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::credentials::{KIND, corrupt};
use crate::error::ControlError;

/// Who refreshes what at the moment.
#[derive(Debug, Default)]
pub(crate) struct Refreshing(Mutex<HashMap<CredentialId, Weak<tokio::sync::Mutex<()>>>>);

/// An OAuth credential with its secrets, at one moment.
pub(crate) struct OauthCredential {
    pub(crate) auth: McpOauth,
    pub(crate) access_token: SecretText,
    pub(crate) refresh_token: Option<SecretText>,
    client_secret: Option<SecretText>,
}

/// Why there is no other access token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoToken {
    /// The credential has no refresh token.
    #[error("the credential has no refresh token")]
    NoRefreshToken,
    /// The authorization server gave none.
    #[error(transparent)]
    Refused(#[from] RefreshError),
    /// Something here failed.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl Refreshing {
    /// What is locked while one credential is refreshed.
    fn lock_of(&self, id: &CredentialId) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = all.get(id).and_then(Weak::upgrade) {
            return lock;
        }
        all.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        all.insert(id.clone(), Arc::downgrade(&lock));
        lock
    }
}

impl Control {
    /// An active credential of the type `mcp_oauth`, with its secrets; `None` if it is of another type.
    pub(crate) async fn oauth_credential(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<Option<OauthCredential>, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.credential(vault, id).await?;
        let credential = found.ok_or(ControlError::NotFound(KIND))?;
        if credential.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        let auth = serde_json::from_str(&credential.values.auth).map_err(|_| corrupt("auth"))?;
        let auth = match auth {
            CredentialAuth::McpOauth(auth) => auth,
            CredentialAuth::StaticBearer(_) | CredentialAuth::EnvironmentVariable(_) => {
                return Ok(None);
            }
        };
        let secrets = self
            .unsealed_credential(&caller.organization, vault, id)
            .await?;
        let named = |wanted| secrets.iter().find(|(name, _)| *name == wanted);
        let secret = |wanted| named(wanted).map(|(_, secret)| secret.clone());
        Ok(Some(OauthCredential {
            auth,
            access_token: secret(SecretName::AccessToken).ok_or_else(|| corrupt("sealed"))?,
            refresh_token: secret(SecretName::RefreshToken),
            client_secret: secret(SecretName::ClientSecret),
        }))
    }

    /// Another access token than `stale`: one that somebody else stored since, or one that the credential's token endpoint gives, which is
    /// stored. It goes on also when nobody waits for it any more.
    pub(crate) async fn fresh_access_token(
        self: &Arc<Self>,
        caller: &Caller,
        (vault, id): (&VaultId, &CredentialId),
        stale: &SecretText,
        (outbound, policy): (&Outbound, &Arc<Policy>),
    ) -> Result<SecretText, NoToken> {
        let (control, caller) = (Arc::clone(self), caller.clone());
        let (vault, id, stale) = (vault.clone(), id.clone(), stale.clone());
        let (outbound, policy) = (outbound.clone(), Arc::clone(policy));
        let refreshing = tokio::spawn(async move {
            let lock = control.refreshing.lock_of(&id);
            let _locked = lock.lock().await;
            control
                .refresh_credential(&caller, (&vault, &id), &stale, (&outbound, &policy))
                .await
        });
        match refreshing.await {
            Ok(token) => token,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }

    async fn refresh_credential(
        &self,
        caller: &Caller,
        (vault, id): (&VaultId, &CredentialId),
        stale: &SecretText,
        (outbound, policy): (&Outbound, &Policy),
    ) -> Result<SecretText, NoToken> {
        let credential = self.current(caller, vault, id).await?;
        if credential.access_token.reveal() != stale.reveal() {
            return Ok(credential.access_token);
        }
        let asked = credential.ask(outbound, policy).await;
        let now = self.current(caller, vault, id).await?;
        // Another server, or a person, was faster: what they stored holds.
        if now.access_token.reveal() != stale.reveal() {
            return Ok(now.access_token);
        }
        let tokens = asked?;
        let stored = self.store_tokens(caller, (vault, id), stale, &tokens);
        Ok(stored.await?)
    }

    async fn current(
        &self,
        caller: &Caller,
        vault: &VaultId,
        id: &CredentialId,
    ) -> Result<OauthCredential, ControlError> {
        let found = self.oauth_credential(caller, vault, id).await?;
        // The type of a credential never changes.
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Stores tokens, unless the access token is not `stale` any more; the one that holds.
    async fn store_tokens(
        &self,
        caller: &Caller,
        (vault, id): (&VaultId, &CredentialId),
        stale: &SecretText,
        tokens: &Tokens,
    ) -> Result<SecretText, ControlError> {
        let access_token = SecretText::new(tokens.access_token.to_string());
        let mut secrets: CredentialSecrets = vec![(SecretName::AccessToken, access_token.clone())];
        if let Some(token) = &tokens.refresh_token {
            secrets.push((SecretName::RefreshToken, SecretText::new(token.to_string())));
        }
        let expires_at = tokens.expires_in.and_then(|life| {
            let life = SignedDuration::try_from(life).ok()?;
            clock::now().checked_add(life).ok()
        });
        let replaced = self.replace_tokens(caller, (vault, id), stale, (expires_at, secrets));
        if replaced.await? {
            Ok(access_token)
        } else {
            Ok(self.current(caller, vault, id).await?.access_token)
        }
    }

    /// The way to servers that credentials name, and the policy under which it is gone: everything public that the organization's floor
    /// leaves, since a vault is no environment's.
    pub(crate) async fn way_out(
        &self,
        caller: &Caller,
    ) -> Result<Option<(Outbound, Arc<Policy>)>, ControlError> {
        let Some(outbound) = self.outbound.clone() else {
            return Ok(None);
        };
        let floor = self.policies(caller).await?.floor;
        let policy = Policy::compile(
            bailiwick_policy::effective(None, None),
            &floor,
            &bailiwick_policy::SessionGrants::none(),
        );
        Ok(Some((outbound, Arc::new(policy))))
    }
}

impl OauthCredential {
    async fn ask(&self, outbound: &Outbound, policy: &Policy) -> Result<Tokens, NoToken> {
        let (Some(how), Some(refresh_token)) = (&self.auth.refresh, &self.refresh_token) else {
            return Err(NoToken::NoRefreshToken);
        };
        let endpoint = Url::parse(&how.token_endpoint).map_err(|_| corrupt("auth"))?;
        let refresh = Refresh {
            token_endpoint: &endpoint,
            client_id: &how.client_id,
            authentication: self.authentication(how)?,
            refresh_token: refresh_token.reveal(),
            resource: how.resource.as_deref(),
            scope: how.scope.as_deref(),
        };
        Ok(bailiwick_mcp::refresh(outbound, policy, refresh).await?)
    }

    fn authentication(&self, how: &OauthRefresh) -> Result<ClientAuthentication<'_>, ControlError> {
        let secret = || {
            let secret = self.client_secret.as_ref().map(SecretText::reveal);
            secret.ok_or_else(|| corrupt("sealed"))
        };
        Ok(match how.token_endpoint_auth.r#type {
            TokenEndpointAuthKind::None => ClientAuthentication::None,
            TokenEndpointAuthKind::ClientSecretBasic => ClientAuthentication::Basic(secret()?),
            TokenEndpointAuthKind::ClientSecretPost => ClientAuthentication::Post(secret()?),
        })
    }
}
