//! What is said on standard error after a run: where the program wanted to go, denials first, each with its remedy.

use std::collections::HashMap;

use bailiwick_model::limits::{SUMMARY_DESTINATIONS, SUMMARY_LINES};
use bailiwick_model::{Destination, Flow, Host, Protocol, Reason, Verdict};

use crate::output::{self, Colour, Tone, printable};

/// Collects flows one by one. Its memory is bounded, whatever the program does.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    groups: HashMap<Key, Group>,
    /// Attempts at destinations for which there was no room.
    uncounted: u64,
}

/// What is one line of the summary: the protocol makes no difference to its reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    host: Host,
    port: u16,
    reason: Reason,
}

#[derive(Debug, Default)]
struct Group {
    attempts: u64,
    bytes_in: u64,
    bytes_out: u64,
    hint: Option<String>,
}

/// How an attempt ended, in the order in which the summary tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Denied,
    /// The policy allowed it and the network did not.
    Failed,
    Allowed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Denied, Self::Failed, Self::Allowed];

    fn of(reason: Reason) -> Self {
        match reason.verdict() {
            Verdict::Allow => Self::Allowed,
            Verdict::Deny if matches!(reason, Reason::NameNotFound | Reason::Unreachable) => {
                Self::Failed
            }
            Verdict::Deny => Self::Denied,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Allowed => "allowed",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Denied | Self::Failed => Tone::Bad,
            Self::Allowed => Tone::Good,
        }
    }
}

impl Summary {
    /// Counts one flow.
    pub(crate) fn record(&mut self, flow: &Flow) {
        let Destination {
            host,
            port,
            protocol,
        } = &flow.destination;
        // An allowed question moves no data; what counts is the connection that follows it.
        if (protocol, flow.verdict) == (&Protocol::Dns, Verdict::Allow) {
            return;
        }
        let key = Key {
            host: host.clone(),
            port: *port,
            reason: flow.reason,
        };
        if self.groups.len() >= SUMMARY_DESTINATIONS && !self.groups.contains_key(&key) {
            self.uncounted = self.uncounted.saturating_add(1);
            return;
        }
        let group = self.groups.entry(key).or_default();
        group.attempts = group.attempts.saturating_add(1);
        group.bytes_in = group.bytes_in.saturating_add(flow.bytes_in);
        group.bytes_out = group.bytes_out.saturating_add(flow.bytes_out);
        if group.hint.is_none() {
            group.hint.clone_from(&flow.hint);
        }
    }

    /// The text, which ends with a newline; empty if there was nothing.
    pub(crate) fn render(&self, colour: Colour) -> String {
        if self.groups.is_empty() {
            return String::new();
        }
        let counts = Outcome::ALL
            .map(|outcome| (outcome, self.of(outcome).len()))
            .into_iter()
            .filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(outcome, count)| format!("{count} {}", outcome.word()))
            .collect();
        let mut text = colour.paint(
            Tone::Strong,
            &format!("bailiwick: destinations: {}", counts.join(", ")),
        ) + "\n";
        for outcome in Outcome::ALL {
            self.render_outcome(outcome, colour, &mut text);
        }
        if self.uncounted > 0 {
            text += &format!(
                "  and {} attempts at further destinations\n",
                self.uncounted
            );
        }
        text
    }

    /// The groups of an outcome, the busiest first.
    fn of(&self, outcome: Outcome) -> Vec<(&Key, &Group)> {
        let mut groups: Vec<_> = self
            .groups
            .iter()
            .filter(|(key, _)| Outcome::of(key.reason) == outcome)
            .collect();
        groups.sort_by(|(key, group), (other_key, other)| {
            other
                .attempts
                .cmp(&group.attempts)
                .then_with(|| key.cmp(other_key))
        });
        groups
    }

    fn render_outcome(&self, outcome: Outcome, colour: Colour, text: &mut String) {
        let groups = self.of(outcome);
        let (shown, hidden) = groups.split_at(groups.len().min(SUMMARY_LINES));
        let width = |of: fn(&Key) -> usize| shown.iter().map(|(key, _)| of(key)).max().unwrap_or(0);
        let destinations = width(|key| key.text().chars().count());
        let reasons = width(|key| key.reason.code().len());
        let word = colour.paint(outcome.tone(), &format!("{:<7}", outcome.word()));
        for (key, group) in shown {
            let (destination, reason, amount) = (key.text(), key.reason.code(), group.amount());
            *text +=
                &format!("  {word}  {destination:<destinations$}  {reason:<reasons$}  {amount}\n");
            if let Some(hint) = &group.hint {
                *text += &format!(
                    "           {}\n",
                    colour.paint(Tone::Quiet, &printable(hint))
                );
            }
        }
        if !hidden.is_empty() {
            let attempts: u64 = hidden.iter().map(|(_, group)| group.attempts).sum();
            *text += &format!(
                "  {word}  and {} more ({})\n",
                hidden.len(),
                times(attempts)
            );
        }
    }
}

impl Key {
    fn text(&self) -> String {
        let destination = Destination {
            host: self.host.clone(),
            port: self.port,
            protocol: Protocol::Tcp,
        };
        printable(&destination.to_string()).into_owned()
    }
}

impl Group {
    fn amount(&self) -> String {
        if self.bytes_in == 0 && self.bytes_out == 0 {
            return times(self.attempts);
        }
        format!(
            "{}, {} in, {} out",
            times(self.attempts),
            output::bytes(self.bytes_in),
            output::bytes(self.bytes_out)
        )
    }
}

fn times(count: u64) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_model::{HostName, PolicySource, SandboxId};
    use insta::assert_snapshot;

    use super::*;

    fn flow(destination: Destination, reason: Reason, bytes_in: u64, hint: Option<&str>) -> Flow {
        Flow {
            at: jiff::Timestamp::UNIX_EPOCH,
            sandbox: SandboxId::from_random(7),
            environment: None,
            destination,
            address: None,
            verdict: reason.verdict(),
            reason,
            rule: None,
            source: PolicySource::BuiltIn,
            hint: hint.map(str::to_owned),
            bytes_out: bytes_in / 10,
            bytes_in,
            duration_ms: 1,
            notes: Vec::new(),
        }
    }

    fn name(text: &str) -> HostName {
        HostName::from_normalised(text).unwrap()
    }

    fn summary_of(flows: impl IntoIterator<Item = Flow>) -> String {
        let mut summary = Summary::default();
        flows.into_iter().for_each(|flow| summary.record(&flow));
        summary.render(Colour::Off)
    }

    #[test]
    fn nothing_is_said_when_nothing_happened() {
        assert_eq!(summary_of([]), "");
    }

    #[test]
    fn denials_come_first_with_the_rule_that_would_allow_each() {
        let add = Some("add `evil.example` to `allowed_hosts`");
        let flows = [
            flow(
                Destination::dns(name("registry.example")),
                Reason::Preset,
                0,
                None,
            ),
            flow(
                Destination::tcp_name(name("registry.example"), 443),
                Reason::Preset,
                4_000_000,
                None,
            ),
            flow(
                Destination::tcp_name(name("registry.example"), 443),
                Reason::Preset,
                1000,
                None,
            ),
            flow(
                Destination::tcp_name(name("gone.example"), 443),
                Reason::NameNotFound,
                0,
                None,
            ),
            flow(
                Destination::dns(name("evil.example")),
                Reason::NoRule,
                0,
                add,
            ),
            flow(
                Destination::dns(name("evil.example")),
                Reason::NoRule,
                0,
                add,
            ),
            flow(
                Destination::tcp_address("10.1.2.3".parse().unwrap(), 22),
                Reason::PrivateAddress,
                0,
                None,
            ),
        ];
        assert_snapshot!(summary_of(flows), @r"
        bailiwick: destinations: 2 denied, 1 failed, 1 allowed
          denied   evil.example  no_rule          2 times
                   add `evil.example` to `allowed_hosts`
          denied   10.1.2.3:22   private_address  once
          failed   gone.example:443  name_not_found  once
          allowed  registry.example:443  preset  2 times, 3.8 MiB in, 391 KiB out
        ");
    }

    #[test]
    fn a_program_that_asks_for_many_names_does_not_fill_memory_or_screen() {
        let mut summary = Summary::default();
        for number in 0..5000 {
            summary.record(&flow(
                Destination::dns(name(&format!("n{number}.example"))),
                Reason::NoRule,
                0,
                None,
            ));
        }
        assert_eq!(summary.groups.len(), SUMMARY_DESTINATIONS);
        let text = summary.render(Colour::Off);
        assert!(text.lines().count() < SUMMARY_LINES + 5, "{text}");
        assert_snapshot!(text.lines().rev().take(2).collect::<Vec<_>>().join("\n"), @r"
        and 3000 attempts at further destinations
        denied   and 1980 more (1980 times)
        ");
    }

    #[test]
    fn a_hint_cannot_set_the_title_of_the_terminal() {
        let hostile = flow(
            Destination::dns(name("a.example")),
            Reason::SniMismatch,
            0,
            Some("TLS named \x1b]0;x\x07\x1b]52;c;eA==\x07"),
        );
        let text = summary_of([hostile]);
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
        assert!(
            text.contains(r"\u{1b}]52"),
            "the control: it is shown: {text}"
        );
    }
}
