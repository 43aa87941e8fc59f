//! Problems together with their source, as one miette diagnostic.

use std::fmt;

use bailiwick_model::limits::ENVIRONMENT_FILE_ERRORS;
use miette::{Diagnostic, Severity, SourceCode};

use crate::problem::Problem;
use crate::source::ShownSource;

/// Everything that is wrong with one environment file, in the order of the source.
#[derive(Debug)]
pub struct EnvironmentFileErrors(Report);

/// Everything that is worth a warning in one environment file, in the order of the source.
#[derive(Debug)]
pub struct EnvironmentFileWarnings(Report);

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Where the lines of a text begin.
pub(crate) struct Positions<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Positions<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The line and column of a byte.
    pub(crate) fn at(&self, byte: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = self.lines[line - 1];
        let before = self.text.get(start..byte).unwrap_or_default();
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }
}

#[derive(Debug)]
struct Report {
    source: ShownSource,
    problems: Vec<Problem>,
    /// Problems that were left out.
    more: usize,
}

impl Report {
    fn new(source_name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.is_warning(), problem.span().start));
        let more = problems.len().saturating_sub(ENVIRONMENT_FILE_ERRORS);
        problems.truncate(ENVIRONMENT_FILE_ERRORS);
        for problem in &mut problems {
            problem.clip(text);
        }
        Self {
            source: ShownSource::new(source_name, text),
            problems,
            more,
        }
    }

    fn position(&self, problem: &Problem) -> Position {
        let before = self
            .source
            .text
            .get(..problem.span().start)
            .unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn count(&self) -> usize {
        self.problems.len() + self.more
    }
}

macro_rules! diagnostic {
    ($name:ident, $severity:ident, $singular:literal, $plural:literal) => {
        impl $name {
            pub(crate) fn new(source_name: &str, text: &str, problems: Vec<Problem>) -> Self {
                Self(Report::new(source_name, text, problems))
            }

            /// Each problem with its place.
            pub fn problems(&self) -> impl Iterator<Item = (Position, &Problem)> {
                self.0
                    .problems
                    .iter()
                    .map(|problem| (self.0.position(problem), problem))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Report {
                    source,
                    problems,
                    more,
                } = &self.0;
                let noun = if self.0.count() == 1 {
                    $singular
                } else {
                    $plural
                };
                write!(f, "{} has {} {noun}", source.name, self.0.count())?;
                if *more > 0 {
                    write!(f, ", of which these are the first {}", problems.len())?;
                }
                Ok(())
            }
        }

        impl std::error::Error for $name {}

        impl Diagnostic for $name {
            fn severity(&self) -> Option<Severity> {
                Some(Severity::$severity)
            }

            fn source_code(&self) -> Option<&dyn SourceCode> {
                Some(&self.0.source)
            }

            fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
                Some(Box::new(
                    self.0
                        .problems
                        .iter()
                        .map(|problem| problem as &dyn Diagnostic),
                ))
            }
        }
    };
}

diagnostic!(EnvironmentFileErrors, Error, "problem", "problems");
diagnostic!(EnvironmentFileWarnings, Warning, "warning", "warnings");
