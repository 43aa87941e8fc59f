//! Host rules: a name or everything below one, with the ports it is about.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bailiwick_model::HostName;

use crate::CidrRule;
use crate::host::{HostError, normalise_host};
use crate::ports::{Ports, PortsError};

/// A host rule: `example.com`, `*.example.com`, `example.com:443`, `*.example.com:8000-8100`.
///
/// `example.com` is exactly that name; `*.example.com` is every name below it at any depth, and not `example.com` itself.
/// Without a port the rule is about every TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern {
    host: HostName,
    wildcard: bool,
    ports: Ports,
}

/// Why a text is not a host rule, with the form that would be one where there is such a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// `*` alone.
    #[error("`*` would allow every host; that is the mode `unrestricted`, not a host rule")]
    Star,
    /// `*.com`, `*.co.uk`.
    #[error(
        "`*.{0}` would cover every site under the public suffix `{0}`; name the domains that are needed"
    )]
    PublicSuffix(String),
    /// A `*` that is not the whole first label.
    #[error("`*` may only stand alone in front, as in `*.example.com`{}", or_write(.corrected.as_deref()))]
    WildcardPlace {
        /// What may have been meant.
        corrected: Option<String>,
    },
    /// `.example.com`.
    #[error("a rule does not start with a dot{}", or_write(.corrected.as_deref()))]
    LeadingDot {
        /// What may have been meant.
        corrected: Option<String>,
    },
    /// A block of addresses, or an address with a port.
    #[error("addresses are not host rules; put `{corrected}` under `allowed_cidrs`")]
    Block {
        /// The CIDR rule for it.
        corrected: String,
    },
    /// An address, in any spelling (`127.1` too).
    #[error("{address} is an address; put `{corrected}` under `allowed_cidrs`")]
    Address {
        /// The address.
        address: IpAddr,
        /// The CIDR rule for it.
        corrected: String,
    },
    /// A URL.
    #[error("a host rule has no scheme{}", or_write(.corrected.as_deref()))]
    Scheme {
        /// The host (and port) of the URL.
        corrected: Option<String>,
    },
    /// A path, query or fragment.
    #[error("a host rule has no path: access is per host{}", or_write(.corrected.as_deref()))]
    Path {
        /// What precedes the path.
        corrected: Option<String>,
    },
    /// What follows the colon is not a port.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// The host is not one.
    #[error(transparent)]
    Host(HostError),
}

fn or_write(corrected: Option<&str>) -> String {
    corrected
        .map(|text| format!("; write `{text}`"))
        .unwrap_or_default()
}

impl HostPatternError {
    /// The form that would be accepted (as a host rule or, for an address, as a CIDR rule), where there is one.
    pub fn corrected(&self) -> Option<&str> {
        match self {
            Self::WildcardPlace { corrected }
            | Self::LeadingDot { corrected }
            | Self::Scheme { corrected }
            | Self::Path { corrected } => corrected.as_deref(),
            Self::Block { corrected } | Self::Address { corrected, .. } => Some(corrected),
            Self::Star | Self::PublicSuffix(_) | Self::Ports(_) | Self::Host(_) => None,
        }
    }
}

/// A rule that is taken, and that a person may not have meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternWarning {
    /// `*.github.io`: the Public Suffix List says that different people own the names below it.
    #[error(
        "the names below `{0}` belong to different owners, anyone may get one; name those that are needed"
    )]
    SharedSuffix(String),
}

impl HostPattern {
    /// The rule for one name.
    pub fn exact(host: HostName, ports: Ports) -> Self {
        Self {
            host,
            wildcard: false,
            ports,
        }
    }

    /// The name, or what follows `*.`.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Whether the rule is about the names below [`Self::host`] instead of that name.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The ports that the rule is about.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Whether the rule is about this name, on whatever port. (Policies do not ask this: they look names up.)
    pub(crate) fn matches(&self, name: &HostName) -> bool {
        let (name, base) = (name.as_str(), self.host.as_str());
        match self.wildcard {
            false => name == base,
            true => name
                .strip_suffix(base)
                .is_some_and(|below| below.ends_with('.')),
        }
    }

    /// What a person should know before using this rule to allow something.
    pub fn warning(&self) -> Option<HostPatternWarning> {
        let shared =
            self.wildcard && suffix_section(self.host.as_str()) == Some(psl::Type::Private);
        shared.then(|| HostPatternWarning::SharedSuffix(self.host.to_string()))
    }
}

/// The section of the Public Suffix List by which every name directly below `base` has an owner of its own.
fn suffix_section(base: &str) -> Option<psl::Type> {
    // A rule such as `*.ck` makes every `x.ck` a suffix without listing `ck`, so a name below is asked too.
    let below = format!("bailiwick.{base}");
    [base, &below].into_iter().find_map(|name| {
        let suffix = psl::Psl::suffix(&psl::List, name.as_bytes())?;
        if suffix.as_bytes().len() == name.len() {
            suffix.typ()
        } else {
            None
        }
    })
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        refuse_block(text)?;
        refuse_url(text)?;
        let (host, ports) = match text.rsplit_once(':') {
            // More than one colon is an IPv6 address; `normalise_host` says so.
            Some((host, ports)) if !host.contains(':') => (host, ports.parse()?),
            Some(_) | None => (text, Ports::ANY),
        };
        if host == "*" {
            return Err(HostPatternError::Star);
        }
        let (base, wildcard) = host
            .strip_prefix("*.")
            .map_or((host, false), |base| (base, true));
        refuse_misplaced(base, text)?;
        let host = normalise_host(base).map_err(host_error)?;
        if wildcard && suffix_section(host.as_str()) == Some(psl::Type::Icann) {
            return Err(HostPatternError::PublicSuffix(host.to_string()));
        }
        Ok(Self {
            host,
            wildcard,
            ports,
        })
    }
}

/// A single address without a port is left to `normalise_host`, which knows all the spellings.
fn refuse_block(text: &str) -> Result<(), HostPatternError> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    match text.parse::<CidrRule>() {
        Ok(rule) => Err(HostPatternError::Block {
            corrected: rule.to_string(),
        }),
        Err(error) => match error.corrected() {
            Some(corrected) => Err(HostPatternError::Block {
                corrected: corrected.to_owned(),
            }),
            None => Ok(()),
        },
    }
}

fn refuse_url(text: &str) -> Result<(), HostPatternError> {
    let (scheme, rest) = text
        .split_once("://")
        .map_or((false, text), |(_, rest)| (true, rest));
    let end = rest.find(['/', '\\', '?', '#']);
    let host = &rest[..end.unwrap_or(rest.len())];
    let corrected = || accepted(host.rsplit_once('@').map_or(host, |(_, host)| host));
    match (scheme, end) {
        (true, _) => Err(HostPatternError::Scheme {
            corrected: corrected(),
        }),
        (false, Some(_)) => Err(HostPatternError::Path {
            corrected: corrected(),
        }),
        (false, None) => Ok(()),
    }
}

fn refuse_misplaced(base: &str, text: &str) -> Result<(), HostPatternError> {
    let rest = text.trim_start_matches(['*', '.']);
    // Without this `*.a*b` would be corrected to itself.
    let meant = || {
        if rest.contains('*') {
            None
        } else {
            accepted(&format!("*.{rest}"))
        }
    };
    if base.contains('*') {
        Err(HostPatternError::WildcardPlace { corrected: meant() })
    } else if base.len() > 1 && base.starts_with('.') {
        Err(HostPatternError::LeadingDot { corrected: meant() })
    } else {
        Ok(())
    }
}

/// The canonical form of `text`, if it is a rule. (A correction that is refused in turn would not help.)
fn accepted(text: &str) -> Option<String> {
    text.parse::<HostPattern>()
        .ok()
        .map(|pattern| pattern.to_string())
}

fn host_error(error: HostError) -> HostPatternError {
    match error {
        HostError::Address(address) => HostPatternError::Address {
            address,
            corrected: CidrRule::single(address).to_string(),
        },
        other @ (HostError::Empty
        | HostError::Control(_)
        | HostError::WhiteSpace
        | HostError::PercentEncoding
        | HostError::Brackets
        | HostError::Scheme(_)
        | HostError::Path(_)
        | HostError::UserPart
        | HostError::Port
        | HostError::Wildcard
        | HostError::Idna
        | HostError::Invalid(_)) => HostPatternError::Host(other),
    }
}

impl TryFrom<&str> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: &str) -> Result<Self, HostPatternError> {
        text.parse()
    }
}

/// The canonical form; it parses back to the same rule.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*." } else { "" };
        write!(f, "{star}{}", self.host)?;
        if self.ports.is_any() {
            Ok(())
        } else {
            write!(f, ":{}", self.ports)
        }
    }
}
