//! Descriptors in tokio's event loop, without `unsafe` in the crates that need it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::channel::Channel;
use crate::running::Sandbox;

/// Registers a descriptor for `interest`. Must be called inside a tokio runtime with I/O.
///
/// # Errors
///
/// epoll_ctl(2) refuses it: EPERM for files and directories.
pub fn register<T: StableDescriptor>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the trait promises that the descriptor stays open and the same while `inner` lives.
    unsafe { AsyncFd::register_with_interest(inner, interest) }.map_err(io::Error::from)
}

/// A type whose `as_raw_fd` is one open descriptor for as long as the value lives.
///
/// # Safety
///
/// `as_raw_fd` returns the same number, of the same open file description, at every call.
pub unsafe trait StableDescriptor: AsRawFd {}

// SAFETY: owns its descriptor and closes it when dropped.
unsafe impl StableDescriptor for OwnedFd {}
// SAFETY: its owner outlives it.
unsafe impl StableDescriptor for BorrowedFd<'_> {}
// SAFETY: a wrapper of an `OwnedFd`.
unsafe impl StableDescriptor for Channel {}
// SAFETY: the descriptor is its channel's, which is taken only when the sandbox is dropped.
unsafe impl StableDescriptor for Sandbox {}
