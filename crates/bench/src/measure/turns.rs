//! A B C, B C A, C A B: everybody in every round, so that what drifts hits all alike.

use anyhow::Result;

use crate::report::{Better, Report, Row};

/// Somebody who can be measured.
#[derive(Debug)]
pub(super) struct Contestant<T> {
    pub(super) name: &'static str,
    pub(super) with: T,
}

/// Those who can take part; the others are noted as absent.
pub(super) fn line_up<T>(
    row: &str,
    all: Vec<(&'static str, Result<T>)>,
    report: &mut Report,
) -> Vec<Contestant<T>> {
    let mut present = Vec::new();
    for (name, with) in all {
        match with {
            Ok(with) => present.push(Contestant { name, with }),
            Err(why) => report.absent(row, name, &why),
        }
    }
    present
}

/// Measures all in turns and adds the row. Whoever fails once is out of the row, with the reason.
pub(super) fn take<T>(
    mut row: Row,
    contestants: &mut [Contestant<T>],
    rounds: usize,
    report: &mut Report,
    mut sample: impl FnMut(&mut T) -> Result<Vec<f64>>,
) {
    let mut samples: Vec<Option<Vec<f64>>> = contestants.iter().map(|_| Some(Vec::new())).collect();
    let count = contestants.len();
    for round in 0..rounds {
        for index in (0..count).map(|turn| (turn + round) % count) {
            let Some(so_far) = &mut samples[index] else {
                continue;
            };
            match sample(&mut contestants[index].with) {
                Ok(new) => so_far.extend(new),
                Err(why) => {
                    report.absent(&row.name, contestants[index].name, &why);
                    samples[index] = None;
                }
            }
        }
    }
    for (contestant, samples) in contestants.iter().zip(samples) {
        row.add(contestant.name, &samples.unwrap_or_default());
    }
    report.rows.push(row);
}

/// What the three rows of [`take_rates`] are called, and what Bailiwick wants to reach in each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates<'a> {
    pub(super) group: &'static str,
    pub(super) name: &'a str,
    pub(super) aims: [Option<&'static str>; 3],
}

/// Measures all in turns and adds three rows: how many a second, how fast, and how slow. `sample` has these three of a round. Whoever fails once is
/// out of the rows, with the reason.
pub(super) fn take_rates<T>(
    rates: Rates<'_>,
    contestants: &mut [Contestant<T>],
    rounds: usize,
    report: &mut Report,
    mut sample: impl FnMut(&mut T, usize) -> Result<Vec<f64>>,
) {
    let mut samples: Vec<Option<Vec<Vec<f64>>>> =
        contestants.iter().map(|_| Some(Vec::new())).collect();
    let count = contestants.len();
    for round in 0..rounds {
        for index in (0..count).map(|turn| (turn + round) % count) {
            let Some(so_far) = &mut samples[index] else {
                continue;
            };
            match sample(&mut contestants[index].with, round) {
                Ok(numbers) => so_far.push(numbers),
                Err(why) => {
                    report.absent(rates.name, contestants[index].name, &why);
                    samples[index] = None;
                }
            }
        }
    }
    let columns = [
        ("", "1/s", Better::Higher),
        (", median", "us", Better::Lower),
        (", 99 of 100", "us", Better::Lower),
    ];
    for (column, (end, unit, better)) in columns.into_iter().enumerate() {
        let mut row = Row::new(rates.group, format!("{}{end}", rates.name), unit, better);
        row.aim = rates.aims[column];
        for (contestant, samples) in contestants.iter().zip(&samples) {
            let numbers = samples.iter().flatten();
            let numbers = numbers.filter_map(|numbers| numbers.get(column).copied());
            row.add(contestant.name, &numbers.collect::<Vec<_>>());
        }
        report.rows.push(row);
    }
}
