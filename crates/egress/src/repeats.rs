//! Which denials were recorded a moment ago, so that a program that tries again and again makes one flow and not a flood.

use std::collections::HashMap;

use bailiwick_model::{Destination, Reason, limits};

use crate::clock::Begun;

/// The denials of the last moment, at most [`limits::DENIALS_REMEMBERED`].
#[derive(Debug, Default)]
pub(crate) struct Repeats(HashMap<(Destination, Reason), Begun>);

impl Repeats {
    /// True if this denial should make a flow. More *different* denials in one moment than are remembered make none.
    pub(crate) fn is_new(&mut self, destination: &Destination, reason: Reason, now: Begun) -> bool {
        let key = (destination.clone(), reason);
        if let Some(last) = self.0.get_mut(&key) {
            let is_new = now.since(*last) >= limits::DENIAL_REPEAT;
            if is_new {
                *last = now;
            }
            return is_new;
        }
        if self.0.len() >= limits::DENIALS_REMEMBERED {
            self.0
                .retain(|_, last| now.since(*last) < limits::DENIAL_REPEAT);
        }
        let room = self.0.len() < limits::DENIALS_REMEMBERED;
        if room {
            self.0.insert(key, now);
        }
        room
    }
}
