//! The credentials that are in force for one connection, at the moment that somebody asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::{Destination, limits};
use bailiwick_policy::{InForce, Projections};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::rewrite::{Rewriter, Texts};
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
    /// Secrets that were replaced while the connection was open: a server may still tell them.
    former: VecDeque<Zeroizing<Vec<u8>>>,
    /// How often there were others.
    replaced: u64,
}

/// What must not come back in one answer. Secrets that are replaced while it is open stay in it, and those that replace them are added.
pub(super) struct Redacting {
    credentials: Arc<Credentials>,
    texts: Arc<Texts>,
    /// See [`Made::replaced`].
    seen: u64,
}

impl Redacting {
    /// All that is known by now.
    pub(super) fn texts(&mut self) -> &Texts {
        self.follow();
        &self.texts
    }

    /// A stream that nothing was read of.
    pub(super) fn rewriter(&self) -> Rewriter {
        Rewriter::new(Arc::clone(&self.texts))
    }

    /// Before more of a stream is read.
    pub(super) fn renew(&mut self, rewriter: &mut Rewriter) {
        if self.follow() {
            rewriter.change(Arc::clone(&self.texts));
        }
    }

    /// Whether there is more to look for than before.
    fn follow(&mut self) -> bool {
        let made = self.credentials.made();
        if made.replaced == self.seen {
            return false;
        }
        self.seen = made.replaced;
        // What this answer's own request had secrets in may be forgotten there by now.
        self.texts = Arc::new(self.texts.and(&made.redacted));
        true
    }
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
                former: VecDeque::new(),
                replaced: 0,
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
    pub(super) fn redacted(self: &Arc<Self>, encoded: Vec<Zeroizing<Vec<u8>>>) -> Redacting {
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
            made.redact();
        }
        Redacting {
            texts: Arc::clone(&made.redacted),
            seen: made.replaced,
            credentials: Arc::clone(self),
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        let now = Arc::clone(&self.in_force.borrow().projections);
        // Every change under the lock leaves something that is whole.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.of, &now) {
            let rules = Arc::new(Rules::at(&now, &self.destination));
            let before = std::mem::replace(&mut made.rules, rules);
            made.outlive(&before);
            made.of = now;
            made.replaced += 1;
            made.redact();
        }
        made
    }
}

impl Made {
    /// Secrets of rules that do not hold any more are kept.
    fn outlive(&mut self, before: &Rules) {
        for secret in before.secrets() {
            if !self.former.contains(secret) {
                self.former.push_back(secret.clone());
            }
        }
        while self.former.len() > limits::FORMER_SECRETS_KEPT {
            self.former.pop_front();
        }
    }

    fn redact(&mut self) {
        let besides = self.encoded.iter().chain(&self.former);
        self.redacted = Arc::new(self.rules.redacted(besides));
    }
}
