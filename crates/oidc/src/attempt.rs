//! One attempt to sign in: what the browser takes to the provider, and what it must bring back.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What only the browser that began, and this server, know of an attempt. It is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// Comes back with the answer (RFC 6749, section 10.12): an answer to somebody else's attempt has another one.
    state: String,
    /// Comes back in the ID token (OpenID Connect Core, section 3.1.2.1): a token of another attempt has another one.
    nonce: String,
    /// Shown when the code is redeemed (RFC 7636, section 4.1): whoever intercepts a code does not have it.
    verifier: String,
}

/// What the provider had the browser bring back, from anybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The code, if they signed in.
    pub code: Option<&'a str>,
    /// The state of the attempt.
    pub state: Option<&'a str>,
    /// Who says so (RFC 9207).
    pub issuer: Option<&'a str>,
    /// Why they did not sign in.
    pub error: Option<&'a str>,
}

impl Attempt {
    /// A new one.
    pub fn begin() -> Self {
        Self {
            state: random(),
            nonce: random(),
            verifier: random(),
        }
    }

    /// What identifies it.
    pub fn state(&self) -> &str {
        &self.state
    }

    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(crate) fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The verifier's SHA-256, which goes out first (RFC 7636, section 4.2).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// Whether an answer is one to this attempt.
    pub fn is_answered_by(&self, answer: &Answer<'_>) -> bool {
        answer.state.is_some_and(|state| same(state, &self.state))
    }
}

/// In a time that says nothing of where they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// 256 bits in 43 characters, as many as a verifier has at least.
fn random() -> String {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the kernel gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_specification() {
        // RFC 7636, appendix B.
        let attempt = Attempt {
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
            ..Attempt::begin()
        };
        assert_eq!(
            attempt.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn only_its_own_state_answers_an_attempt_and_it_is_not_printed() {
        let (one, other) = (Attempt::begin(), Attempt::begin());
        let of = |state| Answer {
            state,
            ..Answer::default()
        };
        assert!(one.is_answered_by(&of(Some(one.state()))));
        for state in [None, Some(""), Some(other.state()), Some(&one.state()[1..])] {
            assert!(!one.is_answered_by(&of(state)));
        }
        assert_eq!(format!("{one:?}"), "Attempt(…)");
    }
}
