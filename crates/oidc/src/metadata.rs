//! What a provider says of itself (OpenID Connect Discovery 1.0, section 3).

use serde::Deserialize;
use url::Url;

use crate::endpoint::Endpoint;
use crate::error::ProviderError;

/// Where it says so, below the issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// As it is written.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// As it is used.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization: Url,
    pub(crate) token: Endpoint,
    pub(crate) keys: Endpoint,
    pub(crate) user_info: Option<Endpoint>,
    pub(crate) secret_goes: SecretGoes,
    /// Whether its answers name it (RFC 9207).
    pub(crate) names_itself: bool,
}

/// How a client with a secret shows it (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretGoes {
    /// As `client_secret_basic`, which all must take unless they say otherwise.
    InHeader,
    /// As `client_secret_post`.
    InForm,
}

/// Where a provider's document is.
pub(crate) fn place(issuer: &str) -> String {
    format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/'))
}

impl Document {
    /// Of an issuer, which it must name to the letter (section 4.3).
    pub(crate) fn of(self, issuer: &str) -> Result<Metadata, ProviderError> {
        if self.issuer != issuer {
            return Err(ProviderError::OtherIssuer(self.issuer));
        }
        let user_info = self.userinfo_endpoint.as_deref().map(Endpoint::parse);
        let methods = self.token_endpoint_auth_methods_supported;
        let has = |method: &str| {
            let methods = methods.as_ref();
            methods.is_some_and(|all| all.iter().any(|one| one == method))
        };
        let in_form = has("client_secret_post") && !has("client_secret_basic");
        Ok(Metadata {
            authorization: Endpoint::parse(&self.authorization_endpoint)?.url().clone(),
            token: Endpoint::parse(&self.token_endpoint)?,
            keys: Endpoint::parse(&self.jwks_uri)?,
            user_info: user_info.transpose()?,
            secret_goes: if in_form {
                SecretGoes::InForm
            } else {
                SecretGoes::InHeader
            },
            names_itself: self.authorization_response_iss_parameter_supported,
        })
    }
}
