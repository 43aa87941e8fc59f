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
    /// How much it was made to hold.
    pub(crate) size: usize,
}

/// The pipes of one process.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    free: Mutex<Vec<Pipe>>,
    open: AtomicUsize,
}

impl Pipe {
    fn new(others: usize) -> Option<Self> {
        let size = if others < limits::LARGE_PIPES {
            limits::LARGE_PIPE_BYTES
        } else {
            limits::PIPE_BYTES
        };
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Refused above /proc/sys/fs/pipe-user-pages-soft: the pipe then keeps its usual 64 KiB, which only costs speed.
        let _ = fcntl_setpipe_size(&write, size);
        Some(Self { read, write, size })
    }
}

impl Pipes {
    /// A pipe, unless the process has too many already; the caller then copies.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.free().pop() {
            return Some(pipe);
        }
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let made = if before < limits::PIPES {
            Pipe::new(before)
        } else {
            None
        };
        if made.is_none() {
            self.discarded();
        }
        made
    }

    /// Takes back a pipe that is empty.
    pub(crate) fn put(&self, pipe: Pipe) {
        let mut free = self.free();
        if free.len() < limits::PIPES_KEPT {
            // The last one is taken first, and a large one is the better choice.
            let at = if pipe.size == limits::LARGE_PIPE_BYTES {
                free.len()
            } else {
                0
            };
            free.insert(at, pipe);
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
