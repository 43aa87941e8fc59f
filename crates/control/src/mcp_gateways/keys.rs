//! The virtual keys of gateways.

use bailiwick_model::{ApiKeyId, McpGatewayId, Permission, ResourceId as _};
use bailiwick_store::{ApiKey, KeyOwner, Page, PageRequest};

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;
use crate::keys::{MadeKey, NewKeyRequest};

impl Control {
    /// The virtual keys of a gateway, the newest first, with those that are not taken any more.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn gateway_keys(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, ControlError> {
        caller.require(Permission::McpGatewayRead)?;
        self.stored_gateway(caller, id).await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.gateway_keys(id, page).await?)
    }

    /// Makes a key that opens one gateway and nothing else.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], and what every use case may answer.
    pub async fn create_gateway_key(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
        request: NewKeyRequest,
    ) -> Result<MadeKey, ControlError> {
        caller.require(Permission::McpGatewayWrite)?;
        // Nobody hands on what they do not have.
        caller.require(Permission::McpGatewayUse)?;
        let gateway = self.stored_gateway(caller, id).await?.gateway;
        self.environment_to_join(caller, &gateway.values.environment)
            .await?;
        let owner = KeyOwner::McpGateway(id.clone());
        self.make_key(caller, "bwg_", owner, request).await
    }

    /// Revokes a virtual key of a gateway. It is not taken any more when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn revoke_gateway_key(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
        key: &ApiKeyId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::McpGatewayWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        if !change.revoke_gateway_key(id, key).await? {
            return Err(ControlError::NotFound("key"));
        }
        let event = caller.event("key.revoke", ("key", key.as_str()), None, None);
        change.commit(&event).await?;
        self.known_keys.forget();
        self.gateways_changed();
        Ok(())
    }
}
