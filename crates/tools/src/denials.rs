//! What the sandbox was denied, so that the agent knows it was policy, and what to ask for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_model::{Flow, Reason, Verdict, limits};
use tokio::sync::Notify;

use crate::result::printable;

/// The denials of a sandbox since somebody last took them.
///
/// Whoever reads the sandbox's events puts every flow here; the toolset takes them at the end of each command.
#[derive(Default)]
pub struct Denials {
    state: Mutex<State>,
    arrived: Notify,
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
    /// Takes note of a flow, if it was denied.
    pub fn note(&self, flow: &Flow) {
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
        drop(state);
        self.arrived.notify_waiters();
    }

    /// One line for each destination and reason, without a line feed at the end. A command that failed may have because of a denial
    /// whose record is on its way; that is waited for a little. What comes later is told with the next command.
    pub(crate) async fn take(&self, failed: bool) -> String {
        if failed && self.state().denied.is_empty() {
            let _ = tokio::time::timeout(limits::TOOL_DENIALS_WAIT, self.some()).await;
        }
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

    async fn some(&self) {
        loop {
            let arrived = self.arrived.notified();
            if !self.state().denied.is_empty() {
                return;
            }
            arrived.await;
        }
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
        Reason::NameNotFound | Reason::Unreachable => false,
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
        | Reason::ConnectionLimit => true,
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
    use bailiwick_model::{Destination, HostName, PolicySource};

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

    #[tokio::test]
    async fn a_denial_is_one_line_with_what_to_ask_for() {
        let denials = Denials::default();
        assert_eq!(denials.take(false).await, "");
        for _ in 0..3 {
            denials.note(&flow("api.example.com", Reason::NoRule));
        }
        denials.note(&flow("slow.example.com", Reason::Unreachable));
        denials.note(&flow("good.example.com", Reason::HostRule));
        insta::assert_snapshot!(denials.take(true).await, @r"
        [network denied: api.example.com:443 (no_rule, 3 times) by the policy of environment payments; what would change that: add `api.example.com` to `allowed_hosts`]
        [network: slow.example.com:443 is allowed and could not be reached (unreachable)]
        ");
        assert_eq!(denials.take(true).await, "", "told once");
    }

    #[tokio::test]
    async fn many_destinations_are_not_many_lines() {
        let denials = Denials::default();
        for number in 0..1000 {
            denials.note(&flow(&format!("x{number}.example.com"), Reason::NoRule));
        }
        let told = denials.take(false).await;
        assert_eq!(told.lines().count(), limits::TOOL_DENIALS + 1);
        assert!(told.ends_with("[network denied: 980 more attempts at other destinations]"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_is_on_its_way_is_waited_for() {
        let denials = std::sync::Arc::new(Denials::default());
        let late = std::sync::Arc::clone(&denials);
        tokio::spawn(async move {
            tokio::time::sleep(limits::TOOL_DENIALS_WAIT / 2).await;
            late.note(&flow("api.example.com", Reason::NoRule));
        });
        assert_eq!(denials.take(false).await, "", "a command that succeeded");
        assert_ne!(denials.take(true).await, "");
    }
}
