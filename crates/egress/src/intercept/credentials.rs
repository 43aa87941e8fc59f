//! The credentials that are in force for one connection, at the moment that somebody asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::{Destination, limits};
use bailiwick_policy::{InForce, Projections};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::rewrite::Texts;
use super::rules::Rules;

/// What is in force for the destination of one connection.
#[derive(Debug)]
pub(super) struct Credentials {
    in_force: watch::Receiver<InForce>,
    destination: Destination,
    made: Mutex<Made>,
}

/// What was made of the projections, until there are others.
#[derive(Debug)]
struct Made {
    of: Arc<Projections>,
    rules: Arc<Rules>,
    redacted: Arc<Texts>,
    /// What earlier requests of this connection had secrets in.
    encoded: VecDeque<Zeroizing<Vec<u8>>>,
}

impl Credentials {
    pub(super) fn new(in_force: watch::Receiver<InForce>, destination: Destination) -> Self {
        let of = Arc::clone(&in_force.borrow().projections);
        let rules = Arc::new(Rules::at(&of, &destination));
        Self {
            made: Mutex::new(Made {
                redacted: Arc::new(rules.redacted([].iter())),
                of,
                rules,
                encoded: VecDeque::new(),
            }),
            in_force,
            destination,
        }
    }

    /// The rules of this moment.
    pub(super) fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.made().rules)
    }

    /// What must not come back in an answer from now on; `encoded` is what the request had secrets in.
    pub(super) fn redacted(&self, encoded: Vec<Zeroizing<Vec<u8>>>) -> Arc<Texts> {
        let mut made = self.made();
        let mut new = false;
        for text in encoded {
            if !made.encoded.contains(&text) {
                made.encoded.push_back(text);
                new = true;
            }
        }
        while made.encoded.len() > limits::ENCODED_SECRETS_KEPT {
            made.encoded.pop_front();
        }
        if new {
            made.redacted = Arc::new(made.rules.redacted(made.encoded.iter()));
        }
        Arc::clone(&made.redacted)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        let now = Arc::clone(&self.in_force.borrow().projections);
        // Every change under the lock leaves something that is whole.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.of, &now) {
            made.rules = Arc::new(Rules::at(&now, &self.destination));
            made.redacted = Arc::new(made.rules.redacted(made.encoded.iter()));
            made.of = now;
        }
        made
    }
}
