//! Agents at work: what comes next in a session, and what is done about it.
//!
//! What was stored decides, and nothing else: [`history::History`] is made of the events of a session, [`History::next`] says what comes next,
//! [`conversation`] what the model is asked. All three are pure, so whoever takes a session over goes on where it was.

pub(crate) mod conversation;
pub(crate) mod history;
