//! Pipes for `splice`, shared by all connections: one that carries nothing at the moment holds none.

use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_model::limits;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// A pipe. It is empty whenever it is in the pool.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
}

/// The pipes of one process.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    free: Mutex<Vec<Pipe>>,
    open: AtomicUsize,
}

impl Pipes {
    /// A pipe, unless the process has too many already; the caller then copies.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.free().pop() {
            return Some(pipe);
        }
        if self.open.fetch_add(1, Ordering::Relaxed) >= limits::PIPES {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let made = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok();
        let Some((read, write)) = made else {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // Refused above /proc/sys/fs/pipe-user-pages-soft: the pipe then keeps its usual 64 KiB, which only costs speed.
        let _ = fcntl_setpipe_size(&write, limits::PIPE_BYTES);
        Some(Pipe { read, write })
    }

    /// Takes back a pipe that is empty.
    pub(crate) fn put(&self, pipe: Pipe) {
        let mut free = self.free();
        if free.len() < limits::PIPES_KEPT {
            free.push(pipe);
        } else {
            self.discarded();
        }
    }

    /// Says that a pipe is closed because something was left in it.
    pub(crate) fn discarded(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Pipe>> {
        // Nothing panics while the lock is held, and a list of pipes cannot be half changed.
        self.free
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
