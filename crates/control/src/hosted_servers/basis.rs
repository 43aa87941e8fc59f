//! What a server is made from: the newest revision of its environment, the organization's floor as it is now, and the credentials that it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_model::{CredentialId, EnvironmentName, SecretText};
use bailiwick_policy::{InForce, Placeholder, Projections, SessionGrants, Uncompiled};
use bailiwick_wire::ConfigParts;

use super::error::HostedError;
use super::server::{HostedSecret, HostedServer};
use crate::caller::Caller;
use crate::control::Control;
use crate::environments::is_governed;
use crate::error::ControlError;
use crate::organizations::policies;
use crate::sandboxes::error::SandboxError;
use crate::sandboxes::{Declared, Variable};
use crate::sessions::corrupt;

/// What a server is made from, but for secrets. When it changes, the sandbox gets its policy anew, or is made anew.
#[derive(Debug, PartialEq)]
pub(super) struct HostedBasis {
    /// What its environment is called.
    pub(super) environment: EnvironmentName,
    pub(super) revision: i64,
    pub(super) declared: Declared,
    pub(super) uncompiled: Uncompiled,
    /// With the names that the server knows them by.
    pub(super) variables: Vec<(String, Variable)>,
}

impl Control {
    /// What a server is to be made from now.
    pub(super) async fn hosted_basis(
        &self,
        server: &HostedServer,
    ) -> Result<HostedBasis, HostedError> {
        let scope = self.store.scope(&server.organization);
        let environment = scope.environment(&server.environment).await;
        let environment = environment.map_err(ControlError::from)?;
        let environment = environment.filter(|it| it.archived_at.is_none());
        let environment = environment.ok_or(HostedError::EnvironmentGone)?;
        if !is_governed(&environment)? {
            return Err(HostedError::SelfHosted);
        }
        let config = &environment.values.config;
        let parts = ConfigParts::of(config).map_err(|_| corrupt("config"))?;
        let declared = Declared::of(config, &parts)?;
        if !declared.is_for_sessions() {
            return Err(HostedError::of(SandboxError::Project));
        }
        let declared = declared.with(&server.packages);
        let declared = declared.map_err(|it| HostedError::NotStarted(it.to_string().into()))?;
        let organization = scope.organization().await.map_err(ControlError::from)?;
        let organization = organization.ok_or(ControlError::NotFound("organization"))?;
        let caller = Caller::system(server.organization.clone());
        let effective = self.policy_in_force(&caller, &environment).await?;
        let mut variables = self.hosted_variables(server).await?;
        if !organization.allow_body_injection {
            variables.iter_mut().for_each(|(_, it)| it.spare_bodies());
        }
        let name = environment.values.name.parse();
        let hosts = variables
            .iter()
            .flat_map(|(_, variable)| variable.patterns());
        let grants = SessionGrants {
            credential_hosts: hosts.collect(),
            ..SessionGrants::none()
        };
        Ok(HostedBasis {
            environment: name.map_err(|_| corrupt("name"))?,
            revision: environment.version,
            declared,
            uncompiled: Uncompiled {
                effective,
                narrowed_by: Vec::new(),
                organization: policies(&organization)?.floor,
                grants,
            },
            variables,
        })
    }

    /// The credentials that stand in variables. One that is gone leaves its variable without a value.
    async fn hosted_variables(
        &self,
        server: &HostedServer,
    ) -> Result<Vec<(String, Variable)>, ControlError> {
        let scope = self.store.scope(&server.organization);
        let mut variables = Vec::new();
        for secret in &server.secrets {
            let (name, vault, id) = match secret {
                HostedSecret::Placeholder {
                    variable,
                    vault,
                    credential,
                } => (variable, vault, credential),
                HostedSecret::Value { .. } => continue,
            };
            let found = scope.credential(vault, id).await?;
            let Some(found) = found.filter(|it| it.archived_at.is_none()) else {
                continue;
            };
            if let Some(variable) = Variable::of(&found)? {
                variables.push((name.clone(), variable));
            }
        }
        Ok(variables)
    }

    /// What decides for a server, with the secrets in it. Credentials that have no placeholder yet get one.
    pub(super) async fn hosted_in_force(
        &self,
        server: &HostedServer,
        basis: &HostedBasis,
        placeholders: &mut BTreeMap<CredentialId, Placeholder>,
    ) -> Result<InForce, ControlError> {
        let policy = Arc::new(basis.uncompiled.clone().compile());
        let has_placeholders = server.secrets.iter().any(|secret| match secret {
            HostedSecret::Placeholder { .. } => true,
            HostedSecret::Value { .. } => false,
        });
        // A credential that comes back needs the authority from the start.
        if !has_placeholders {
            return Ok(policy.into());
        }
        let variables: Vec<_> = basis.variables.iter().map(|(_, it)| it.clone()).collect();
        let made = self.projections(&server.organization, &variables, placeholders);
        Ok(InForce {
            policy,
            projections: Arc::new(Projections::new(made.await?, Vec::new())),
        })
    }
}

impl HostedBasis {
    /// The variables of the program.
    pub(super) fn environment_of(
        &self,
        server: &HostedServer,
        placeholders: &BTreeMap<CredentialId, Placeholder>,
    ) -> BTreeMap<String, String> {
        let mut all = server.variables.clone();
        for (name, variable) in &self.variables {
            if let Some(placeholder) = placeholders.get(&variable.credential) {
                all.insert(name.clone(), placeholder.to_string());
            }
        }
        for secret in &server.secrets {
            if let HostedSecret::Value {
                variable, secret, ..
            } = secret
            {
                all.insert(variable.clone(), secret.reveal().to_owned());
            }
        }
        all
    }
}

/// The secrets that a server has itself.
pub(super) fn values(server: &HostedServer) -> Vec<SecretText> {
    let values = server.secrets.iter().filter_map(|secret| match secret {
        HostedSecret::Placeholder { .. } => None,
        HostedSecret::Value { secret, .. } => Some(secret.clone()),
    });
    values.collect()
}
