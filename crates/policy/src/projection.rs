//! Which secrets go where: what a sandbox's credentials do to its requests on their way out.
//!
//! A program inside never has a secret. It has a placeholder, or nothing; the relay puts the secret into requests for the
//! hosts of the credential, and nowhere else. This is the value that says so. It decides nothing about reachability: a
//! destination that the [`Policy`] denies is denied whatever is projected there.

mod header;
mod host;
mod placeholder;

use std::sync::Arc;

use bailiwick_model::Destination;

use crate::Policy;

pub use header::{FieldName, FieldNameError, HeaderProjection, PathPrefix, PathPrefixError};
pub use host::{CredentialHost, CredentialHostError, CredentialHosts};
pub use placeholder::{HeaderFields, Placeholder, PlaceholderError, PlaceholderProjection};

/// What decides for a sandbox at one moment: what it may reach, and which secrets go along. Both change together.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What it may reach.
    pub policy: Arc<Policy>,
    /// Which secrets go along.
    pub projections: Arc<Projections>,
}

impl From<Arc<Policy>> for InForce {
    /// Without credentials.
    fn from(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            projections: Arc::new(Projections::none()),
        }
    }
}

/// The credentials of one sandbox, in order: of two that set one header, the first counts.
#[derive(Debug)]
pub struct Projections {
    may_have: bool,
    placeholders: Vec<PlaceholderProjection>,
    headers: Vec<HeaderProjection>,
}

impl Projections {
    /// For a sandbox that has no credentials and gets none: it needs no certificate authority of its own.
    pub fn none() -> Self {
        Self {
            may_have: false,
            placeholders: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// For a sandbox that has these, or has none yet and may get some.
    pub fn new(placeholders: Vec<PlaceholderProjection>, headers: Vec<HeaderProjection>) -> Self {
        Self {
            may_have: true,
            placeholders,
            headers,
        }
    }

    /// Whether a sandbox that starts with these has to trust its own certificate authority. What it trusts is settled when it starts.
    pub fn may_have_credentials(&self) -> bool {
        self.may_have
    }

    /// Whether any secret goes there: TLS to that destination, and to no other, is terminated.
    pub fn concern(&self, destination: &Destination) -> bool {
        self.placeholders_at(destination).next().is_some()
            || self.headers_at(destination).next().is_some()
    }

    /// The placeholders that are replaced in requests to `destination`.
    pub fn placeholders_at<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> impl Iterator<Item = &'a PlaceholderProjection> {
        self.placeholders
            .iter()
            .filter(move |projection| projection.hosts.contain(destination))
    }

    /// The headers that are set in requests to `destination`, for some path.
    pub fn headers_at<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> impl Iterator<Item = &'a HeaderProjection> {
        self.headers
            .iter()
            .filter(move |projection| projection.host.contains(destination))
    }

    /// Every placeholder, with where it goes.
    pub fn placeholders(&self) -> &[PlaceholderProjection] {
        &self.placeholders
    }

    /// Every header that is set, with where it goes.
    pub fn headers(&self) -> &[HeaderProjection] {
        &self.headers
    }
}

#[cfg(test)]
mod tests;
