//! Passwords: argon2id with the parameters that RFC 9106, section 4 recommends for little memory (64 MiB, three passes).

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use bailiwick_model::limits::{PASSWORD_BYTES, PASSWORD_LEAST_CHARS};
use tokio::sync::Semaphore;

use crate::error::ControlError;
use crate::fresh;
use crate::names::problem;

/// Hashes at once: each takes 64 MiB and a processor.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A password, which cannot be printed.
pub struct Password(String);

impl Password {
    /// What somebody typed.
    pub fn typed(text: String) -> Self {
        Self(text)
    }

    /// Its hash, as a PHC string.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`] if it is too short or too long.
    pub(crate) async fn hash(self) -> Result<String, ControlError> {
        if self.0.chars().count() < PASSWORD_LEAST_CHARS || self.0.len() > PASSWORD_BYTES {
            let message = format!(
                "a password has at least {PASSWORD_LEAST_CHARS} characters and at most {PASSWORD_BYTES} bytes"
            );
            return Err(problem(
                "password",
                "invalid_password",
                &message,
                "a few words that nobody else puts together will do",
            ));
        }
        let hashing = move || {
            let hash: Result<PasswordHash, _> =
                argon2().hash_password_with_salt(self.0.as_bytes(), &fresh::random::<16>());
            hash.map(|hash| hash.to_string())
        };
        Ok(beside(hashing).await.expect("the parameters are right"))
    }

    /// Whether it is the one whose hash this is. Without one the same work is done, so that nobody learns from the time whether there is one.
    pub(crate) async fn is(self, hash: Option<String>) -> bool {
        if self.0.len() > PASSWORD_BYTES {
            return false;
        }
        let verify = move || {
            let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
            let parsed = PasswordHash::new(&hash);
            parsed.is_ok_and(|hash| argon2().verify_password(self.0.as_bytes(), &hash).is_ok())
        };
        beside(verify).await
    }
}

/// The hash of a password that nobody has: its output is chosen, not computed.
const NOBODYS: &str = "$argon2id$v=19$m=65536,t=3,p=4$YmFpbGl3aWNrLW5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(64 * 1024, 3, 4, None).expect("within the bounds of the algorithm");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Beside the requests that are answered meanwhile, and never too many at once.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let _turn = AT_ONCE.acquire().await.expect("it is never closed");
    tokio::task::spawn_blocking(work)
        .await
        .expect("hashing does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_that_is_nobodys_is_one_and_takes_as_long() {
        let hash = PasswordHash::new(NOBODYS).expect("a hash");
        assert_eq!(
            Params::try_from(&hash).expect("parameters").m_cost(),
            64 * 1024
        );
    }
}
