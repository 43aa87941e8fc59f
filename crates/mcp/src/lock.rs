//! Locks that are held for a moment and never over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock. What it guards is whole between any two of its uses, so a panic of whoever held it spoils nothing.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
