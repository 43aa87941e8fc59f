//! Host rules by the name they end in.

use hashbrown::HashTable;

use super::Hits;
use crate::rule::{Matcher, Rule};

/// All rules about one name and the names below it.
#[derive(Debug)]
struct Group {
    suffix: Box<str>,
    /// About exactly the name.
    exact: Vec<Rule>,
    /// About the names below it.
    below: Vec<Rule>,
}

/// Host rules, found by walking a name from its last label to its first with a running hash: one probe for each label,
/// and none for depths at which no rule ends.
#[derive(Debug, Default)]
pub(crate) struct HostTable {
    groups: HashTable<Group>,
    /// Bit `n` is set if a rule ends in a suffix of `n + 1` labels.
    depths: u128,
}

impl HostTable {
    /// Rules with another matcher than a host rule are none of this table's.
    pub(crate) fn insert(&mut self, rule: Rule) {
        let Matcher::Host(pattern) = &rule.matcher else {
            return;
        };
        let (suffix, wildcard) = (pattern.host().as_str(), pattern.is_wildcard());
        // A name has at most 127 labels: 253 bytes, at least two for each label with its dot.
        self.depths |= 1 << suffix.bytes().filter(|b| *b == b'.').count();
        let mut group = self
            .groups
            .entry(
                hash(suffix),
                |group| *group.suffix == *suffix,
                |group| hash(&group.suffix),
            )
            .or_insert_with(|| Group {
                suffix: suffix.into(),
                exact: Vec::new(),
                below: Vec::new(),
            });
        let rules = if wildcard {
            &mut group.get_mut().below
        } else {
            &mut group.get_mut().exact
        };
        rules.push(rule);
    }

    /// The rule of each kind for the name and port: the one that ends in the longest suffix, and of several the first that
    /// was inserted.
    pub(crate) fn look_up(&self, name: &str, port: u16) -> Hits<'_> {
        let mut hits = Hits::default();
        self.each_group(name, |group| {
            // From the shortest suffix to the longest and from the last rule to the first: what comes later wins.
            for rule in group.about(name).iter().rev() {
                if rule.ports().contains(port) {
                    *hits.kind(rule) = Some(rule);
                }
            }
        });
        hits
    }

    /// Calls `visit` with every rule about the name, whatever its ports.
    pub(crate) fn each_rule<'t>(&'t self, name: &str, mut visit: impl FnMut(&'t Rule)) {
        self.each_group(name, |group| group.about(name).iter().for_each(&mut visit));
    }

    fn each_group<'t>(&'t self, name: &str, mut visit: impl FnMut(&'t Group)) {
        let bytes = name.as_bytes();
        let mut running = SEED;
        let mut depth = 0;
        for (start, byte) in bytes.iter().enumerate().rev() {
            running = step(running, *byte);
            if start != 0 && bytes[start - 1] != b'.' {
                continue;
            }
            if self.depths >> depth == 0 {
                return;
            }
            if self.depths >> depth & 1 == 1 {
                let suffix = &name[start..];
                if let Some(group) = self
                    .groups
                    .find(finish(running), |group| *group.suffix == *suffix)
                {
                    visit(group);
                }
            }
            depth += 1;
        }
    }
}

impl Group {
    /// The rules of the group that are about `name`, which ends in the group's suffix.
    fn about(&self, name: &str) -> &[Rule] {
        if name.len() == self.suffix.len() {
            &self.exact
        } else {
            &self.below
        }
    }
}

const SEED: u64 = 0x243f_6a88_85a3_08d3;

// The keys come from the policy's author and the table is never changed by who asks, so the hash needs to be quick and
// even, not secret.
fn step(running: u64, byte: u8) -> u64 {
    (running.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95)
}

fn finish(running: u64) -> u64 {
    let folded = u128::from(running) * 0x9e37_79b9_7f4a_7c15;
    (folded >> 64) as u64 ^ folded as u64
}

/// The hash of a whole suffix, as the walk from the last byte to the first arrives at it.
fn hash(suffix: &str) -> u64 {
    finish(suffix.bytes().rev().fold(SEED, step))
}
