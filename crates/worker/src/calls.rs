//! What of a session is to be run, and what is not to run any more: events in, decisions out. It knows neither time nor network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bailiwick_model::limits::{WORKER_SESSION_CALL_BYTES, WORKER_SESSION_CALLS};

use crate::event::{Call, Permission, Seen};
use crate::id::WireId;

/// The calls of one session.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    known: BTreeMap<WireId, State>,
    /// Those that are not settled, by their threads: an interrupt looks at no others.
    open: BTreeMap<Option<WireId>, BTreeSet<WireId>>,
    /// Those that may be run, in the order in which they were called or allowed. Some are settled by now.
    ready: VecDeque<WireId>,
    /// Bytes of the inputs that are held.
    bytes: usize,
    /// An interrupt counts for what was called before it, also where it is told twice.
    interrupts: BTreeSet<WireId>,
    /// The thread whose calls name none.
    primary: Option<WireId>,
    rests: bool,
}

#[derive(Debug)]
enum State {
    /// Somebody has to allow it.
    Asks(Call),
    /// It is among the ready ones.
    Ready(Call),
    /// It runs.
    Runs(Option<WireId>),
    /// Nothing is to be done about it any more.
    Settled,
}

/// What an event means for what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing.
    Nothing,
    /// Nobody waits for the result of the call that runs.
    Stop,
    /// The session has ended.
    Over,
}

/// A session has had more calls than a worker remembers, or what is to be run of it is more than a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Calls {
    /// Takes note of an event. Events may come twice, from a list and from a stream, each time in their order.
    pub(crate) fn take(&mut self, seen: Seen) -> Result<Meaning, TooMany> {
        match &seen {
            Seen::Neutral | Seen::Thread(_) => {}
            Seen::Rests => self.rests = true,
            Seen::Called(..)
            | Seen::Confirmed { .. }
            | Seen::Answered(_)
            | Seen::Interrupted { .. }
            | Seen::ThreadEnded(_)
            | Seen::Busy
            | Seen::Over => self.rests = false,
        }
        let meaning = match seen {
            Seen::Called(call, permission) => {
                self.called(call, permission);
                Meaning::Nothing
            }
            Seen::Confirmed { call, allowed } => self.confirmed(call, allowed),
            Seen::Answered(call) => self.settle(&call),
            Seen::Interrupted { id, thread } => {
                if self.interrupts.insert(id) {
                    self.settle_of(thread.as_ref())
                } else {
                    Meaning::Nothing
                }
            }
            Seen::Thread(thread) => {
                // Only the primary one is there when a session first does something.
                self.primary.get_or_insert(thread);
                Meaning::Nothing
            }
            Seen::ThreadEnded(thread) => {
                self.primary.get_or_insert_with(|| thread.clone());
                self.settle_of(Some(&thread))
            }
            Seen::Over => Meaning::Over,
            Seen::Rests | Seen::Busy | Seen::Neutral => Meaning::Nothing,
        };
        let is_long = self.known.len() + self.interrupts.len() > WORKER_SESSION_CALLS;
        if is_long || self.bytes > WORKER_SESSION_CALL_BYTES {
            return Err(TooMany);
        }
        Ok(meaning)
    }

    /// The next call that may be run; it runs from here on.
    pub(crate) fn next(&mut self) -> Option<Call> {
        while let Some(id) = self.ready.pop_front() {
            let Some(state) = self.known.get_mut(&id) else {
                continue;
            };
            let State::Ready(call) = state else {
                continue;
            };
            let runs = State::Runs(call.thread.clone());
            if let State::Ready(call) = std::mem::replace(state, runs) {
                self.bytes = self.bytes.saturating_sub(call.input.len());
                return Some(call);
            }
        }
        None
    }

    /// A call has come to its end, and its result is no matter any more.
    pub(crate) fn done(&mut self, call: &WireId) {
        self.settle(call);
    }

    /// Whether the result of a call is still waited for.
    pub(crate) fn awaits(&self, call: &WireId) -> bool {
        match self.known.get(call) {
            Some(State::Asks(_) | State::Ready(_) | State::Runs(_)) => true,
            Some(State::Settled) | None => false,
        }
    }

    /// Whether the session rests, and nothing of it is the worker's to do.
    pub(crate) fn rest(&self) -> bool {
        self.rests && self.open.is_empty()
    }

    fn called(&mut self, call: Call, permission: Permission) {
        if self.known.contains_key(&call.id) {
            return;
        }
        let (id, thread, bytes) = (call.id.clone(), call.thread.clone(), call.input.len());
        let state = match permission {
            Permission::Allow => {
                self.ready.push_back(id.clone());
                State::Ready(call)
            }
            Permission::Ask => State::Asks(call),
            Permission::Deny => {
                self.known.insert(id, State::Settled);
                return;
            }
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.open.entry(thread).or_default().insert(id.clone());
        self.known.insert(id, state);
    }

    /// No is no, also for a call that asked nobody.
    fn confirmed(&mut self, id: WireId, allowed: bool) -> Meaning {
        if !allowed {
            return self.settle(&id);
        }
        match self.known.remove(&id) {
            Some(State::Asks(call)) => {
                self.ready.push_back(id.clone());
                self.known.insert(id, State::Ready(call));
            }
            Some(other @ (State::Ready(_) | State::Runs(_) | State::Settled)) => {
                self.known.insert(id, other);
            }
            None => {}
        }
        Meaning::Nothing
    }

    fn settle(&mut self, id: &WireId) -> Meaning {
        let before = self.known.insert(id.clone(), State::Settled);
        let (thread, meaning) = match before {
            Some(State::Asks(call) | State::Ready(call)) => {
                self.bytes = self.bytes.saturating_sub(call.input.len());
                (call.thread, Meaning::Nothing)
            }
            Some(State::Runs(thread)) => (thread, Meaning::Stop),
            Some(State::Settled) | None => return Meaning::Nothing,
        };
        if let Some(open) = self.open.get_mut(&thread) {
            open.remove(id);
            if open.is_empty() {
                self.open.remove(&thread);
            }
        }
        meaning
    }

    /// Settles the calls of one thread, or of all.
    fn settle_of(&mut self, thread: Option<&WireId>) -> Meaning {
        let mut meant = Vec::new();
        match thread {
            None => meant.extend(std::mem::take(&mut self.open).into_values()),
            Some(thread) => {
                meant.extend(self.open.remove(&Some(thread.clone())));
                if self.primary.as_ref() == Some(thread) {
                    meant.extend(self.open.remove(&None));
                }
            }
        }
        let meanings = meant.into_iter().flatten().map(|id| self.settle(&id));
        meanings.fold(Meaning::Nothing, |all, one| match one {
            Meaning::Nothing => all,
            Meaning::Stop | Meaning::Over => one,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(text: &str) -> WireId {
        text.parse().unwrap()
    }

    /// Events in a short form: `call a`, `ask a`, `call a in t`, `allow a`, `no a`, `result a`, `interrupt x`, `interrupt x in t`, and the like.
    fn seen(text: &str) -> Seen {
        let words: Vec<_> = text.split(' ').collect();
        let thread = words.iter().position(|word| *word == "in");
        let thread = thread.map(|at| id(words[at + 1]));
        let call = |permission: &str| {
            let json = json!({
                "type": "agent.tool_use",
                "id": words[1],
                "name": "bash",
                "input": {"command": "true"},
                "evaluated_permission": permission,
                "session_thread_id": thread,
            });
            Seen::read(&json.to_string()).unwrap()
        };
        match words[0] {
            "call" => call("allow"),
            "ask" => call("ask"),
            "denied" => call("deny"),
            "allow" => Seen::Confirmed {
                call: id(words[1]),
                allowed: true,
            },
            "no" => Seen::Confirmed {
                call: id(words[1]),
                allowed: false,
            },
            "result" => Seen::Answered(id(words[1])),
            "interrupt" => Seen::Interrupted {
                id: id(words[1]),
                thread,
            },
            "thread" => Seen::Thread(id(words[1])),
            "ended" => Seen::ThreadEnded(id(words[1])),
            "rests" => Seen::Rests,
            "busy" => Seen::Busy,
            other => panic!("{other}"),
        }
    }

    /// Takes events, and says what is run after them, in order.
    fn runs(events: &[&str]) -> String {
        let mut calls = Calls::default();
        for event in events {
            calls.take(seen(event)).unwrap();
        }
        let mut run = Vec::new();
        while let Some(call) = calls.next() {
            run.push(call.id.to_string());
        }
        run.join(" ")
    }

    #[test]
    fn what_is_allowed_and_has_no_result_is_run_in_order_and_once() {
        for (events, expect) in [
            (&["call a", "call b"][..], "a b"),
            (&["call a", "call a"], "a"),
            (&["call a", "result a"], ""),
            (&["result a", "call a"], ""),
            (&["ask a"], ""),
            (&["ask a", "call b", "allow a"], "b a"),
            (&["ask a", "allow a", "allow a"], "a"),
            (&["ask a", "no a", "allow a"], ""),
            (&["call a", "no a"], ""),
            (&["denied a", "allow a"], ""),
            (&["allow a", "ask a"], ""),
            (&["call a", "interrupt x", "call b"], "b"),
            (&["ask a", "interrupt x", "allow a"], ""),
            // A list and a stream tell the same.
            (
                &[
                    "call a",
                    "interrupt x",
                    "call b",
                    "call a",
                    "interrupt x",
                    "call b",
                ],
                "b",
            ),
        ] {
            assert_eq!(runs(events), expect, "{events:?}");
        }
    }

    #[test]
    fn an_interrupt_of_one_thread_leaves_the_others() {
        for (events, expect) in [
            (&["call a", "call b in t", "interrupt x in t"][..], "a"),
            (
                &["thread p", "call a", "call b in t", "interrupt x in p"],
                "b",
            ),
            // Whose calls are meant is not known: their results say so.
            (&["call a", "interrupt x in p"], "a"),
            (&["call a", "call b in t", "interrupt x"], ""),
            (&["thread p", "call a in t", "ended t", "call b"], "b"),
        ] {
            assert_eq!(runs(events), expect, "{events:?}");
        }
    }

    #[test]
    fn a_call_that_runs_is_stopped_when_nobody_waits_for_it() {
        for (event, expect) in [
            ("interrupt x", Meaning::Stop),
            ("result a", Meaning::Stop),
            ("no a", Meaning::Stop),
            ("result b", Meaning::Nothing),
            ("call a", Meaning::Nothing),
        ] {
            let mut calls = Calls::default();
            calls.take(seen("call a")).unwrap();
            assert_eq!(calls.next().unwrap().id, id("a"));
            assert_eq!(calls.take(seen(event)).unwrap(), expect, "{event}");
            assert_eq!(
                calls.awaits(&id("a")),
                expect == Meaning::Nothing,
                "{event}"
            );
        }
    }

    #[test]
    fn a_session_rests_when_it_says_so_and_nothing_is_to_be_done() {
        for (events, expect) in [
            (&["rests"][..], true),
            (&["rests", "busy"], false),
            (&["rests", "thread p"], true),
            (&["ask a", "rests"], false),
            (&["ask a", "no a", "rests"], true),
            (&["call a", "rests"], false),
        ] {
            let mut calls = Calls::default();
            for event in events {
                calls.take(seen(event)).unwrap();
            }
            assert_eq!(calls.rest(), expect, "{events:?}");
        }
    }

    #[test]
    fn a_session_without_end_is_given_up() {
        let mut calls = Calls::default();
        for number in 0..WORKER_SESSION_CALLS {
            assert!(
                calls
                    .take(Seen::Answered(id(&format!("a{number}"))))
                    .is_ok()
            );
        }
        assert_eq!(calls.take(Seen::Answered(id("one-more"))), Err(TooMany));
    }

    /// In a debug build, and on a machine with other work, it takes a fraction of this; what grows with the square of them takes minutes.
    const SOON: std::time::Duration = std::time::Duration::from_secs(20);

    #[test]
    fn what_many_calls_and_interrupts_cost_grows_with_their_number() {
        const CALLS: usize = WORKER_SESSION_CALLS / 2;
        let begun = std::time::Instant::now();
        let mut calls = Calls::default();
        for number in 0..CALLS {
            let event = format!("call a{number} in t");
            calls.take(seen(&event)).unwrap();
        }
        // None of them is of the other thread.
        for number in 0..CALLS - 1 {
            let event = format!("interrupt x{number} in u");
            assert_eq!(calls.take(seen(&event)), Ok(Meaning::Nothing));
            assert!(!calls.rest());
        }
        assert_eq!(calls.next().unwrap().id, id("a0"), "control");
        assert_eq!(calls.take(seen("interrupt y in t")), Ok(Meaning::Stop));
        assert_eq!(calls.next(), None);
        let took = begun.elapsed();
        assert!(took < SOON, "{took:?}");
    }

    #[test]
    fn of_many_calls_that_have_results_the_next_is_found_at_once() {
        let begun = std::time::Instant::now();
        let mut calls = Calls::default();
        for number in 0..WORKER_SESSION_CALLS {
            calls.take(seen(&format!("call a{number}"))).unwrap();
        }
        for number in 0..WORKER_SESSION_CALLS - 1 {
            calls.take(seen(&format!("result a{number}"))).unwrap();
        }
        let last = format!("a{}", WORKER_SESSION_CALLS - 1);
        assert_eq!(calls.next().unwrap().id, id(&last));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }

    /// A call whose input has so many bytes.
    fn large(name: &str, bytes: usize, permission: Permission) -> Seen {
        let call = Call {
            id: id(name),
            thread: None,
            tool: bailiwick_tools::Tool::Bash,
            input: "x".repeat(bytes).into(),
        };
        Seen::Called(call, permission)
    }

    #[test]
    fn what_is_to_be_run_of_a_session_is_bounded_in_bytes() {
        let third = WORKER_SESSION_CALL_BYTES / 3;
        let (ask, allow) = (Permission::Ask, Permission::Allow);
        let mut calls = Calls::default();
        calls.take(large("a", third, ask)).unwrap();
        calls.take(large("b", third, allow)).unwrap();
        calls.take(large("c", third, allow)).unwrap();
        // What has begun, has a result or is denied is not held.
        assert_eq!(calls.next().unwrap().id, id("b"));
        calls.take(large("d", third, allow)).unwrap();
        calls.take(seen("no a")).unwrap();
        calls.take(large("e", third, allow)).unwrap();
        calls.take(large("f", third, Permission::Deny)).unwrap();
        calls.take(seen("interrupt x")).unwrap();
        calls.take(large("g", 3 * third, allow)).unwrap();
        assert_eq!(calls.take(large("h", third, ask)), Err(TooMany));
    }
}
