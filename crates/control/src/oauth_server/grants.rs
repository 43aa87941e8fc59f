//! What people let programs do: each sees and ends their own, and who administers keys everybody's.

use bailiwick_model::{OauthGrantId, Permission, ResourceId as _, UserId};
use bailiwick_store::{OauthGrant, Page, PageRequest};
use serde_json::json;

use super::tokens::RESOURCE;
use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;

const KIND: &str = "OAuth grant";

/// What somebody let a program do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthGrantView {
    /// As it is stored.
    pub grant: OauthGrant,
    /// The name of the gateway.
    pub gateway_name: String,
}

impl Control {
    /// What the caller let programs do, the newest first, or what everybody did. Who is no person let none.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn oauth_grants(
        &self,
        caller: &Caller,
        everyone: bool,
        page: &PageRequest<OauthGrantId>,
    ) -> Result<Page<OauthGrantView, OauthGrantId>, ControlError> {
        let whose = if everyone {
            caller.require(Permission::KeyAdmin)?;
            None
        } else {
            let Some(user) = caller.user() else {
                return Ok(Page {
                    items: Vec::new(),
                    next: None,
                });
            };
            Some(user)
        };
        let scope = self.store.scope(&caller.organization);
        let found = scope.oauth_grants(whose, clock::now(), page).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for grant in found.items {
            let gateway = scope.mcp_gateway(&grant.gateway).await?;
            items.push(OauthGrantView {
                gateway_name: gateway
                    .map(|gateway| gateway.values.name)
                    .unwrap_or_default(),
                grant,
            });
        }
        Ok(Page {
            items,
            next: found.next,
        })
    }

    /// Ends a grant: its tokens are not taken any more when this returns, and what is under way with them ends. Another person's needs
    /// [`Permission::KeyAdmin`], and is as if it were not there without.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn revoke_oauth_grant(
        &self,
        caller: &Caller,
        id: &OauthGrantId,
    ) -> Result<(), ControlError> {
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.oauth_grant(id).await?;
        let is_own = |user: &UserId| caller.user() == Some(user);
        let may = |grant: &OauthGrant| {
            is_own(&grant.user) || caller.permissions().allow(Permission::KeyAdmin)
        };
        let grant = found.filter(may).ok_or(ControlError::NotFound(KIND))?;
        change.delete_oauth_grant(id).await?;
        let was = json!({
            "user_id": grant.user,
            "client_name": grant.client_name,
            "redirect_uri": grant.redirect_uri,
            "gateway": grant.gateway,
        });
        let about = (RESOURCE, id.as_str());
        let event = caller.event("oauth_grant.revoke", about, Some(&was), None);
        change.commit(&event).await?;
        self.gateways_changed();
        Ok(())
    }
}
