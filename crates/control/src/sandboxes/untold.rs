//! What a session and its model have to be told of a sandbox, until a result takes it along.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_wire::{RetryStatus, SessionError, SessionErrorKind};

/// What failed, where that is what was kept.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// What failed, where that is the sandbox itself.
pub(super) const SANDBOX: &str = "sandbox";

/// What is to be told with the next result. Each failure is told once, and again when it is another one.
#[derive(Default)]
pub(super) struct Untold(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    told: Told,
    /// What of each thing was told last.
    failed: BTreeMap<String, SessionError>,
}

/// What is told.
#[derive(Default)]
pub(super) struct Told {
    /// To the model, with the result of its call.
    pub(super) notices: Vec<String>,
    /// To whoever reads the session.
    pub(super) failures: Vec<SessionError>,
}

/// What is about to be told. What is dropped before [`Self::told`] is told with the next result.
pub(super) struct Telling<'a> {
    untold: &'a Untold,
    told: Option<Told>,
}

/// A failure that the wire has no word for.
pub(super) fn unknown(message: String, retry_status: RetryStatus) -> SessionError {
    SessionError {
        kind: SessionErrorKind::Unknown,
        message,
        retry_status,
    }
}

impl Untold {
    /// For the model.
    pub(super) fn notice(&self, text: String) {
        let notices = &mut self.inner().told.notices;
        if !notices.contains(&text) {
            notices.push(text);
        }
    }

    /// Something of the sandbox, by its name, failed like this.
    pub(super) fn failed(&self, what: &str, failure: SessionError) {
        let mut inner = self.inner();
        if inner.failed.get(what) != Some(&failure) {
            inner.failed.insert(what.to_owned(), failure.clone());
            inner.told.failures.push(failure);
        }
    }

    /// It does not fail any more: if it fails again, that is told.
    pub(super) fn is_well(&self, what: &str) {
        self.inner().failed.remove(what);
    }

    /// All there is to be told.
    pub(super) fn take(&self) -> Telling<'_> {
        Telling {
            untold: self,
            told: Some(std::mem::take(&mut self.inner().told)),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling<'_> {
    /// It is part of a result.
    pub(super) fn told(mut self) -> Told {
        self.told.take().unwrap_or_default()
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let Some(mut told) = self.told.take() else {
            return;
        };
        // What came meanwhile comes after.
        let mut inner = self.untold.inner();
        told.notices.append(&mut inner.told.notices);
        told.failures.append(&mut inner.told.failures);
        inner.told = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(message: &str) -> SessionError {
        unknown(message.to_owned(), RetryStatus::Retrying)
    }

    #[test]
    fn a_failure_is_told_once_and_again_when_it_is_another_or_comes_back() {
        let untold = Untold::default();
        let told = |untold: &Untold| untold.take().told().failures.len();
        untold.failed("a", failure("one"));
        untold.failed("b", failure("one"));
        assert_eq!(told(&untold), 2);
        untold.failed("a", failure("one"));
        assert_eq!(told(&untold), 0);
        untold.failed("a", failure("two"));
        assert_eq!(told(&untold), 1);
        untold.is_well("a");
        untold.failed("a", failure("two"));
        assert_eq!(told(&untold), 1);
    }

    #[test]
    fn what_no_result_took_along_is_told_with_the_next() {
        let untold = Untold::default();
        untold.notice("first".to_owned());
        let lost = untold.take();
        untold.notice("second".to_owned());
        drop(lost);
        assert_eq!(untold.take().told().notices, ["first", "second"]);
        assert!(untold.take().told().notices.is_empty());
    }
}
