//! What the sandbox was denied, so that the agent knows it was policy, and what to ask for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_model::{Flow, Reason, Verdict, limits};
use bailiwick_runtime::Event;
use tokio::sync::watch;

use crate::inside::Inside;
use crate::result::printable;

/// The denials of a sandbox since somebody last took them.
///
/// Whoever reads the sandbox's events lets this hear every one; the toolset takes them at the end of each command.
#[derive(Default)]
pub struct Denials {
    state: Mutex<State>,
    last_mark: AtomicU64,
    /// The last mark that was heard.
    heard: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    denied: BTreeMap<(String, Reason), Denied>,
    /// Attempts at destinations beyond [`limits::TOOL_DENIALS`].
    others: u64,
}

struct Denied {
    environment: String,
    hint: Option<String>,
    times: u64,
}

impl Denials {
    /// Takes note of a flow that was denied, and of how far the events are.
    pub fn hear(&self, event: &Event) {
        match event {
            Event::Flow(flow) => self.note(flow),
            Event::Mark(mark) => {
                self.heard.send_replace(*mark);
            }
            Event::Started | Event::OutOfMemory | Event::Stopped(_) => {}
        }
    }

    fn note(&self, flow: &Flow) {
        match flow.verdict {
            Verdict::Deny => {}
            Verdict::Allow => return,
        }
        let key = (flow.destination.to_string(), flow.reason);
        let mut state = self.state();
        if let Some(denied) = state.denied.get_mut(&key) {
            denied.times += 1;
        } else if state.denied.len() < limits::TOOL_DENIALS {
            let denied = Denied {
                environment: environment(flow),
                hint: flow.hint.clone(),
                times: 1,
            };
            state.denied.insert(key, denied);
        } else {
            state.others += 1;
        }
    }

    /// One line for each destination and reason, without a line feed at the end: of all that was denied before this was called.
    pub(crate) async fn take(&self, inside: &dyn Inside) -> String {
        self.catch_up(inside).await;
        let state = std::mem::take(&mut *self.state());
        let mut lines: Vec<String> = state.denied.iter().map(line).collect();
        if state.others > 0 {
            lines.push(format!(
                "[network denied: {} more attempts at other destinations]",
                state.others
            ));
        }
        lines.join("\n")
    }

    /// Waits until what is over by now has been heard. A reader that is held up is not waited for: what it hears later is told with the
    /// next command.
    async fn catch_up(&self, inside: &dyn Inside) {
        let mark = self.last_mark.fetch_add(1, Ordering::Relaxed) + 1;
        let mut heard = self.heard.subscribe();
        let hearing = async {
            // Of a sandbox that is gone nothing more is told.
            if inside.mark(mark).await.is_ok() {
                let _ = heard.wait_for(|heard| *heard >= mark).await;
            }
        };
        let _ = tokio::time::timeout(limits::TOOL_DENIALS_WAIT, hearing).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(((destination, reason), denied): (&(String, Reason), &Denied)) -> String {
    let times = match denied.times {
        1 => String::new(),
        times => format!(", {times} times"),
    };
    let hint = denied.hint.as_deref();
    let line = if is_of_policy(*reason) {
        format!(
            "[network denied: {destination} ({reason}{times}) by the policy of {}; what would change that: {}]",
            denied.environment,
            hint.unwrap_or("ask whoever administers the environment")
        )
    } else {
        format!("[network: {destination} is allowed and could not be reached ({reason}{times})]")
    };
    // A name in a hint may be the program's own choice.
    printable(line.as_bytes()).replace('\n', " ")
}

/// Whether it was denied because of what the policy says, and not because nobody answered.
fn is_of_policy(reason: Reason) -> bool {
    match reason {
        Reason::NameNotFound | Reason::Unreachable | Reason::UpstreamCertificate => false,
        Reason::InvalidDestination
        | Reason::Floor
        | Reason::HostPort
        | Reason::Pinned
        | Reason::OrganizationFloor
        | Reason::DeniedRule
        | Reason::PrivateAddress
        | Reason::Unrestricted
        | Reason::HostRule
        | Reason::Preset
        | Reason::SessionGrant
        | Reason::CidrRule
        | Reason::NoRule
        | Reason::ResolvedToPrivate
        | Reason::UnverifiedAddress
        | Reason::SniMismatch
        | Reason::HostMismatch
        | Reason::Udp
        | Reason::NameLimit
        | Reason::ConnectionLimit
        | Reason::CredentialRequest => true,
    }
}

fn environment(flow: &Flow) -> String {
    match &flow.environment {
        Some(name) => format!("environment {name}"),
        None => format!("this environment ({})", flow.source),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bailiwick_model::{Destination, HostName, PolicySource};
    use bailiwick_runtime::{BoxFuture, Command, Error, Execution, FileEntry};

    use super::*;

    fn flow(name: &str, reason: Reason) -> Flow {
        let name = HostName::from_normalised(name).expect("a name");
        Flow {
            at: jiff::Timestamp::UNIX_EPOCH,
            sandbox: "one".parse().expect("an id"),
            environment: Some("payments".parse().expect("a name")),
            destination: Destination::tcp_name(name, 443),
            address: None,
            verdict: reason.verdict(),
            reason,
            rule: None,
            source: PolicySource::BuiltIn,
            hint: Some("add `api.example.com` to `allowed_hosts`".to_owned()),
            bytes_out: 0,
            bytes_in: 0,
            duration_ms: 0,
            notes: Vec::new(),
        }
    }

    /// A sandbox whose events are heard once somebody hears them.
    #[derive(Default)]
    struct Told {
        denials: Denials,
        waiting: Mutex<Vec<Event>>,
        /// Nobody reads its events.
        held_up: bool,
    }

    impl Told {
        fn is_denied(&self, name: &str, reason: Reason) {
            let event = Event::Flow(Box::new(flow(name, reason)));
            self.waiting.lock().unwrap().push(event);
        }

        async fn take(&self) -> String {
            self.denials.take(self).await
        }
    }

    /// Of all verbs the one that is used here.
    impl Inside for Told {
        fn exec(&self, _: Command) -> BoxFuture<'_, Result<Execution, Error>> {
            unreachable!()
        }

        fn read<'a>(&'a self, _: &'a Path, _: u64) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
            unreachable!()
        }

        fn write<'a>(
            &'a self,
            _: &'a Path,
            _: Vec<u8>,
            _: u32,
        ) -> BoxFuture<'a, Result<(), Error>> {
            unreachable!()
        }

        fn list<'a>(
            &'a self,
            _: &'a Path,
            _: usize,
        ) -> BoxFuture<'a, Result<Vec<FileEntry>, Error>> {
            unreachable!()
        }

        fn look_at<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Result<FileEntry, Error>> {
            unreachable!()
        }

        fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Error>> {
            if !self.held_up {
                let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
                for event in waiting.iter().chain([&Event::Mark(mark)]) {
                    self.denials.hear(event);
                }
            }
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn a_denial_is_one_line_with_what_to_ask_for() {
        let told = Told::default();
        assert_eq!(told.take().await, "");
        for _ in 0..3 {
            told.is_denied("api.example.com", Reason::NoRule);
        }
        told.is_denied("slow.example.com", Reason::Unreachable);
        told.is_denied("good.example.com", Reason::HostRule);
        insta::assert_snapshot!(told.take().await, @r"
        [network denied: api.example.com:443 (no_rule, 3 times) by the policy of environment payments; what would change that: add `api.example.com` to `allowed_hosts`]
        [network: slow.example.com:443 is allowed and could not be reached (unreachable)]
        ");
        assert_eq!(told.take().await, "", "told once");
    }

    #[tokio::test]
    async fn many_destinations_are_not_many_lines() {
        let told = Told::default();
        for number in 0..1000 {
            told.is_denied(&format!("x{number}.example.com"), Reason::NoRule);
        }
        let text = told.take().await;
        assert_eq!(text.lines().count(), limits::TOOL_DENIALS + 1);
        assert!(text.ends_with("[network denied: 980 more attempts at other destinations]"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_but_a_reader_and_not_for_ever() {
        let begun = tokio::time::Instant::now();
        assert_eq!(Told::default().take().await, "");
        assert_eq!(begun.elapsed().as_millis(), 0);
        let held_up = Told {
            held_up: true,
            ..Told::default()
        };
        held_up.is_denied("api.example.com", Reason::NoRule);
        assert_eq!(held_up.take().await, "");
        assert_eq!(begun.elapsed(), limits::TOOL_DENIALS_WAIT);
    }
}
