//! The text of an environment file as it is shown beside a problem.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// The most bytes that are shown around one problem. JSON often is one long line: a hundred problems in a line of a
/// mebibyte must not print a hundred mebibytes.
const EXCERPT_BYTES: usize = 2000;

/// What is shown before and after the place where lines are too long to be shown whole.
const AROUND_BYTES: usize = 60;

/// A named text without anything that a terminal would obey; places in it are those of the original.
#[derive(Debug)]
pub(crate) struct ShownSource {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl ShownSource {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self {
            name: without_controls(name),
            text: without_controls(text),
        }
    }

    /// Whether both places can be shown in one excerpt.
    pub(crate) fn shows_together(a: usize, b: usize) -> bool {
        a.abs_diff(b) <= EXCERPT_BYTES
    }
}

impl SourceCode for ShownSource {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = self.text.read_span(span, lines_before, lines_after)?;
        let (data, at, line, column, lines) = if whole.data().len() <= EXCERPT_BYTES {
            (
                whole.data(),
                *whole.span(),
                whole.line(),
                whole.column(),
                whole.line_count(),
            )
        } else {
            let exact = self.text.read_span(span, 0, 0)?;
            let line_start = self.text[..span.offset()]
                .rfind('\n')
                .map_or(0, |newline| newline + 1);
            let start = self
                .text
                .floor_char_boundary(span.offset().saturating_sub(AROUND_BYTES))
                .max(line_start);
            let end = self
                .text
                .floor_char_boundary(span.offset() + span.len() + AROUND_BYTES);
            let column = start - line_start;
            (
                &self.text.as_bytes()[start..end],
                (start, end - start).into(),
                exact.line(),
                column,
                exact.line_count(),
            )
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data,
            at,
            line,
            column,
            lines,
        )))
    }
}

/// What a terminal obeys (escape sequences), and what reorders or hides text (bidirectional controls, invisible
/// characters), is replaced by something visible of the same length in UTF-8.
fn without_controls(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        // The end of a line from another system.
        '\r' => ' ',
        _ if is_harmless(c) => c,
        _ => stand_in(c),
    };
    text.chars().map(shown).collect()
}

/// `char::escape_debug` knows which characters are printable; of those it escapes only quotes and the backslash.
fn is_harmless(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

fn stand_in(c: char) -> char {
    match c.len_utf8() {
        1 => '?',
        2 => '¿',
        3 => char::REPLACEMENT_CHARACTER,
        _ => '🛇',
    }
}
