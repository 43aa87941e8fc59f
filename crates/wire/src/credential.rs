//! Credentials of vaults as requests and answers carry them: what authenticates a session's requests, and the secrets that only ever go in.

pub(crate) mod fields;

mod auth;
mod create;
mod location;
mod problem;
mod update;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bailiwick_model::SecretText;
use bailiwick_model::limits::DISPLAY_NAME_CHARS;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub use auth::{
    CredentialAuth, CredentialNetworking, EnvironmentVariable, InjectionLocation, McpOauth,
    OauthRefresh, StaticBearer, TokenEndpointAuth, TokenEndpointAuthKind,
};
pub use problem::{CredentialProblem, UrlProblem};

use crate::draft::Field;
use crate::json::{Body, FieldProblem};
use crate::shape::Reader;
use crate::validate;
use crate::vault::merge_metadata;
use fields::{bounded, required};

/// Which of a credential's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretName {
    /// Of `mcp_oauth`.
    AccessToken,
    /// Of `mcp_oauth` with `refresh`.
    RefreshToken,
    /// Of `mcp_oauth` with `refresh`, where the token endpoint wants one.
    ClientSecret,
    /// Of `static_bearer`.
    Token,
    /// Of `environment_variable`.
    SecretValue,
}

/// A word that names no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no secret of a credential has this name")]
pub struct UnknownSecretName;

impl SecretName {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AccessToken,
        Self::RefreshToken,
        Self::ClientSecret,
        Self::Token,
        Self::SecretValue,
    ];

    /// The field that carries it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::ClientSecret => "client_secret",
            Self::Token => "token",
            Self::SecretValue => "secret_value",
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SecretName {
    type Err = UnknownSecretName;

    fn from_str(text: &str) -> Result<Self, UnknownSecretName> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or(UnknownSecretName)
    }
}

/// Secrets, each with its name.
pub type CredentialSecrets = Vec<(SecretName, SecretText)>;

/// What of a credential is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialValues {
    /// What people call it.
    pub display_name: Option<String>,
    /// Free pairs; no key has a reserved prefix.
    pub metadata: BTreeMap<String, String>,
    /// What it authenticates, and how.
    pub auth: CredentialAuth,
}

/// What a body says of a credential, or what becomes of a stored credential that one changes.
#[derive(Debug, Clone)]
pub struct CredentialBody {
    /// What is no secret: all of it.
    pub values: CredentialValues,
    /// The secrets that the body carries: of a new credential all, else those that are replaced.
    pub secrets: CredentialSecrets,
}

impl CredentialBody {
    /// Reads the body that makes a credential, at the moment `now`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its field and never with its value.
    pub fn create(body: &Map<String, Value>, now: Timestamp) -> Result<Self, Vec<FieldProblem>> {
        let mut whole = body.clone();
        // No name and an empty one are the same.
        if whole.get("display_name").is_some_and(|name| name == "") {
            whole.remove("display_name");
        }
        read(&whole, None, now)
    }

    /// Reads the body that changes a credential: what is absent stays. `display_name` and `expires_at` are taken away by null, a pair of
    /// the metadata too; elsewhere null is as absent, except that `injection_location` cannot be null.
    ///
    /// # Errors
    ///
    /// As [`Self::create`]; and a field that cannot be changed must not be there at all, as on the hosted service.
    pub fn update(
        stored: &CredentialValues,
        body: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Self, Vec<FieldProblem>> {
        let mut whole = body.clone();
        if !whole.contains_key("display_name") {
            let name = stored.display_name.clone();
            whole.insert("display_name".to_owned(), name.into());
        }
        merge_metadata(&mut whole, &stored.metadata);
        read(&whole, Some(&stored.auth), now)
    }
}

fn read(
    body: &Map<String, Value>,
    stored: Option<&CredentialAuth>,
    now: Timestamp,
) -> Result<CredentialBody, Vec<FieldProblem>> {
    let body = Body::of(body).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let read =
        Reader::new(&mut problems).map(body.root.clone(), "a credential", |reader, fields| {
            let name = reader.field(fields, "display_name", bounded(1, DISPLAY_NAME_CHARS));
            let metadata = reader.field(fields, "metadata", Reader::pairs);
            let auth = reader.field(fields, "auth", |reader, _, node| match stored {
                Some(stored) => update::auth(reader, node, stored, now),
                None => create::auth(reader, node, now),
            });
            let auth = match (auth, stored) {
                (Field::Absent | Field::Null, Some(stored)) => Some((stored.clone(), Vec::new())),
                (auth, _) => {
                    required(reader, auth, "a credential", "auth", 0).map(|auth| auth.value)
                }
            };
            (name, metadata, auth)
        });
    let read = read.and_then(|(name, metadata, auth)| {
        let metadata = validate::metadata(metadata, &mut problems);
        let (auth, secrets) = auth?;
        let display_name = name.set().map(|name| name.value);
        let values = CredentialValues {
            display_name,
            metadata,
            auth,
        };
        Some(CredentialBody { values, secrets })
    });
    read.filter(|_| problems.is_empty())
        .ok_or_else(|| problems.iter().map(|problem| body.told(problem)).collect())
}
