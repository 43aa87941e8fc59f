//! Passwords: argon2id with the parameters that RFC 9106, section 4 recommends for little memory (64 MiB, three passes).

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use bailiwick_model::limits::{
    PASSWORD_BYTES, PASSWORD_LEAST_CHARS, PASSWORDS_HASHED, PASSWORDS_WAITING,
};
use tokio::sync::Semaphore;

use crate::error::ControlError;
use crate::fresh;
use crate::names::problem;

/// Of the whole process: half of its processors.
static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, usize::from);
    Turns::new((processors / 2).clamp(1, PASSWORDS_HASHED))
});

/// When to come again if too many wait.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// Who may hash, and who may wait for it.
struct Turns {
    /// Those who hash or wait.
    places: Arc<Semaphore>,
    /// Those who hash.
    hashing: Arc<Semaphore>,
}

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
    /// [`ControlError::Invalid`] if it is too short or too long, [`ControlError::TooManyPasswords`].
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
        let hash = TURNS.take(hashing).await?;
        Ok(hash.expect("the parameters are right"))
    }

    /// Whether it is the one whose hash this is. Without one the same work is done, so that nobody learns from the time whether there is one.
    ///
    /// # Errors
    ///
    /// [`ControlError::TooManyPasswords`].
    pub(crate) async fn is(self, hash: Option<String>) -> Result<bool, ControlError> {
        if self.0.len() > PASSWORD_BYTES {
            return Ok(false);
        }
        let verify = move || {
            let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
            let parsed = PasswordHash::new(&hash);
            parsed.is_ok_and(|hash| argon2().verify_password(self.0.as_bytes(), &hash).is_ok())
        };
        TURNS.take(verify).await
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

impl Turns {
    fn new(at_once: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once + PASSWORDS_WAITING)),
            hashing: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Works beside the requests that are answered meanwhile. A client that goes away takes its place in the queue along, but not its turn:
    /// what has begun cannot be stopped, and counts until it has ended.
    async fn take<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| ControlError::TooManyPasswords {
            retry_after: COME_AGAIN,
        })?;
        let turn = Arc::clone(&self.hashing).acquire_owned().await;
        let turn = turn.expect("it is never closed");
        let working = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        Ok(working.await.expect("hashing does not panic"))
    }
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

    #[tokio::test]
    async fn no_more_are_hashed_at_once_when_clients_go_away() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (turns, now) = (Turns::new(2), Arc::new(AtomicUsize::new(0)));
        let most = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            let work = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(50));
                now.fetch_sub(1, Ordering::SeqCst);
            };
            let gone = tokio::time::timeout(Duration::from_millis(5), turns.take(work)).await;
            assert!(gone.is_err());
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        // And their places are free again.
        turns.take(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_finds_no_place_is_told_to_come_again() {
        let turns = Turns::new(1);
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let working = turns.take(move || held.recv());
        let waiting = (0..PASSWORDS_WAITING).map(|_| turns.take(|| ()));
        let mut waiting: Vec<_> = waiting.map(Box::pin).collect();
        let mut working = Box::pin(working);
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut working).await.is_err());
        for one in &mut waiting {
            assert!(tokio::time::timeout(soon, one).await.is_err());
        }
        assert!(matches!(
            turns.take(|| ()).await,
            Err(ControlError::TooManyPasswords { .. })
        ));
        let_go.send(()).unwrap();
        working.await.unwrap().unwrap();
        for one in waiting {
            one.await.unwrap();
        }
        turns.take(|| ()).await.unwrap();
    }
}
