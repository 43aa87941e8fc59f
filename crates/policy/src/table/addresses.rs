//! CIDR rules by address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Hits;
use crate::rule::{Matcher, Rule};

/// CIDR rules. Two blocks are either nested or apart, so the addresses fall into stretches that lie in the same blocks:
/// a binary search finds the stretch, whose innermost block leads outwards to all the others.
#[derive(Debug)]
pub(crate) struct AddressTable {
    blocks: Vec<Block>,
    /// Where stretches begin, and the innermost block of each.
    v4: Vec<(u32, Option<u32>)>,
    v6: Vec<(u128, Option<u32>)>,
}

/// All rules about one block.
#[derive(Debug)]
struct Block {
    net: IpNet,
    rules: Vec<Rule>,
    /// The smallest block around this one.
    outer: Option<u32>,
}

impl AddressTable {
    /// Rules with another matcher than a CIDR rule are none of this table's.
    pub(crate) fn new(rules: impl Iterator<Item = Rule>) -> Self {
        // Ordered by first address and then by length: an outer block precedes what lies in it.
        let mut by_block: BTreeMap<IpNet, Vec<Rule>> = BTreeMap::new();
        for rule in rules {
            if let Matcher::Cidr(cidr) = &rule.matcher {
                by_block.entry(cidr.net()).or_default().push(rule);
            }
        }
        let mut table = Self {
            blocks: Vec::with_capacity(by_block.len()),
            v4: Vec::new(),
            v6: Vec::new(),
        };
        let mut open_v4 = Sweep::default();
        let mut open_v6 = Sweep::default();
        for (index, (net, rules)) in (0_u32..).zip(by_block) {
            let outer = match net {
                IpNet::V4(net) => open_v4.enter(
                    net.network().to_bits(),
                    net.broadcast().to_bits(),
                    index,
                    &mut table.v4,
                ),
                IpNet::V6(net) => open_v6.enter(
                    net.network().to_bits(),
                    net.broadcast().to_bits(),
                    index,
                    &mut table.v6,
                ),
            };
            table.blocks.push(Block { net, rules, outer });
        }
        open_v4.leave_all(&mut table.v4);
        open_v6.leave_all(&mut table.v6);
        table
    }

    /// The rule of each kind for the address and port: the one with the smallest block, and of several the first that was
    /// inserted.
    pub(crate) fn look_up(&self, address: IpAddr, port: u16) -> Hits<'_> {
        let mut hits = Hits::default();
        self.each_rule(address, |rule| {
            if rule.ports().contains(port) {
                hits.kind(rule).get_or_insert(rule);
            }
        });
        hits
    }

    /// The blocks that there are rules about, in order: an outer block precedes what lies in it.
    pub(crate) fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.blocks.iter().map(|block| block.net)
    }

    /// Calls `visit` with every rule about the address, whatever its ports; the smallest block first.
    pub(crate) fn each_rule<'t>(&'t self, address: IpAddr, mut visit: impl FnMut(&'t Rule)) {
        let mut inner = match address {
            IpAddr::V4(address) => stretch(&self.v4, address.to_bits()),
            IpAddr::V6(address) => stretch(&self.v6, address.to_bits()),
        };
        while let Some(block) = inner.map(|index| &self.blocks[index as usize]) {
            block.rules.iter().for_each(&mut visit);
            inner = block.outer;
        }
    }
}

/// The innermost block around `address`.
fn stretch<A: Ord + Copy>(stretches: &[(A, Option<u32>)], address: A) -> Option<u32> {
    let after = stretches.partition_point(|(start, _)| *start <= address);
    stretches[..after].last().and_then(|(_, block)| *block)
}

/// The blocks that are open while the addresses are swept from the lowest to the highest: last address and index.
#[derive(Default)]
struct Sweep<A>(Vec<(A, u32)>);

impl<A: Address> Sweep<A> {
    /// Opens a block, after closing those that end before it. Returns the block around it.
    fn enter(
        &mut self,
        first: A,
        last: A,
        index: u32,
        stretches: &mut Vec<(A, Option<u32>)>,
    ) -> Option<u32> {
        while self.0.last().is_some_and(|(end, _)| *end < first) {
            self.leave(stretches);
        }
        let outer = self.0.last().map(|(_, index)| *index);
        push(stretches, first, Some(index));
        self.0.push((last, index));
        outer
    }

    /// Closes the innermost block: what follows it belongs to the one around it.
    fn leave(&mut self, stretches: &mut Vec<(A, Option<u32>)>) {
        let Some((end, _)) = self.0.pop() else { return };
        if let Some(next) = end.successor() {
            push(stretches, next, self.0.last().map(|(_, index)| *index));
        }
    }

    fn leave_all(&mut self, stretches: &mut Vec<(A, Option<u32>)>) {
        while !self.0.is_empty() {
            self.leave(stretches);
        }
    }
}

/// A stretch that begins where the last one began replaces it: the last one is empty.
fn push<A: Ord>(stretches: &mut Vec<(A, Option<u32>)>, start: A, block: Option<u32>) {
    if stretches.last().is_some_and(|(last, _)| *last == start) {
        stretches.pop();
    }
    stretches.push((start, block));
}

trait Address: Copy + Ord {
    fn successor(self) -> Option<Self>;
}

impl Address for u32 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}
