use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::keys::Document;

const NOW: i64 = 1_800_000_000;

/// An issuer with one key.
struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        Self(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    fn key(&self, further: &Value) -> Value {
        let point = self.0.public_key().as_ref();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(&point[range]);
        let mut key = json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": coordinate(1..33), "y": coordinate(33..65)});
        let further = further.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(further);
        key
    }

    fn keys(&self) -> Keys {
        keys(&[self.key(&json!({}))])
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.unwrap());
        format!("{message}.{signature}")
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": "one"}), claims)
    }
}

fn keys(all: &[Value]) -> Keys {
    let document: Document = serde_json::from_value(json!({"keys": all})).unwrap();
    document.into()
}

fn claims() -> Value {
    json!({"iss": "https://login.example.com", "sub": "248289761001", "aud": "bailiwick", "nonce": "n", "iat": NOW - 5, "exp": NOW + 300})
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn check(token: &str, keys: &Keys) -> Result<Identity, BadToken> {
    let expected = Expected {
        issuer: "https://login.example.com",
        client: "bailiwick",
        nonce: "n",
        now: Timestamp::from_second(NOW).unwrap(),
    };
    Unchecked::read(token)?.check(keys, &expected)
}

#[test]
fn a_right_token_names_who_signed_in() {
    let issuer = Issuer::new();
    for claims in [
        claims(),
        with("aud", json!(["bailiwick"])),
        with("azp", json!("bailiwick")),
        with("exp", json!(NOW as f64 + 0.5)),
        with("iat", json!(NOW + 30)),
        with("exp", json!(NOW - 30)),
    ] {
        let identity = check(&issuer.token(&claims), &issuer.keys()).unwrap();
        assert_eq!(identity.subject, "248289761001");
        assert_eq!(identity.claims["nonce"], "n");
    }
    // The only key, and no name for it.
    let token = issuer.sign(&json!({"alg": "ES256"}), &claims());
    check(&token, &issuer.keys()).unwrap();
}

#[test]
fn a_token_that_says_something_else_is_refused_for_that() {
    let issuer = Issuer::new();
    for (claims, why) in [
        (
            with("iss", json!("https://login.example.com/")),
            BadToken::Issuer,
        ),
        (
            with("iss", json!("https://evil.example.com")),
            BadToken::Issuer,
        ),
        (with("aud", json!("other")), BadToken::Audience),
        (with("aud", json!([])), BadToken::Audience),
        (
            with("aud", json!(["bailiwick", "other"])),
            BadToken::Audience,
        ),
        (with("azp", json!("other")), BadToken::AuthorizedParty),
        (with("exp", json!(NOW - 61)), BadToken::Expired),
        (with("iat", json!(NOW + 61)), BadToken::IssuedAt),
        (with("iat", json!(NOW - 3600)), BadToken::IssuedAt),
        (with("nbf", json!(NOW + 61)), BadToken::IssuedAt),
        (with("nonce", json!("another")), BadToken::Nonce),
        (with("nonce", json!("")), BadToken::Nonce),
        (without("nonce"), BadToken::Nonce),
        (with("sub", json!("")), BadToken::Subject),
        (with("sub", json!("x".repeat(256))), BadToken::Subject),
        (with("sub", json!("a\u{0}b")), BadToken::Subject),
        (without("exp"), BadToken::Malformed),
        (without("iat"), BadToken::Malformed),
        (without("aud"), BadToken::Malformed),
        (without("iss"), BadToken::Malformed),
        (without("sub"), BadToken::Malformed),
    ] {
        let refused = check(&issuer.token(&claims), &issuer.keys());
        assert_eq!(refused.unwrap_err(), why, "{claims}");
    }
}

#[test]
fn no_algorithm_but_those_of_the_list_is_taken() {
    let issuer = Issuer::new();
    let unsigned = |algorithm: &str| {
        let token = issuer.sign(&json!({"alg": algorithm, "kid": "one"}), &claims());
        let (message, _) = token.rsplit_once('.').unwrap();
        format!("{message}.")
    };
    for algorithm in [
        "none", "None", "nOnE", "HS256", "HS384", "HS512", "ES256K", "RSA1_5", "",
    ] {
        let signed = issuer.sign(&json!({"alg": algorithm, "kid": "one"}), &claims());
        for token in [unsigned(algorithm), signed] {
            let refused = check(&token, &issuer.keys()).unwrap_err();
            assert_eq!(refused, BadToken::Algorithm, "{algorithm}");
        }
    }
    // Of the list, and not of the key.
    for algorithm in ["RS256", "PS512", "ES384", "EdDSA"] {
        let token = issuer.sign(&json!({"alg": algorithm, "kid": "one"}), &claims());
        let refused = check(&token, &issuer.keys()).unwrap_err();
        assert_eq!(refused, BadToken::UnknownKey, "{algorithm}");
    }
}

#[test]
fn a_signature_with_the_public_key_as_a_secret_is_refused() {
    use aws_lc_rs::hmac;
    let issuer = Issuer::new();
    let public = issuer.0.public_key().as_ref();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for header in [
        json!({"alg": "HS256", "kid": "one"}),
        json!({"alg": "HS256"}),
    ] {
        let message = format!("{}.{}", part(&header), part(&claims()));
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, public),
            message.as_bytes(),
        );
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        let published = keys(&[
            issuer.key(&json!({})),
            json!({"kty": "oct", "kid": "two", "k": URL_SAFE_NO_PAD.encode(public)}),
        ]);
        assert_eq!(check(&token, &published).unwrap_err(), BadToken::Algorithm);
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let (issuer, thief) = (Issuer::new(), Issuer::new());
    let header = json!({"alg": "ES256", "kid": "one", "jwk": thief.key(&json!({})), "jku": "https://evil.example.com/keys"});
    let token = thief.sign(&header, &claims());
    let refused = check(&token, &issuer.keys()).unwrap_err();
    assert_eq!(refused, BadToken::Signature);
    // The control.
    check(&token, &thief.keys()).unwrap();
}

#[test]
fn only_a_key_for_signatures_of_the_right_kind_and_name_checks_one() {
    let issuer = Issuer::new();
    let token = issuer.token(&claims());
    for further in [
        json!({"use": "enc"}),
        json!({"alg": "ES384"}),
        json!({"kid": "two"}),
        json!({"crv": "P-384"}),
    ] {
        let refused = check(&token, &keys(&[issuer.key(&further)])).unwrap_err();
        assert_eq!(refused, BadToken::UnknownKey, "{further}");
    }
    for further in [json!({"use": "sig"}), json!({"alg": "ES256"})] {
        check(&token, &keys(&[issuer.key(&further)])).unwrap();
    }
    // Two of one name: which is meant cannot be known.
    let twice = keys(&[issuer.key(&json!({})), Issuer::new().key(&json!({}))]);
    assert_eq!(check(&token, &twice).unwrap_err(), BadToken::UnknownKey);
    // Of kinds that nobody knows yet, and none at all.
    let strange = keys(&[json!({"kty": "ABC"}), json!(1), issuer.key(&json!({}))]);
    check(&token, &strange).unwrap();
}

#[test]
fn what_is_no_token_or_was_changed_is_refused() {
    let issuer = Issuer::new();
    for token in ["", ".", "..", "a.b.c", "e30.e30.", "a.b.c.d.e"] {
        assert_eq!(
            check(token, &issuer.keys()).unwrap_err(),
            BadToken::Malformed,
            "{token}"
        );
    }
    let token = issuer.token(&claims());
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(with("sub", json!("root")).to_string());
    let changed = format!("{head}.{other}.{signature}");
    assert_eq!(
        check(&changed, &issuer.keys()).unwrap_err(),
        BadToken::Signature
    );
    let cut = &token[..token.len() - 4];
    assert_eq!(check(cut, &issuer.keys()).unwrap_err(), BadToken::Signature);
    let critical = json!({"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false});
    let critical = issuer.sign(&critical, &claims());
    assert_eq!(
        check(&critical, &issuer.keys()).unwrap_err(),
        BadToken::Critical
    );
}
