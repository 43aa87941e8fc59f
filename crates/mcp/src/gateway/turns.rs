//! How many requests of one caller run at once, in all sessions and without any: each holds what the client sent and what the server answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::MCP_GATEWAY_REQUESTS_OF_CALLER;

use super::Caller;
use super::refusal::Refusal;
use crate::lock::lock;

/// The requests that run, by their callers.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Caller, usize>>);

/// A request, for as long as it runs.
pub(super) struct Turn {
    turns: Arc<Turns>,
    caller: Caller,
}

impl Turns {
    /// One more of a caller.
    pub(super) fn take(self: &Arc<Self>, caller: &Caller) -> Result<Turn, Refusal> {
        let mut all = lock(&self.0);
        let running = all.entry(caller.clone()).or_default();
        if *running >= MCP_GATEWAY_REQUESTS_OF_CALLER {
            return Err(Refusal::Requests);
        }
        *running += 1;
        Ok(Turn {
            turns: Arc::clone(self),
            caller: caller.clone(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = lock(&self.turns.0);
        if let Some(running) = all.get_mut(&self.caller) {
            *running -= 1;
            if *running == 0 {
                all.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_requests_of_a_caller_run_and_take_none_from_others() {
        let turns = Arc::new(Turns::default());
        let (ann, bob) = (Caller::new("ann"), Caller::new("bob"));
        let take = |caller| turns.take(caller);
        let running: Vec<_> = (0..MCP_GATEWAY_REQUESTS_OF_CALLER)
            .map(|_| take(&ann).unwrap())
            .collect();
        assert_eq!(take(&ann).err(), Some(Refusal::Requests));
        assert!(take(&bob).is_ok());
        drop(running);
        assert!(take(&ann).is_ok());
        assert!(lock(&turns.0).is_empty());
    }
}
