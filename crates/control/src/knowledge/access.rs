//! Whether an environment lets a connector read, and with what: asked when a connector is written, and again all the while a sync runs.

use std::path::Path;
use std::sync::Arc;

use bailiwick_model::{
    EnvironmentName, OrganizationId, Permission, SandboxId, SecretText, Transport, Verdict,
};
use bailiwick_outbound::{Account, HttpUrl};
use bailiwick_policy::{
    CredentialHost, CredentialHosts, HostFacts, Policy, SessionGrants, Uncompiled,
};
use bailiwick_store::Environment;
use bailiwick_wire::{CredentialAuth, CredentialNetworking, SecretName};

use super::config::{KnowledgeConfig, KnowledgeCredential, KnowledgeSource, repository_of};
use crate::caller::Caller;
use crate::control::Control;
use crate::credentials::corrupt;
use crate::environments::own_policy;
use crate::error::ControlError;
use crate::flows::FlowsOf;
use crate::fresh;
use crate::names::problem;
use crate::organizations::policies;

impl Control {
    /// Goes on only if an environment lets a connector read what it is told to.
    pub(super) async fn may_read(
        &self,
        caller: &Caller,
        environment: &Environment,
        config: &KnowledgeConfig,
    ) -> Result<(), ControlError> {
        config.check()?;
        self.is_below_a_root(&config.source)?;
        let rules = self.knowledge_policy(&caller.organization, environment);
        judged(&rules.await?.compile(), config)?;
        if let Some(credential) = &config.credential {
            // Nobody hands on what they may not see.
            caller.require(Permission::VaultRead)?;
            self.knowledge_secret(&caller.organization, config, credential)
                .await?;
        }
        Ok(())
    }

    /// Directories of the server's machine are the operator's: none is read that is not below one that the operator named.
    pub(super) fn is_below_a_root(&self, source: &KnowledgeSource) -> Result<(), ControlError> {
        let (field, path) = match source {
            KnowledgeSource::Directory { path, .. } => ("source.path", path.clone()),
            KnowledgeSource::Git { repository, .. } => {
                let repository = repository_of(repository)?;
                match repository.transport() {
                    Transport::File => ("source.repository", repository.path().to_owned()),
                    Transport::Https { .. } | Transport::Ssh { .. } => return Ok(()),
                }
            }
            KnowledgeSource::Web { .. }
            | KnowledgeSource::Github { .. }
            | KnowledgeSource::Confluence { .. } => return Ok(()),
        };
        if self.knowledge_roots.allow(Path::new(&path)) {
            return Ok(());
        }
        Err(problem(
            field,
            "host_path_refused",
            &format!("{path} is a path of the server's machine"),
            "have the operator name it, or a directory above it, in knowledge_roots of the server's configuration",
        ))
    }

    /// What decides in an environment now. In a self-hosted one, which has no policy, it is the organization's default policy: it is the server
    /// that reads.
    pub(super) async fn knowledge_policy(
        &self,
        organization: &OrganizationId,
        environment: &Environment,
    ) -> Result<Uncompiled, ControlError> {
        let found = self.store.scope(organization).organization().await?;
        let found = found.ok_or(ControlError::NotFound("organization"))?;
        let policies = policies(&found)?;
        Ok(Uncompiled {
            effective: bailiwick_policy::effective(own_policy(environment)?, policies.default),
            narrowed_by: Vec::new(),
            organization: policies.floor,
            grants: SessionGrants::none(),
        })
    }

    /// What a connector shows to its source. It is for the source's host, or it is refused.
    pub(super) async fn knowledge_secret(
        &self,
        organization: &OrganizationId,
        config: &KnowledgeConfig,
        credential: &KnowledgeCredential,
    ) -> Result<KnowledgeSecret, ControlError> {
        let (vault, id) = (&credential.vault_id, &credential.credential_id);
        let scope = self.store.scope(organization);
        let found = scope.credential(vault, id).await?;
        let found = found.ok_or(ControlError::NotFound("credential"))?;
        if found.archived_at.is_some() {
            return Err(ControlError::Archived("credential"));
        }
        let auth: CredentialAuth =
            serde_json::from_str(&found.values.auth).map_err(|_| corrupt("auth"))?;
        let (name, is_for) = match &auth {
            CredentialAuth::StaticBearer(bearer) => {
                let server: Option<HttpUrl> = bearer.mcp_server_url.parse().ok();
                let hosts = server.map(|server| Holder::Server(Box::new(server)));
                (SecretName::Token, hosts)
            }
            CredentialAuth::EnvironmentVariable(variable) => {
                let hosts = hosts(&variable.networking)?;
                (SecretName::SecretValue, Some(Holder::Hosts(hosts)))
            }
            CredentialAuth::McpOauth(_) => (SecretName::AccessToken, None),
        };
        let fits = |url: &HttpUrl| is_for.as_ref().is_some_and(|holder| holder.is_for(url));
        if !config.source.reached()?.iter().all(|at| fits(&at.url)) {
            return Err(problem(
                "credential",
                "other_host",
                "is not for the host that the connector reads from",
                "use a static_bearer credential of that server, or an environment_variable credential whose allowed_hosts have its host",
            ));
        }
        let sealed = scope.credential_secrets(id).await?;
        let own = sealed.iter().find(|sealed| sealed.name == name.as_str());
        let own = own.ok_or_else(|| corrupt("sealed"))?;
        let sealing = fresh::hex(&fresh::hash_of(&own.sealed));
        let secrets = self.unsealed(organization, (vault, id), sealed)?;
        let secret = secrets.into_iter().find(|(known, _)| *known == name);
        Ok(KnowledgeSecret {
            text: secret.ok_or_else(|| corrupt("sealed"))?.1,
            name: format!("{id} {sealing}"),
        })
    }

    /// With whom the flows of a connector are kept: with its environment, and no session.
    pub(super) fn knowledge_account(
        self: &Arc<Self>,
        organization: &OrganizationId,
        environment: &Environment,
    ) -> Account {
        let whose = FlowsOf {
            organization: organization.clone(),
            session: None,
            environment: environment.id.clone(),
        };
        let name: Option<EnvironmentName> = environment.values.name.parse().ok();
        let sandbox = SandboxId::from_random(u64::from_ne_bytes(fresh::random()));
        self.account(whose, sandbox, name)
    }
}

/// What a connector shows to its source.
pub(super) struct KnowledgeSecret {
    pub(super) text: SecretText,
    /// The credential, and the digest of what is stored sealed of it: another one each time that a secret takes its place, and says nothing of it.
    pub(super) name: String,
}

/// Where a secret may go.
enum Holder {
    Server(Box<HttpUrl>),
    Hosts(CredentialHosts),
}

impl Holder {
    fn is_for(&self, url: &HttpUrl) -> bool {
        match self {
            Self::Server(server) => server.destination() == url.destination(),
            Self::Hosts(hosts) => hosts.contain(url.destination()),
        }
    }
}

fn hosts(networking: &CredentialNetworking) -> Result<CredentialHosts, ControlError> {
    let CredentialNetworking::Limited { allowed_hosts } = networking else {
        return Ok(CredentialHosts::Unrestricted);
    };
    let hosts = allowed_hosts
        .iter()
        .map(|host| host.parse::<CredentialHost>());
    let hosts = hosts.collect::<Result<_, _>>();
    Ok(CredentialHosts::Limited(
        hosts.map_err(|_| corrupt("auth"))?,
    ))
}

/// Goes on only if a policy lets a connector reach what it is told to read. What its names mean is found out at each connection.
pub(super) fn judged(policy: &Policy, config: &KnowledgeConfig) -> Result<(), ControlError> {
    for reached in config.source.reached()? {
        let destination = reached.url.destination();
        let decision = policy.explain(destination, &HostFacts::unknown());
        match decision.verdict {
            Verdict::Allow => {}
            Verdict::Deny => {
                return Err(problem(
                    reached.field,
                    decision.reason.code(),
                    &format!(
                        "{} is denied ({}) by the policy of {}",
                        destination.host, decision.reason, decision.source
                    ),
                    decision.hint.as_deref().unwrap_or("name another source"),
                ));
            }
        }
    }
    Ok(())
}
