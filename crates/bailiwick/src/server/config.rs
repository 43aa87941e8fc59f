//! The file of `--config`: settings that belong together, or are too long for a command line. It holds no secrets, only where they are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bailiwick_control::{
    ClientSecret, HostPaths, IdentityProvider, IdentityProviders, NeededClaim, NotAHostPath,
    Provider, ProviderError, ProviderSettings, SignInRules,
};
use bailiwick_dial::Dialer;
use bailiwick_model::OrganizationId;
use bailiwick_model::limits::{
    IDENTITY_PROVIDERS, NAME_CHARS, SERVER_CONFIG_BYTES, TRUSTED_PROXIES,
};
use ipnet::IpNet;
use serde::Deserialize;
use url::{Host, Url};

use super::secret_key;
use crate::bad_input::{BadInput, read_text};

/// What it may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where browsers and MCP clients reach this server.
    public_url: Option<String>,
    /// Proxies that say where requests came from.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// Directories of this machine that knowledge connectors may read, with what is below them.
    #[serde(default)]
    knowledge_roots: Vec<PathBuf>,
    /// See `--secret-key-command`.
    pub(super) secret_key_command: Option<String>,
    /// Where people sign in.
    #[serde(default)]
    identity_providers: Vec<ProviderConfig>,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderConfig {
    name: String,
    title: Option<String>,
    issuer: String,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    organization: Option<OrganizationId>,
    #[serde(default)]
    email_domains: Vec<String>,
    claim: Option<ClaimConfig>,
    new_members: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimConfig {
    name: String,
    value: String,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAConfig {
    /// No YAML, or of another form.
    #[error("{0}")]
    Form(String),
    /// Providers must know where to send browsers back to.
    #[error("identity_providers need public_url: where browsers reach this server")]
    NoPublicUrl,
    /// Something else than the root of a server.
    #[error("public_url is https://HOST[:PORT] (http on this machine alone), not {0:?}")]
    PublicUrl(String),
    /// Something else than a network of proxies.
    #[error("trusted_proxies cannot be used")]
    TrustedProxy(#[from] NotATrustedProxy),
    /// A name that a path cannot hold.
    #[error("{0:?} is no name of an identity provider: a to z, 0 to 9 and -, at most {NAME_CHARS}")]
    Name(String),
    /// No absolute path.
    #[error("knowledge_roots cannot be used")]
    KnowledgeRoot(#[from] NotAHostPath),
    /// Two of one name.
    #[error("two identity providers are called {0:?}")]
    Twice(String),
    /// More than anybody needs.
    #[error("there are more than {IDENTITY_PROVIDERS} identity providers")]
    TooMany,
    /// Whoever has an account there would become a member.
    #[error(
        "new_members of the identity provider {0:?} lets in everybody who has an account there: say whom with email_domains or claim"
    )]
    Everybody(String),
    /// Something of it cannot be used.
    #[error("the identity provider {name:?} cannot be used")]
    Provider {
        name: String,
        source: Box<ProviderError>,
    },
}

/// A proxy, or a network of them, that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrustedProxy(pub(crate) IpNet);

/// Something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotATrustedProxy {
    /// Neither an address nor a network.
    #[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
    Form(String),
    /// An address of a network, with the network's length.
    #[error("{text:?} has bits beyond its length: write {right}")]
    HostBits { text: String, right: IpNet },
    /// All there are.
    #[error("{0:?} is everybody, who could then say that they come from anywhere")]
    Everybody(String),
    /// More than anybody needs.
    #[error("there are more than {TRUSTED_PROXIES}")]
    TooMany,
}

impl FromStr for TrustedProxy {
    type Err = NotATrustedProxy;

    fn from_str(text: &str) -> Result<Self, NotATrustedProxy> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text
                .parse()
                .map_err(|_| NotATrustedProxy::Form(text.to_owned()))?,
        };
        let text = text.to_owned();
        if network.prefix_len() == 0 {
            return Err(NotATrustedProxy::Everybody(text));
        }
        let right = network.trunc();
        if right == network {
            Ok(Self(network))
        } else {
            Err(NotATrustedProxy::HostBits { text, right })
        }
    }
}

impl Config {
    /// What the file holds; nothing without one.
    ///
    /// # Errors
    ///
    /// [`BadInput`].
    pub(super) fn read(path: Option<&Path>) -> Result<Self, BadInput> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = read_text(path, SERVER_CONFIG_BYTES)?;
        let config = serde_saphyr::from_str::<Option<Self>>(&text);
        let config = config.map_err(|error| NotAConfig::Form(error.to_string()));
        let config = config.map_err(|source| wrong(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            ..config.unwrap_or_default()
        })
    }

    /// The proxies of the file and of the command line.
    ///
    /// # Errors
    ///
    /// [`NotAConfig::TrustedProxy`].
    pub(super) fn trusted_proxies(&self, given: &[TrustedProxy]) -> Result<Vec<IpNet>, BadInput> {
        let parsed = self.trusted_proxies.iter().map(|text| text.parse());
        let parsed: Result<Vec<TrustedProxy>, _> = parsed.collect();
        let parsed = parsed.and_then(|all| match all.len() + given.len() {
            ..=TRUSTED_PROXIES => Ok(all),
            _ => Err(NotATrustedProxy::TooMany),
        });
        let parsed = parsed.map_err(|error| self.wrong(error.into()))?;
        Ok(given.iter().chain(&parsed).map(|proxy| proxy.0).collect())
    }

    /// What knowledge connectors may read of this machine; nothing without a word of the operator's.
    ///
    /// # Errors
    ///
    /// [`NotAConfig::KnowledgeRoot`].
    pub(super) fn knowledge_roots(&self) -> Result<HostPaths, BadInput> {
        let roots = HostPaths::new(self.knowledge_roots.clone());
        roots.map_err(|error| self.wrong(error.into()))
    }

    /// Where clients reach this server, if it is said.
    ///
    /// # Errors
    ///
    /// [`NotAConfig::PublicUrl`].
    pub(super) fn public_url(&self) -> Result<Option<String>, BadInput> {
        let text = self.public_url.as_deref();
        let url = text.map(|text| public_url(Some(text))).transpose();
        url.map_err(|why| self.wrong(why))
    }

    /// The identity providers, none of which is asked anything yet.
    ///
    /// # Errors
    ///
    /// [`BadInput`].
    pub(super) fn identity_providers(
        &self,
        dialer: &Arc<Dialer>,
    ) -> Result<IdentityProviders, BadInput> {
        let configured = &self.identity_providers;
        if configured.is_empty() {
            return Ok(IdentityProviders::default());
        }
        if configured.len() > IDENTITY_PROVIDERS {
            return Err(self.wrong(NotAConfig::TooMany));
        }
        let public_url = public_url(self.public_url.as_deref()).map_err(|why| self.wrong(why))?;
        let mut names = BTreeSet::new();
        let mut all = Vec::new();
        for provider in configured {
            provider.check().map_err(|why| self.wrong(why))?;
            if !names.insert(&provider.name) {
                return Err(self.wrong(NotAConfig::Twice(provider.name.clone())));
            }
            all.push(self.identity_provider(provider, dialer)?);
        }
        Ok(IdentityProviders { public_url, all })
    }

    fn identity_provider(
        &self,
        provider: &ProviderConfig,
        dialer: &Arc<Dialer>,
    ) -> Result<IdentityProvider, BadInput> {
        let beside = |file: &PathBuf| self.path.parent().unwrap_or(Path::new("")).join(file);
        let file = provider.client_secret_file.as_ref().map(beside);
        let secret = file.map(|file| secret_key::read(&file)).transpose()?;
        let secret = secret.map(|text| ClientSecret::new(text.trim().to_owned().into()));
        let rules = provider.rules();
        let settings = ProviderSettings {
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            client_secret: secret,
            claims: IdentityProvider::claims(&rules),
        };
        let name = provider.name.clone();
        let made = Provider::new(settings, Arc::clone(dialer));
        Ok(IdentityProvider {
            title: provider.title.clone().unwrap_or_else(|| name.clone()),
            provider: made.map_err(|source| {
                let name = name.clone();
                let source = Box::new(source);
                self.wrong(NotAConfig::Provider { name, source })
            })?,
            name,
            rules,
        })
    }

    fn wrong(&self, source: NotAConfig) -> BadInput {
        wrong(&self.path, source)
    }
}

impl ProviderConfig {
    fn check(&self) -> Result<(), NotAConfig> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=NAME_CHARS).contains(&self.name.len()) && self.name.bytes().all(is_plain);
        if !fits {
            return Err(NotAConfig::Name(self.name.clone()));
        }
        if self.new_members.is_some() && self.email_domains.is_empty() && self.claim.is_none() {
            return Err(NotAConfig::Everybody(self.name.clone()));
        }
        Ok(())
    }

    fn rules(&self) -> SignInRules {
        let claim = self.claim.as_ref().map(|claim| NeededClaim {
            name: claim.name.clone(),
            value: claim.value.clone(),
        });
        SignInRules {
            organization: self.organization.clone(),
            email_domains: self.email_domains.clone(),
            claim,
            new_members: self.new_members.clone(),
        }
    }
}

fn wrong(path: &Path, source: NotAConfig) -> BadInput {
    BadInput::Config {
        path: path.to_owned(),
        source,
    }
}

/// The root of a server, as browsers see it.
fn public_url(text: Option<&str>) -> Result<String, NotAConfig> {
    let text = text.ok_or(NotAConfig::NoPublicUrl)?;
    let no = || NotAConfig::PublicUrl(text.to_owned());
    let url: Url = text.parse().map_err(|_| no())?;
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(no()),
    };
    let scheme = url.scheme();
    let is_root = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if is_root && (scheme == "https" || (scheme == "http" && is_here)) {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(no())
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
