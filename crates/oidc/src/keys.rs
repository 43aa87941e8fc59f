//! The keys of an issuer (RFC 7517).

use bailiwick_model::limits::IDENTITY_PROVIDER_KEYS;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// As they are written: what is not understood is left out, as section 5 has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    keys: Vec<Value>,
}

/// Those that may check a signature.
#[derive(Debug, Default)]
pub(crate) struct Keys(Vec<Jwk>);

impl From<Document> for Keys {
    fn from(document: Document) -> Self {
        let keys = document.keys.into_iter().take(IDENTITY_PROVIDER_KEYS);
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Self(keys.filter(is_for_signatures).collect())
    }
}

impl Keys {
    /// The key that a token's head means: the one of this id, or the only one that fits if it names none.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            fits(key, algorithm) && (id.is_none() || key.common.key_id.as_deref() == id)
        });
        let found = fitting.next()?;
        if fitting.next().is_some() {
            return None;
        }
        DecodingKey::from_jwk(found).ok()
    }
}

fn is_for_signatures(key: &Jwk) -> bool {
    matches!(
        key.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    )
}

/// A key is for the algorithms of its kind, and for one alone if it says so.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "there will be kinds of keys that nobody knows yet"
)]
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let own = key.common.key_algorithm.map(|own| own.to_string());
    if own.is_some_and(|own| own != format!("{algorithm:?}")) {
        return false;
    }
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(curve) => {
            (curve.curve == EllipticCurve::P256 && algorithm == Algorithm::ES256)
                || (curve.curve == EllipticCurve::P384 && algorithm == Algorithm::ES384)
        }
        AlgorithmParameters::OctetKeyPair(pair) => {
            pair.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
        }
        // A secret among public keys is no key, nor is what nobody knows yet.
        _ => false,
    }
}
