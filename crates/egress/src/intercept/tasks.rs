//! What runs beside a connection, and ends with it.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// Tasks of one connection. Those that are left end when [`Owner`] is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    tasks: JoinSet<()>,
    over: bool,
}

/// Ends the tasks.
#[derive(Debug, Default)]
pub(super) struct Owner(Tasks);

impl Owner {
    pub(super) fn tasks(&self) -> Tasks {
        self.0.clone()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut running = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.over = true;
        running.tasks.abort_all();
    }
}

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while running.tasks.try_join_next().is_some() {}
        if !running.over {
            running.tasks.spawn(task);
        }
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn(async {
            future.await;
        });
    }
}
