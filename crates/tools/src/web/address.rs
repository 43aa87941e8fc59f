//! Which URLs are fetched at all.

use bailiwick_model::{HostName, limits};
use url::{Host, Url};

/// The domains that may be fetched from. An entry stands for what is below it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domains {
    /// All.
    Any,
    /// These and no others.
    Allowed(Vec<HostName>),
    /// All but these.
    Blocked(Vec<HostName>),
}

/// Why a URL is not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressProblem {
    #[error("{0:?} is no URL: give one such as https://docs.example.com/page")]
    NotAUrl(String),
    #[error("{0} URLs are not fetched, only http and https")]
    Scheme(String),
    #[error("a URL with a user name or password is not fetched")]
    Credentials,
    #[error("the URL has {found} bytes, and {} is the most", limits::WEB_URL_BYTES)]
    TooLong { found: usize },
    #[error("{0} is not among the domains that this agent may fetch from: {1}")]
    NotAllowed(String, String),
    #[error("{0} is among the domains that this agent may not fetch from")]
    Blocked(String),
    #[error("{0} is an address, which cannot be checked against the agent's blocked_domains")]
    Address(String),
}

/// What a model gave as a URL, without its fragment.
pub(super) fn parse(text: &str) -> Result<Url, AddressProblem> {
    let not_a_url = || AddressProblem::NotAUrl(text.chars().take(200).collect());
    check(Url::parse(text).map_err(|_| not_a_url())?)
}

/// Where a redirect leads.
pub(super) fn next(from: &Url, location: &str) -> Result<Url, AddressProblem> {
    let not_a_url = || AddressProblem::NotAUrl(location.chars().take(200).collect());
    check(from.join(location).map_err(|_| not_a_url())?)
}

fn check(mut url: Url) -> Result<Url, AddressProblem> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressProblem::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressProblem::Credentials);
    }
    if url.as_str().len() > limits::WEB_URL_BYTES {
        let found = url.as_str().len();
        return Err(AddressProblem::TooLong { found });
    }
    url.set_fragment(None);
    Ok(url)
}

impl Domains {
    pub(super) fn check(&self, url: &Url) -> Result<(), AddressProblem> {
        let shown = url.host_str().unwrap_or_default().to_owned();
        // A trailing dot names the same host.
        let name = match url.host() {
            Some(Host::Domain(name)) => Some(name.trim_end_matches('.')),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => None,
        };
        let is_of = |domains: &[HostName]| {
            name.is_some_and(|name| domains.iter().any(|domain| is_below(name, domain)))
        };
        match self {
            Self::Any => Ok(()),
            Self::Allowed(domains) if is_of(domains) => Ok(()),
            Self::Allowed(domains) => {
                let domains: Vec<String> = domains.iter().map(ToString::to_string).collect();
                Err(AddressProblem::NotAllowed(shown, domains.join(", ")))
            }
            Self::Blocked(domains) if is_of(domains) => Err(AddressProblem::Blocked(shown)),
            Self::Blocked(_) if name.is_none() => Err(AddressProblem::Address(shown)),
            Self::Blocked(_) => Ok(()),
        }
    }
}

/// The domain itself, or a name below it: with a dot between.
fn is_below(name: &str, domain: &HostName) -> bool {
    name.strip_suffix(domain.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
