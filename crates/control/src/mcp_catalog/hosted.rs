//! What of the catalog runs here: from an entry, as it is stored, to a server that can be started.

use std::num::NonZeroU16;

use bailiwick_model::limits::CREDENTIALS_OF_VAULT;
use bailiwick_model::{
    CredentialId, EnvironmentId, McpCatalogEntryId, OrganizationId, ResourceId as _,
};
use bailiwick_runtime::Limits;
use bailiwick_store::{McpCatalogEntry, PageRequest};

use super::server::{CommandTransport, HostedCommand, McpServerConfig, SecretVariable};
use crate::control::Control;
use crate::engine::PortFuture;
use crate::environments::corrupt;
use crate::error::ControlError;
use crate::hosted_servers::{
    Holder, HostedEntries, HostedSecret, HostedServer, HostedTransport, Playwright,
};
use crate::sandboxes::Variable;

/// Why an entry of the catalog cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHostedServer {
    /// It would run without a secret that it is to have.
    #[error(
        "the vault of its variable {0} has no credential for a variable of that name: add one, or take the variable out of the entry's secrets"
    )]
    NoCredential(String),
    /// Something here failed.
    #[error("what is stored of it cannot be read")]
    Control(#[from] ControlError),
}

impl CommandTransport {
    /// As whoever runs it has it.
    pub(crate) fn to_hosted(&self) -> Result<HostedTransport, ControlError> {
        Ok(match self {
            Self::Stdio => HostedTransport::Stdio,
            Self::Http { port, path } => HostedTransport::Http {
                port: NonZeroU16::new(*port).ok_or_else(|| corrupt("config"))?,
                path: path.clone(),
            },
        })
    }
}

impl Control {
    /// The server that an entry says, with the credentials of now for its secrets.
    pub(crate) async fn hosted_server(
        &self,
        organization: &OrganizationId,
        entry: &McpCatalogEntry,
        command: &HostedCommand,
    ) -> Result<HostedServer, NoHostedServer> {
        let mut secrets = Vec::with_capacity(command.secrets.len());
        for secret in &command.secrets {
            let credential = self.credential_for(organization, secret).await?;
            let missing = || NoHostedServer::NoCredential(secret.variable.clone());
            secrets.push(HostedSecret::Placeholder {
                variable: secret.variable.clone(),
                vault: secret.vault_id.clone(),
                credential: credential.ok_or_else(missing)?,
            });
        }
        let program = std::iter::once(&command.command);
        Ok(HostedServer {
            organization: organization.clone(),
            environment: entry.values.environment.clone(),
            entry: entry.id.as_str().to_owned(),
            holder: Holder::Everybody,
            command: program.chain(&command.args).cloned().collect(),
            packages: command.all_packages().map_err(|_| corrupt("config"))?,
            variables: command.variables.clone(),
            secrets,
            transport: command.transport.to_hosted()?,
            limits: Limits::default(),
        })
    }

    /// The credential of a vault for a variable of this name.
    async fn credential_for(
        &self,
        organization: &OrganizationId,
        secret: &SecretVariable,
    ) -> Result<Option<CredentialId>, ControlError> {
        let all = PageRequest {
            before: None,
            limit: u32::try_from(CREDENTIALS_OF_VAULT).unwrap_or(u32::MAX),
        };
        let scope = self.store.scope(organization);
        let found = scope.credentials(&secret.vault_id, &all, false).await?;
        for credential in found.items {
            let variable = Variable::of(&credential)?;
            if variable.is_some_and(|variable| variable.name() == secret.variable) {
                return Ok(Some(credential.id));
            }
        }
        Ok(None)
    }

    /// What an entry of the catalog says now of a server that runs; nothing if it is gone, is somewhere else, or says where a server is.
    async fn hosted_now(
        &self,
        organization: &OrganizationId,
        (entry, environment): (&str, &EnvironmentId),
    ) -> Result<Option<HostedServer>, NoHostedServer> {
        let Ok(id) = entry.parse::<McpCatalogEntryId>() else {
            return Ok(None);
        };
        let scope = self.store.scope(organization);
        let found = scope.mcp_catalog_entry(&id).await;
        let found = found.map_err(ControlError::from)?;
        let Some(entry) = found.filter(|it| it.values.environment == *environment) else {
            return Ok(None);
        };
        let config = McpServerConfig::stored(&entry.values.config);
        match config.map_err(ControlError::from)? {
            McpServerConfig::Remote { .. } => Ok(None),
            McpServerConfig::SelfHosted(command) => {
                let server = self.hosted_server(organization, &entry, &command).await?;
                Ok(Some(server))
            }
        }
    }
}

impl HostedEntries for Control {
    fn now<'a>(
        &'a self,
        server: &'a HostedServer,
    ) -> PortFuture<'a, Result<Option<HostedServer>, ControlError>> {
        Box::pin(async move {
            // It is in no catalog, and whoever holds it lets go of it.
            if Playwright::is_it(server) {
                return Ok(Some(server.clone()));
            }
            let of = (&*server.entry, &server.environment);
            match self.hosted_now(&server.organization, of).await {
                Ok(now) => Ok(now),
                // It goes when its secret does; the next use says which it was.
                Err(NoHostedServer::NoCredential(_)) => Ok(None),
                Err(NoHostedServer::Control(error)) => Err(error),
            }
        })
    }
}
