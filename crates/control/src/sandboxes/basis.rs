//! What a sandbox is made from: the policy that its session pinned, the organization's floor as it is now, and the credentials of its vaults.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::limits::CREDENTIALS_OF_VAULT;
use bailiwick_model::{
    CredentialId, EnvironmentId, EnvironmentName, OrganizationId, SessionId, VaultId,
};
use bailiwick_policy::{
    CredentialHost, CredentialHosts, HeaderFields, HostPattern, InForce, OrganizationFloor,
    Placeholder, PlaceholderProjection, Policy, Projections, SessionGrants, Uncompiled,
};
use bailiwick_store::{Credential, PageRequest, Session};
use bailiwick_wire::{
    ConfigParts, CredentialAuth, CredentialNetworking, EnvironmentVariable, RetryStatus,
    SessionError, SessionErrorKind,
};
use jiff::Timestamp;

use super::error::SandboxError;
use super::image::Declared;
use super::repositories::Repository;
use crate::control::Control;
use crate::error::ControlError;
use crate::fresh;
use crate::organizations::policies;
use crate::session_agents;
use crate::sessions::corrupt;
use crate::tightening::{narrowed_by, pinned};

/// What a sandbox is made from, but for secrets. When it changes, the sandbox is to get its policy anew.
#[derive(Debug, PartialEq)]
pub(super) struct Basis {
    pub(super) environment_id: EnvironmentId,
    /// What the environment is called.
    pub(super) environment: EnvironmentName,
    pub(super) declared: Declared,
    uncompiled: Uncompiled,
    variables: Vec<Variable>,
    /// What is to be cloned.
    pub(super) repositories: Vec<Repository>,
    session: SessionId,
    /// Whether the session has vaults: their credentials may still come.
    has_vaults: bool,
}

/// What a session has, and what decides for it.
struct Had {
    uncompiled: Uncompiled,
    variables: Vec<Variable>,
    repositories: Vec<Repository>,
}

/// What a session may reach, as it is at this moment.
pub(crate) struct Boundary {
    pub(crate) environment_id: EnvironmentId,
    /// What the environment is called.
    pub(crate) environment: EnvironmentName,
    /// What decides.
    pub(crate) uncompiled: Uncompiled,
}

/// A credential that stands in a variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    vault: VaultId,
    pub(crate) credential: CredentialId,
    updated_at: Timestamp,
    auth: EnvironmentVariable,
    hosts: CredentialHosts,
}

impl Basis {
    /// What the organization denies.
    pub(super) fn floor(&self) -> &OrganizationFloor {
        &self.uncompiled.organization
    }

    /// Variables with what they hold inside.
    pub(super) fn variables(
        &self,
        placeholders: &BTreeMap<CredentialId, Placeholder>,
    ) -> Vec<(String, String)> {
        let own = self.variables.iter().filter_map(|variable| {
            let placeholder = placeholders.get(&variable.credential)?;
            Some((variable.auth.secret_name.clone(), placeholder.to_string()))
        });
        own.collect()
    }
}

impl Control {
    /// What the sandbox of a session is to be made from now.
    pub(super) async fn basis(
        &self,
        organization: &OrganizationId,
        session: &Session,
    ) -> Result<Basis, SandboxError> {
        let Some(had) = self.had(organization, session).await? else {
            return Err(SandboxError::SelfHosted);
        };
        let scope = self.store.scope(organization);
        let environment = scope.environment(&session.pins.environment).await;
        let environment = environment.map_err(ControlError::from)?;
        let environment = environment.ok_or(ControlError::NotFound("environment"))?;
        let config = scope.environment_config(&environment.id, session.pins.environment_revision);
        let config = config.await.map_err(ControlError::from)?;
        let config = config.ok_or(ControlError::NotFound("environment"))?;
        let parts = ConfigParts::of(&config).map_err(|_| corrupt("config"))?;
        let declared = Declared::of(&config, &parts)?;
        if !declared.is_for_sessions() {
            return Err(SandboxError::Project);
        }
        Ok(Basis {
            environment_id: environment.id,
            environment: environment
                .values
                .name
                .parse()
                .map_err(|_| corrupt("name"))?,
            declared,
            uncompiled: had.uncompiled,
            variables: had.variables,
            repositories: had.repositories,
            session: session.id.clone(),
            has_vaults: !session.pins.vaults.is_empty(),
        })
    }

    /// What a session that is at work may reach, whether or not it has a sandbox.
    pub(crate) async fn session_boundary_now(
        &self,
        organization: &OrganizationId,
        session: &SessionId,
    ) -> Result<Boundary, SandboxError> {
        let session = self.session_at_work(organization, session).await?;
        let session = session.ok_or(SandboxError::Ended)?;
        let uncompiled = self.uncompiled(organization, &session).await?;
        let scope = self.store.scope(organization);
        let environment = scope.environment(&session.pins.environment).await;
        let environment = environment.map_err(ControlError::from)?;
        let environment = environment.ok_or(ControlError::NotFound("environment"))?;
        let name = environment.values.name.parse();
        Ok(Boundary {
            environment_id: environment.id,
            environment: name.map_err(|_| corrupt("name"))?,
            uncompiled: uncompiled.ok_or(SandboxError::SelfHosted)?,
        })
    }

    /// What the policy of a session is compiled from now, for its sandbox and for what the server itself connects to in its stead; `None` if
    /// its environment is self-hosted.
    pub(crate) async fn uncompiled(
        &self,
        organization: &OrganizationId,
        session: &Session,
    ) -> Result<Option<Uncompiled>, ControlError> {
        let had = self.had(organization, session).await?;
        Ok(had.map(|had| had.uncompiled))
    }

    async fn had(
        &self,
        organization: &OrganizationId,
        session: &Session,
    ) -> Result<Option<Had>, ControlError> {
        let Some(effective) = pinned(session)? else {
            return Ok(None);
        };
        let found = self.store.scope(organization).organization().await?;
        let found = found.ok_or(ControlError::NotFound("organization"))?;
        let mut variables = self.variables_of(organization, session).await?;
        if !found.allow_body_injection {
            variables.iter_mut().for_each(Variable::spare_bodies);
        }
        let repositories = self.repositories_of(organization, &session.id).await?;
        let hosts = variables.iter().flat_map(Variable::patterns);
        let hosts = hosts.chain(repositories.iter().filter_map(Repository::credential_host));
        Ok(Some(Had {
            uncompiled: Uncompiled {
                effective,
                narrowed_by: narrowed_by(session)?,
                organization: policies(&found)?.floor,
                grants: SessionGrants {
                    mcp_hosts: session_agents::mcp_hosts(&session.values.agent)?,
                    credential_hosts: hosts.collect(),
                },
            },
            variables,
            repositories,
        }))
    }

    /// The credentials of a session's vaults that stand in variables; of two for one variable that of the first vault counts.
    async fn variables_of(
        &self,
        organization: &OrganizationId,
        session: &Session,
    ) -> Result<Vec<Variable>, ControlError> {
        let scope = self.store.scope(organization);
        let (mut variables, mut taken) = (Vec::new(), BTreeSet::new());
        let all = PageRequest {
            before: None,
            limit: u32::try_from(CREDENTIALS_OF_VAULT).unwrap_or(u32::MAX),
        };
        for vault in &session.pins.vaults {
            for credential in scope.credentials(vault, &all, false).await?.items {
                if let Some(variable) = Variable::of(&credential)?
                    && taken.insert(variable.auth.secret_name.clone())
                {
                    variables.push(variable);
                }
            }
        }
        Ok(variables)
    }

    /// What decides for the sandbox, with the secrets in it. Credentials that have no placeholder yet get one.
    pub(super) async fn in_force(
        &self,
        organization: &OrganizationId,
        basis: &Basis,
        placeholders: &mut BTreeMap<CredentialId, Placeholder>,
    ) -> Result<InForce, SandboxError> {
        let policy = std::sync::Arc::new(basis.uncompiled.clone().compile());
        let mut headers = Vec::new();
        for repository in &basis.repositories {
            let projection = self.repository_projection(organization, &basis.session, repository);
            headers.extend(projection.await?);
        }
        // One that may be given a token later needs the authority from the start.
        if !basis.has_vaults && basis.repositories.is_empty() {
            return Ok(policy.into());
        }
        let projections = self.projections(organization, &basis.variables, placeholders);
        Ok(InForce {
            policy,
            projections: std::sync::Arc::new(Projections::new(projections.await?, headers)),
        })
    }

    /// What goes out in the place of placeholders. Credentials that have none yet get one.
    pub(crate) async fn projections(
        &self,
        organization: &OrganizationId,
        variables: &[Variable],
        placeholders: &mut BTreeMap<CredentialId, Placeholder>,
    ) -> Result<Vec<PlaceholderProjection>, ControlError> {
        let mut projections = Vec::new();
        for variable in variables {
            let placeholder = placeholders
                .entry(variable.credential.clone())
                .or_insert_with(|| Placeholder::of(fresh::random()))
                .clone();
            let id = &variable.credential;
            let secrets = match self
                .unsealed_credential(organization, &variable.vault, id)
                .await
            {
                Ok(secrets) => secrets,
                // Somebody took it away meanwhile.
                Err(ControlError::NotFound(_) | ControlError::Archived(_)) => continue,
                Err(error) => return Err(error),
            };
            let secret = secrets.into_iter().next();
            let (_, secret) = secret.ok_or_else(|| corrupt("secret"))?;
            projections.push(variable.projection(placeholder, secret)?);
        }
        Ok(projections)
    }
}

impl Basis {
    /// Credentials that are for hosts that the policy lets nobody reach, and what the session is told of each.
    pub(super) fn unreachable(&self, policy: &Policy) -> Vec<(CredentialId, SessionError)> {
        let unreachable = self
            .variables
            .iter()
            .filter(|variable| match &variable.hosts {
                CredentialHosts::Unrestricted => false,
                CredentialHosts::Limited(hosts) => !hosts.iter().any(|host| policy.may_reach(host)),
            });
        let told = unreachable.map(|variable| {
            let error = SessionError {
                kind: SessionErrorKind::CredentialHostUnreachable {
                    vault_id: variable.vault.to_string(),
                    credential_id: variable.credential.to_string(),
                },
                message: format!(
                    "the policy of the session lets it reach no host that the credential for {} is for",
                    variable.auth.secret_name
                ),
                retry_status: RetryStatus::Terminal,
            };
            (variable.credential.clone(), error)
        });
        told.collect()
    }
}

impl Variable {
    /// `None` for a credential of another kind.
    pub(crate) fn of(credential: &Credential) -> Result<Option<Self>, ControlError> {
        let auth: CredentialAuth =
            serde_json::from_str(&credential.values.auth).map_err(|_| corrupt("auth"))?;
        let auth = match auth {
            CredentialAuth::EnvironmentVariable(auth) => auth,
            CredentialAuth::McpOauth(_) | CredentialAuth::StaticBearer(_) => return Ok(None),
        };
        let hosts = match &auth.networking {
            CredentialNetworking::Unrestricted => CredentialHosts::Unrestricted,
            CredentialNetworking::Limited { allowed_hosts } => {
                let hosts = allowed_hosts
                    .iter()
                    .map(|host| host.parse::<CredentialHost>());
                let hosts = hosts.collect::<Result<_, _>>();
                CredentialHosts::Limited(hosts.map_err(|_| corrupt("auth"))?)
            }
        };
        Ok(Some(Self {
            vault: credential.vault.clone(),
            credential: credential.id.clone(),
            updated_at: credential.updated_at,
            auth,
            hosts,
        }))
    }

    /// What the variable is called in sessions.
    pub(crate) fn name(&self) -> &str {
        &self.auth.secret_name
    }

    /// The names that it is for, which the environment may let it open.
    pub(crate) fn patterns(&self) -> Vec<HostPattern> {
        let CredentialHosts::Limited(hosts) = &self.hosts else {
            return Vec::new();
        };
        let names = hosts.iter().filter_map(|host| match host {
            CredentialHost::Name(pattern) => Some(pattern.clone()),
            CredentialHost::Address(_) => None,
        });
        names.collect()
    }

    /// Its secret goes into no body, whatever the credential says.
    pub(crate) fn spare_bodies(&mut self) {
        self.auth.injection_location.body = false;
    }

    fn projection(
        &self,
        placeholder: Placeholder,
        secret: bailiwick_model::SecretText,
    ) -> Result<PlaceholderProjection, ControlError> {
        let location = &self.auth.injection_location;
        let names = location.header_names.iter().map(|name| name.parse());
        let names = names.collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|_| corrupt("auth"))?;
        Ok(PlaceholderProjection {
            placeholder,
            secret,
            hosts: self.hosts.clone(),
            headers: match (location.header, names.is_empty()) {
                (false, _) => HeaderFields::None,
                (true, true) => HeaderFields::All,
                (true, false) => HeaderFields::Named(names),
            },
            body: location.body,
        })
    }
}
