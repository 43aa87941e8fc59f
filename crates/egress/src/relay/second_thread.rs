//! A second thread for the connections of a process whose runtime has one: with many at once, one thread is what limits them.

use std::io;
use std::sync::OnceLock;
use std::thread;

use bailiwick_model::limits;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread, once there is a use for it.
#[derive(Debug)]
pub(crate) enum SecondThread {
    /// There is none: the process may still launch sandboxes, or its runtime has threads of its own.
    Never,
    /// It is started with the first connection that wants it; `None` inside if that failed.
    WhenNeeded(OnceLock<Option<Started>>),
}

/// A thread that runs a runtime until this is dropped.
#[derive(Debug)]
pub(crate) struct Started {
    runtime: Handle,
    _until_dropped: oneshot::Sender<()>,
}

impl SecondThread {
    /// The runtime for the next connection of a sandbox that has so many; `None` is the caller's own. Every other one goes to each.
    pub(crate) fn next(&self, connections: usize) -> Option<&Handle> {
        let Self::WhenNeeded(thread) = self else {
            return None;
        };
        if connections < limits::CONNECTIONS_OF_ONE_THREAD || connections.is_multiple_of(2) {
            return None;
        }
        let started = thread.get_or_init(|| Started::new().ok());
        started.as_ref().map(|started| &started.runtime)
    }
}

impl Started {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (until_dropped, dropped) = oneshot::channel();
        thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || runtime.block_on(dropped))?;
        Ok(Self {
            runtime: handle,
            _until_dropped: until_dropped,
        })
    }
}
