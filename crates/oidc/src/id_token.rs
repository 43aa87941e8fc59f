//! Checking an ID token (OpenID Connect Core, section 3.1.3.7).

use bailiwick_model::limits::{ID_TOKEN_SKEW, SIGN_IN_ATTEMPT};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::attempt::same;
use crate::error::BadToken;
use crate::keys::Keys;

/// Signatures that only who has a private key can make. What is not here is refused, whatever a token or a key says.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];

/// Somebody whom a provider signed in.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Who says so.
    pub issuer: String,
    /// Who it is: with the issuer, the one thing about somebody that never becomes somebody else's.
    pub subject: String,
    /// Everything that the issuer says of them.
    pub claims: Map<String, Value>,
}

/// What a token must agree with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) now: Timestamp,
}

/// The claims that are checked. Moments are seconds since 1970, with a fraction if the issuer likes.
#[derive(Debug, Deserialize)]
struct Checked {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    azp: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The head of a token, which nobody has checked yet: it only says with which key to check.
pub(crate) struct Unchecked<'a> {
    token: &'a str,
    header: Header,
}

impl<'a> Unchecked<'a> {
    pub(crate) fn read(token: &'a str) -> Result<Self, BadToken> {
        let header = decode_header(token).map_err(|_| unreadable(token))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(BadToken::Algorithm);
        }
        if header.crit.is_some() {
            return Err(BadToken::Critical);
        }
        Ok(Self { token, header })
    }

    /// Whether its key is among these.
    pub(crate) fn is_signed_with_one_of(&self, keys: &Keys) -> bool {
        keys.find(self.header.kid.as_deref(), self.header.alg)
            .is_some()
    }

    /// Checks everything.
    pub(crate) fn check(&self, keys: &Keys, expected: &Expected) -> Result<Identity, BadToken> {
        let key = keys.find(self.header.kid.as_deref(), self.header.alg);
        let key = key.ok_or(BadToken::UnknownKey)?;
        let mut signature = Validation::new(self.header.alg);
        // What the claims say is checked below, where each has an error of its own and the time is given.
        signature.required_spec_claims.clear();
        signature.validate_exp = false;
        signature.validate_aud = false;
        let claims: Map<String, Value> = decode(self.token, &key, &signature)
            .map_err(|_| BadToken::Signature)?
            .claims;
        let checked = Checked::deserialize(&Value::Object(claims.clone()));
        let checked = checked.map_err(|_| BadToken::Malformed)?;
        checked.check(expected)?;
        Ok(Identity {
            issuer: checked.iss,
            subject: checked.sub,
            claims,
        })
    }
}

impl Checked {
    fn check(&self, expected: &Expected) -> Result<(), BadToken> {
        if self.iss != expected.issuer {
            return Err(BadToken::Issuer);
        }
        if !self.aud.is_only(expected.client) {
            return Err(BadToken::Audience);
        }
        if self
            .azp
            .as_deref()
            .is_some_and(|azp| azp != expected.client)
        {
            return Err(BadToken::AuthorizedParty);
        }
        let (now, skew) = (seconds(expected.now), ID_TOKEN_SKEW.as_secs_f64());
        if self.exp <= now - skew {
            return Err(BadToken::Expired);
        }
        let oldest = now - SIGN_IN_ATTEMPT.as_secs_f64() - skew;
        let begins = self.nbf.unwrap_or(self.iat);
        if self.iat > now + skew || self.iat < oldest || begins > now + skew {
            return Err(BadToken::IssuedAt);
        }
        let nonce = self.nonce.as_deref().unwrap_or_default();
        if !same(nonce, expected.nonce) {
            return Err(BadToken::Nonce);
        }
        let is_odd = self.sub.contains(char::is_control);
        if self.sub.is_empty() || self.sub.len() > SUBJECT_BYTES || is_odd {
            return Err(BadToken::Subject);
        }
        Ok(())
    }
}

/// Of a subject (OpenID Connect Core, section 2).
const SUBJECT_BYTES: usize = 255;

impl OneOrMany {
    /// Other audiences would be clients that are trusted not to use the token here, and there are none.
    fn is_only(&self, client: &str) -> bool {
        match self {
            Self::One(one) => one == client,
            Self::Many(all) => !all.is_empty() && all.iter().all(|one| one == client),
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

/// An algorithm that no library knows, such as none, is told apart from what is no token at all.
fn unreadable(token: &str) -> BadToken {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let head = token.split('.').next().unwrap_or_default();
    let head = URL_SAFE_NO_PAD.decode(head).unwrap_or_default();
    match serde_json::from_slice::<Map<String, Value>>(&head) {
        Ok(head) if head.contains_key("alg") => BadToken::Algorithm,
        Ok(_) | Err(_) => BadToken::Malformed,
    }
}

#[cfg(test)]
#[path = "id_token/tests.rs"]
mod tests;
