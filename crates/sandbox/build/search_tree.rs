//! Makes one seccomp filter of several, with a search tree in front.
//!
//! A filter of seccompiler compares the number of the call with each of its own, one after the other. When a filter is loaded, the kernel
//! runs it for every number there is, to know which calls need no filter (`seccomp_cache_prepare` in kernel/seccomp.c): with some hundred
//! comparisons that takes longer than any other step of a launch. The tree answers for every number whose answer does not depend on
//! arguments; for the others the filters themselves follow.

use std::collections::BTreeSet;

use seccompiler::sock_filter as Instruction;

/// linux/bpf_common.h and linux/filter.h: the instructions that filters are made of.
mod code {
    pub(super) const LOAD: u16 = 0x20;
    pub(super) const AND: u16 = 0x54;
    pub(super) const JUMP: u16 = 0x05;
    pub(super) const JUMP_EQUAL: u16 = 0x15;
    pub(super) const JUMP_GREATER: u16 = 0x25;
    pub(super) const JUMP_NOT_LESS: u16 = 0x35;
    pub(super) const RETURN: u16 = 0x06;
}

/// SECCOMP_RET_ALLOW (linux/seccomp.h).
const ALLOW: u32 = 0x7fff_0000;
/// Offsets in struct seccomp_data (seccomp(2)).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// What a filter says to a call of which only the number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Always(u32),
    DependsOnArguments,
}

/// Numbers from `first` to the next range's, which are all answered alike.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u32,
    answer: Answer,
}

/// One filter that asks each of these in order until one does not allow the call.
fn chain(filters: &[Vec<Instruction>]) -> Vec<Instruction> {
    let mut whole = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        let is_last = index + 1 == filters.len();
        whole.extend(filter.iter().enumerate().map(|(at, i)| {
            if i.code == code::RETURN && i.k == ALLOW && !is_last {
                instruction(code::JUMP, (filter.len() - at - 1) as u32)
            } else {
                i.clone()
            }
        }));
    }
    whole
}

/// What the filters together answer if they are loaded one by one, the first of them last: the kernel takes the strictest answer,
/// among errors that of the filter that was loaded last (seccomp(2)). Each call is allowed or answered with an error.
///
/// # Panics
///
/// If the filters are not of the kind that seccompiler makes, or the result would answer anything else.
pub(crate) fn in_front_of(filters: &[Vec<Instruction>]) -> Vec<Instruction> {
    let filter = chain(filters);
    let [load, compare, refuse, ..] = filter.as_slice() else {
        panic!("a filter begins with the architecture");
    };
    assert!(load.code == code::LOAD && load.k == ARCHITECTURE);
    assert!(compare.code == code::JUMP_EQUAL && (compare.jt, compare.jf) == (1, 0));
    assert!(refuse.code == code::RETURN);
    let architecture = compare.k;
    let ranges = ranges(&filter, architecture);
    let mut whole = filter[..3].to_vec();
    whole.push(instruction(code::LOAD, NUMBER));
    let mut distinct = ranges.clone();
    distinct.dedup_by_key(|range| range.answer);
    whole.extend(tree(&distinct, 0));
    let dependent = ranges
        .iter()
        .filter(|range| range.answer == Answer::DependsOnArguments);
    let dependent: Vec<u32> = dependent.map(|range| range.first).collect();
    whole.extend(only_for(&dependent, &filter, architecture));
    for range in &ranges {
        let last = last_of(range, &ranges);
        for number in [range.first, last] {
            assert_eq!(answer(&whole, architecture, number), range.answer);
        }
    }
    whole
}

fn last_of(range: &Range, ranges: &[Range]) -> u32 {
    let next = ranges.iter().find(|other| other.first > range.first);
    next.map_or(u32::MAX, |next| next.first - 1)
}

/// Only at a number that the filter compares with, and at the one after it, can its answer change.
fn ranges(filter: &[Instruction], architecture: u32) -> Vec<Range> {
    let compared = filter.iter().filter(|i| {
        matches!(
            i.code,
            code::JUMP_EQUAL | code::JUMP_GREATER | code::JUMP_NOT_LESS
        )
    });
    let borders: BTreeSet<u32> = compared
        .flat_map(|i| [Some(i.k), i.k.checked_add(1)])
        .flatten()
        .chain([0])
        .collect();
    borders
        .into_iter()
        .map(|first| Range {
            first,
            answer: answer(filter, architecture, first),
        })
        .collect()
}

/// Where a filter goes from one instruction, and what it then has in its accumulator; `None` for what only an argument tells.
fn step(
    filter: &[Instruction],
    (architecture, number): (u32, u32),
    (at, accumulator): (usize, Option<u32>),
) -> Vec<(usize, Option<u32>)> {
    let Instruction { code, jt, jf, k } = filter[at];
    let next = at + 1;
    let compare = |holds: fn(u32, u32) -> bool| {
        let outcomes = accumulator.map_or(vec![true, false], |value| vec![holds(value, k)]);
        let target = |taken| next + usize::from(if taken { jt } else { jf });
        outcomes
            .into_iter()
            .map(|taken| (target(taken), accumulator))
            .collect()
    };
    match (code, k) {
        (code::LOAD, NUMBER) => vec![(next, Some(number))],
        (code::LOAD, ARCHITECTURE) => vec![(next, Some(architecture))],
        (code::LOAD, _) => vec![(next, None)],
        (code::AND, _) => vec![(next, accumulator.map(|value| value & k))],
        (code::JUMP, _) => vec![(next + k as usize, accumulator)],
        (code::JUMP_EQUAL, _) => compare(|value, k| value == k),
        (code::JUMP_GREATER, _) => compare(|value, k| value > k),
        (code::JUMP_NOT_LESS, _) => compare(|value, k| value >= k),
        (code::RETURN, _) => Vec::new(),
        (other, _) => panic!("seccompiler made an instruction {other:#x}"),
    }
}

/// Runs a filter until it ends or needs an argument.
fn answer(filter: &[Instruction], architecture: u32, number: u32) -> Answer {
    let mut state = (0, None);
    loop {
        match step(filter, (architecture, number), state)[..] {
            [] => return Answer::Always(filter[state.0].k),
            [next] => state = next,
            _ => return Answer::DependsOnArguments,
        }
    }
}

/// The instructions of a filter that these numbers can come by, in the same order.
fn only_for(numbers: &[u32], filter: &[Instruction], architecture: u32) -> Vec<Instruction> {
    let mut seen = BTreeSet::new();
    for number in numbers {
        let mut waiting = vec![(0, None)];
        let mut here = BTreeSet::new();
        while let Some(state) = waiting.pop() {
            if here.insert(state) {
                waiting.extend(step(filter, (architecture, *number), state));
            }
        }
        seen.extend(here.into_iter().map(|(at, _)| at));
    }
    // Where an old place is now; one that nobody comes by is as good as the next.
    let place = |at: usize| seen.range(..at).count();
    let moved = |at: usize, distance: usize| place(at + 1 + distance) - place(at) - 1;
    seen.iter()
        .map(|at| {
            let Instruction { code, jt, jf, k } = filter[*at];
            match code {
                code::JUMP => instruction(code, moved(*at, k as usize) as u32),
                code::JUMP_EQUAL | code::JUMP_GREATER | code::JUMP_NOT_LESS => Instruction {
                    jt: moved(*at, jt.into()) as u8,
                    jf: moved(*at, jf.into()) as u8,
                    ..instruction(code, k)
                },
                _ => filter[*at].clone(),
            }
        })
        .collect()
}

/// The instructions that find the range of the number in the accumulator; `behind` of others stand between them and the filter.
fn tree(ranges: &[Range], behind: usize) -> Vec<Instruction> {
    if let [range] = ranges {
        return vec![match range.answer {
            Answer::Always(action) => instruction(code::RETURN, action),
            Answer::DependsOnArguments => instruction(code::JUMP, behind as u32),
        }];
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let high_tree = tree(high, behind);
    let low_tree = tree(low, behind + high_tree.len());
    // A conditional jump reaches no further than 255 instructions; one without a condition, anywhere.
    let mut whole = vec![
        Instruction {
            jf: 1,
            ..instruction(code::JUMP_NOT_LESS, high[0].first)
        },
        instruction(code::JUMP, low_tree.len() as u32),
    ];
    whole.extend(low_tree);
    whole.extend(high_tree);
    whole
}

fn instruction(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}
